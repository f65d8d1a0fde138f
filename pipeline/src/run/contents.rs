//! What raw files hold: a hash of each file's content, taken once by streaming and remembered in the lake beside what
//! the store says of the file, so that an unchanged file is not read again.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectMeta, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::text::{TextFacts, TextScan};
use crate::lake::{Lake, store_error};
use crate::project::Source;
use crate::{Context, Result};

/// Bytes that one read of a local file asks for.
const READ_BYTES: usize = 256 * 1024;

/// How much older than the beginning of the inspection a file's last change must be for its content to be remembered: a
/// file that changes twice within a tick of the file system's clock looks the same after both.
const CLOCK_TICK: Duration = Duration::from_secs(2);

/// What a store says of a file without reading it. Equal states stand for equal contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    pub bytes: u64,
    version: Version,
}

/// What changes whenever a file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Version {
    /// A file on a local disk: when its content and when it was changed in any way, in ns since 1970. A file whose
    /// modification time was set back still shows when that was done.
    Disk { inode: u64, modified: i64, changed: i64 },
    /// An object: its etag.
    Object(String),
    /// An object of a store without etags: when it was modified, in seconds since 1970. Never remembered.
    Dated(i64),
}

impl FileState {
    fn of_disk(metadata: &Metadata) -> FileState {
        let nanos = |seconds: i64, nanos: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
        let version = Version::Disk {
            inode: metadata.ino(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
        };
        FileState { bytes: metadata.len(), version }
    }

    fn of_object(meta: &ObjectMeta) -> FileState {
        let version = match &meta.e_tag {
            Some(etag) => Version::Object(etag.trim_matches('"').to_string()),
            None => Version::Dated(meta.last_modified.timestamp()),
        };
        FileState { bytes: meta.size, version }
    }

    /// The etag of an object.
    pub fn etag(&self) -> Option<&str> {
        match &self.version {
            Version::Object(etag) => Some(etag),
            _ => None,
        }
    }

    /// Whether the content was written in between. Links, owners and permissions of a local file may change without.
    pub fn is_rewritten(&self, now: &FileState) -> bool {
        match (&self.version, &now.version) {
            (
                Version::Disk { inode, modified, .. },
                Version::Disk { inode: inode_now, modified: modified_now, .. },
            ) => (self.bytes, inode, modified) != (now.bytes, inode_now, modified_now),
            _ => self != now,
        }
    }

    /// Whether a later change of a file inspected from `began` on cannot go unnoticed.
    fn is_settled(&self, began: SystemTime) -> bool {
        match self.version {
            Version::Disk { modified, changed, .. } => {
                let before = began.checked_sub(CLOCK_TICK).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                before.is_some_and(|before| i128::from(modified.max(changed)) < before.as_nanos() as i128)
            }
            Version::Object(_) => true,
            Version::Dated(_) => false,
        }
    }
}

/// What the store says of listed files; `None` for one that is gone already.
pub async fn states(lake: &Lake, listed: &[ObjectMeta]) -> Result<Vec<Option<FileState>>> {
    match local_paths(lake, listed.iter().map(|meta| &meta.location)) {
        Some(paths) => disk_states(paths).await,
        None => Ok(listed.iter().map(FileState::of_object).map(Some).collect()),
    }
}

/// The files' paths on the local disk, if the lake lies there.
pub fn local_paths<'a>(lake: &Lake, paths: impl Iterator<Item = &'a Path>) -> Option<Vec<PathBuf>> {
    paths.map(|path| lake.local_path(path)).collect()
}

