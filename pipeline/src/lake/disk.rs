//! The store of local disks. What it has written survives a loss of power: content and name are synced before the
//! call returns, and of a file that is put whole the content before the name. What is written in parts, copied or
//! renamed has its name first, and counts once a manifest names it.

use std::fmt::{Display, Formatter};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error as IoError, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// The local file system, from its root.
#[derive(Debug, Default)]
pub struct Disk {
    files: LocalFileSystem,
}

/// Whether anything is synced: with `STRATA_FSYNC=off` a lake may be broken by a loss of power, as tests' lakes may.
static SYNCS: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("STRATA_FSYNC").is_none_or(|value| value != "off"));

/// Marks a put that may be lost with the power.
#[derive(Clone, Debug)]
struct Volatile;

/// Options of a put that replaces what is there, and that no other file relies on: it is not synced.
pub fn volatile() -> PutOptions {
    let mut options = PutOptions::default();
    options.extensions.insert(Volatile);
    options
}

impl Disk {
    /// Syncs a file that another call has put into place, and its folder.
    async fn settle(&self, location: &Location) -> Result<()> {
        let path = self.files.path_to_filesystem(location)?;
        blocking(move || settle(&path)).await
    }

    /// Makes the folder of a file that is to be written by another call.
    async fn prepare(&self, location: &Location) -> Result<()> {
        let path = self.files.path_to_filesystem(location)?;
        blocking(move || sync_all(&make_folder(folder_of(&path)?)?)).await
    }
}

impl Display for Disk {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.files.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Disk {
    async fn put_opts(&self, at: &Location, body: PutPayload, options: PutOptions) -> Result<PutResult> {
        let plain = options.attributes.is_empty() && options.extensions.get::<Volatile>().is_none();
        let create = match options.mode {
            PutMode::Create if plain => true,
            PutMode::Overwrite if plain => false,
            _ => return self.files.put_opts(at, body, options).await,
        };
        let path = self.files.path_to_filesystem(at)?;
        blocking(move || write(&path, &body, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        at: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.prepare(at).await?;
        let upload = self.files.put_multipart_opts(at, options).await?;
        Ok(Box::new(Upload { upload, path: self.files.path_to_filesystem(at)? }))
    }

    async fn get_opts(&self, at: &Location, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Location, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Location>>,
    ) -> BoxStream<'static, Result<Location>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Location>,
        offset: &Location,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.prepare(to).await?;
        self.files.copy_opts(from, to, options).await?;
        self.settle(to).await
    }

    async fn rename_opts(&self, from: &Location, to: &Location, options: RenameOptions) -> Result<()> {
        self.prepare(to).await?;
        self.files.rename_opts(from, to, options).await?;
        self.settle(to).await
    }
}

/// A large file, uploaded in parts and synced when it is complete.
#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.upload.complete().await?;
        let path = self.path.clone();
        blocking(move || settle(&path)).await?;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

/// Creates the folder unless it is there, readable by its owner only.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        done => done.and_then(|()| sync_folder(folder_of(folder)?)),
    }
}

/// Writes a file under another name, syncs it, and gives it its name.
fn write(path: &Path, body: &PutPayload, create: bool) -> std::io::Result<()> {
    let folder = folder_of(path)?;
    let above = make_folder(folder)?;
    let (mut file, temporary) = open_temporary(path)?;
    let named = body.iter().try_for_each(|piece| file.write_all(piece)).and_then(|()| {
        sync_open(&file, &temporary)?;
        match create {
            true => std::fs::hard_link(&temporary, path)?,
            false => std::fs::rename(&temporary, path)?,
        }
        note("name", path);
        Ok(())
    });
    if create || named.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    named.map_err(|error| naming(path, &error))?;
    // of folders after all of them: a journal then writes once
    sync_folder(folder)?;
    sync_all(&above)
}

/// A new file beside `path`, under a name that [`LocalFileSystem`] never lists.
fn open_temporary(path: &Path) -> std::io::Result<(File, PathBuf)> {
    let mut number = 1;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((file, name.into())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(naming(path, &error)),
        }
    }
}

/// Makes a folder and those above it. Returns the folders that have new names in them, to be synced.
fn make_folder(folder: &Path) -> std::io::Result<Vec<&Path>> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    if !missing.is_empty() {
        std::fs::create_dir_all(folder).map_err(|error| naming(folder, &error))?;
    }
    Ok(missing.iter().filter_map(|folder| folder.parent()).collect())
}

fn sync_all(folders: &[&Path]) -> std::io::Result<()> {
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

fn settle(path: &Path) -> std::io::Result<()> {
    sync(path)?;
    sync_folder(folder_of(path)?)
}

/// Syncs a folder, where the file system can do so and this user may open it.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match sync(folder) {
        Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
        done => done,
    }
}

fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path).and_then(|file| sync_open(&file, path)).map_err(|error| naming(path, &error))
}

fn sync_open(file: &File, path: &Path) -> std::io::Result<()> {
    if *SYNCS {
        file.sync_all()?;
    }
    note("sync", path);
    Ok(())
}

/// Tests look at the order of what was done.
#[cfg(test)]
fn note(what: &str, path: &Path) {
    tests::STEPS.lock().unwrap().push(format!("{what} {}", path.display()));
}

#[cfg(not(test))]
fn note(_: &str, _: &Path) {}

fn folder_of(path: &Path) -> std::io::Result<&Path> {
    path.parent()
        .ok_or_else(|| IoError::new(ErrorKind::InvalidInput, "the root of the file system is not a file"))
}

fn naming(path: &Path, error: &IoError) -> IoError {
    IoError::new(error.kind(), format!("{}: {error}", path.display()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await?,
        Err(_) => work(),
    };
    done.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::AlreadyExists { path: error.to_string(), source: error.into() },
        ErrorKind::NotFound => Error::NotFound { path: error.to_string(), source: error.into() },
        _ => Error::Generic { store: "Disk", source: error.into() },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;

    /// What the stores of this process named and synced.
    pub(super) static STEPS: Mutex<Vec<String>> = Mutex::new(Vec::new());

    struct Folder {
        folder: tempfile::TempDir,
        store: Arc<Disk>,
    }

    impl Folder {
        fn new() -> Folder {
            Folder { folder: tempfile::tempdir().unwrap(), store: Arc::new(Disk::default()) }
        }

        fn at(&self, relative: &str) -> Location {
            Location::from_absolute_path(self.folder.path().join(relative)).unwrap()
        }

        /// What was done below the folder since the last call.
        fn steps(&self) -> Vec<String> {
            let root = self.folder.path().display().to_string();
            let mut steps = STEPS.lock().unwrap();
            let (ours, others) =
                std::mem::take(&mut *steps).into_iter().partition(|step| step.contains(&root));
            *steps = others;
            let ours: Vec<String> = ours;
            ours.iter().map(|step| step.replace(&format!("{root}/"), "").replace(&root, ".")).collect()
        }

        /// All files, staged ones included.
        fn files(&self, relative: &str) -> Vec<String> {
            let entries = std::fs::read_dir(self.folder.path().join(relative)).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[tokio::test]
    async fn content_is_synced_before_its_name_and_its_name_before_the_end() {
        let of = Folder::new();
        let create = || PutOptions::from(PutMode::Create);
        of.store.put_opts(&of.at("a/b/f"), "one".into(), create()).await.unwrap();
        assert_eq!(of.steps(), ["sync a/b/f#1", "name a/b/f", "sync a/b", "sync a", "sync ."]);
        let again = of.store.put_opts(&of.at("a/b/f"), "two".into(), create()).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists { .. }), "{again}");
        assert_eq!(of.steps(), ["sync a/b/f#1"]);
        of.store.put(&of.at("a/b/f"), "three".into()).await.unwrap();
        assert_eq!(of.steps(), ["sync a/b/f#1", "name a/b/f", "sync a/b"]);
        of.store.put_opts(&of.at("a/b/g"), "four".into(), volatile()).await.unwrap();
        assert!(of.steps().is_empty());
        of.store.rename(&of.at("a/b/g"), &of.at("a/h")).await.unwrap();
        assert_eq!(of.steps(), ["sync a/h", "sync a"]);
        let mut upload = of.store.put_multipart(&of.at("a/m")).await.unwrap();
        upload.put_part("five ".into()).await.unwrap();
        upload.put_part("six".into()).await.unwrap();
        assert!(of.steps().is_empty());
        upload.complete().await.unwrap();
        assert_eq!(of.steps(), ["sync a/m", "sync a"]);
        assert_eq!(
            (of.files("a"), of.files("a/b")),
            (vec!["b".into(), "h".into(), "m".into()], vec!["f".into()])
        );
        for (path, content) in [("a/b/f", "three"), ("a/h", "four"), ("a/m", "five six")] {
            assert_eq!(of.store.get(&of.at(path)).await.unwrap().bytes().await.unwrap(), content);
        }
    }

    #[tokio::test]
    async fn a_temporary_file_that_was_left_is_neither_listed_nor_in_the_way() {
        let of = Folder::new();
        std::fs::write(of.folder.path().join("f#1"), "half").unwrap();
        of.store.put(&of.at("f"), "whole".into()).await.unwrap();
        let listed: Vec<ObjectMeta> = of.store.list(Some(&of.at(""))).try_collect().await.unwrap();
        assert_eq!(listed.iter().map(|meta| meta.location.clone()).collect::<Vec<_>>(), [of.at("f")]);
        let missing = of.store.rename(&of.at("nothing"), &of.at("g")).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    }
}