/// What local files are now; `None` for one that is gone.
pub async fn disk_states(paths: Vec<PathBuf>) -> Result<Vec<Option<FileState>>> {
    let state = |path: PathBuf| match std::fs::metadata(&path) {
        Ok(metadata) => Ok(Some(FileState::of_disk(&metadata))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(format!("looking at {}", path.display())),
    };
    let look = move || paths.into_iter().map(state).collect::<Result<Vec<_>>>();
    tokio::task::spawn_blocking(look).await.context("cannot look at raw files")?
}

/// What an object is now; `None` when it is gone.
pub async fn object_state(lake: &Lake, path: &Path) -> Result<Option<FileState>> {
    match lake.store().head(path).await {
        Ok(meta) => Ok(Some(FileState::of_object(&meta))),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(store_error(format!("looking at {path}"), error)),
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// XXH3-128 of all bytes, in hexadecimal.
    pub hash: String,
    /// What a scan of a text file found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextFacts>,
}

/// A file as it was read from beginning to end.
pub struct FileRead {
    /// What the file was when it was opened; `None` for one that was rewritten meanwhile or is gone.
    pub state: Option<FileState>,
    hasher: Box<Xxh3>,
    /// The scan of a text file.
    pub text: Option<TextScan>,
}

impl FileRead {
    /// Reads the file at `path` by pieces, whatever its size.
    pub async fn of(lake: &Lake, path: &Path, text: Option<TextScan>) -> Result<FileRead> {
        let failed = |error| store_error(format!("reading {path}"), error);
        let mut read = FileRead { state: None, hasher: Box::default(), text };
        let found = match lake.store().get(path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(read),
            found => found.map_err(failed)?,
        };
        match found.payload {
            GetResultPayload::File(file, path) => {
                let doing = format!("reading {}", path.display());
                let reading = move || read.take_file(file).map(|()| read);
                tokio::task::spawn_blocking(reading).await.context("cannot read a raw file")?.context(doing)
            }
            GetResultPayload::Stream(mut pieces) => {
                read.state = Some(FileState::of_object(&found.meta));
                while let Some(piece) = pieces.try_next().await.map_err(failed)? {
                    read.take(&piece);
                }
                Ok(read)
            }
        }
    }

    fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if let Some(text) = &mut self.text {
            text.take(piece);
        }
    }

    fn take_file(&mut self, mut file: File) -> std::io::Result<()> {
        let before = FileState::of_disk(&file.metadata()?);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => self.take(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let after = FileState::of_disk(&file.metadata()?);
        self.state = (!before.is_rewritten(&after)).then_some(before);
        Ok(())
    }

    /// XXH3-128 of what was read, in hexadecimal.
    pub fn hash(&self) -> String {
        format!("{:032x}", self.hasher.digest128())
    }
}

/// What earlier runs read of the files of a source. Without it, or when it is broken, all files are read again.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownFiles {
    /// What text files were held against.
    contract: String,
    /// By path below the lake.
    files: BTreeMap<String, (FileState, Content)>,
}

impl KnownFiles {
    /// What is known of the files of `source`, as long as `contract` is the same.
    pub async fn load(lake: &Lake, source: &Source, contract: String) -> Result<KnownFiles> {
        let stored = lake.get(&path(source)).await?;
        let known = stored.and_then(|body| serde_json::from_slice::<KnownFiles>(&body).ok());
        let known = known.filter(|known| known.contract == contract);
        Ok(known.unwrap_or_else(|| KnownFiles { contract, files: BTreeMap::new() }))
    }

    /// The content of a file that still is what it was when it was read.
    pub fn content(&self, relative: &str, state: &FileState) -> Option<&Content> {
        self.files.get(relative).filter(|(known, _)| known == state).map(|(_, content)| content)
    }

    /// Remembers these files, and only these, for the next run; those that may have changed since the inspection
    /// `began` without showing it are left out.
    pub async fn remember<'a>(
        self,
        lake: &Lake,
        source: &Source,
        files: impl Iterator<Item = (&'a str, &'a FileState, &'a Content)>,
        began: SystemTime,
    ) -> Result<()> {
        let settled = files.filter(|(_, state, _)| state.is_settled(began));
        let files = settled
            .map(|(relative, state, content)| (relative.to_string(), (state.clone(), content.clone())))
            .collect();
        if self.files == files {
            return Ok(());
        }
        let body = serde_json::to_vec(&KnownFiles { contract: self.contract, files })
            .context(format!("writing what is known of the files of {}", source.name))?;
        lake.put(&path(source), body.into()).await
    }
}

fn path(source: &Source) -> String {
    format!("stages/_files/{}.json", source.name)
}
