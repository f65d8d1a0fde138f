//! Stores of a process that works for others: it opens no files but those of the lakes that it was started for, whatever a plan
//! names.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreRegistry;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use url::Url;

use super::Lake;
use super::store::{Stores, root};

/// The stores of some lakes, each cut down to the folders of these lakes. Of any other store all files are refused, without
/// opening it: a plan that names one can be decoded, as a scheduler does, and not run.
#[derive(Debug)]
pub struct LakeStores {
    lakes: Vec<(String, Path)>,
    stores: Stores,
}

impl LakeStores {
    /// The stores of these lakes.
    pub fn of(lakes: &[Lake]) -> LakeStores {
        let places = lakes.iter().map(|lake| (root(lake.url()), lake.path("")));
        LakeStores { lakes: places.collect(), stores: Stores::default() }
    }
}

impl ObjectStoreRegistry for LakeStores {
    /// Registers nothing: which stores there are was said when the process was started.
    fn register_store(&self, _url: &Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        let wanted = root(url);
        let of_store = self.lakes.iter().filter(|(root, _)| *root == wanted).map(|(_, path)| path.clone());
        let folders: Vec<Path> = of_store.collect();
        let store: Arc<dyn ObjectStore> = match folders.is_empty() {
            true => Arc::new(InMemory::new()),
            false => self.stores.get_store(url)?,
        };
        Ok(Arc::new(Confined { store, folders }))
    }
}

/// A store of which only some folders can be read and written.
#[derive(Debug)]
struct Confined {
    store: Arc<dyn ObjectStore>,
    folders: Vec<Path>,
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {:?}", self.store, self.folders)
    }
}

impl Confined {
    fn check(&self, path: &Path) -> Result<()> {
        if self.folders.iter().any(|folder| path.prefix_matches(folder)) {
            return Ok(());
        }
        let said = "it lies in none of the lakes that this process was started for (--lake)";
        Err(Error::PermissionDenied { path: path.to_string(), source: said.into() })
    }

    fn check_prefix(&self, prefix: Option<&Path>) -> Result<()> {
        self.check(prefix.unwrap_or(&Path::default()))
    }
}

#[async_trait]
impl ObjectStore for Confined {
    async fn put_opts(&self, path: &Path, body: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.check(path)?;
        self.store.put_opts(path, body, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.check(path)?;
        self.store.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(path)?;
        self.store.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(path)?;
        self.store.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let confined = Confined { store: self.store.clone(), folders: self.folders.clone() };
        let allowed = paths.map(move |path| path.and_then(|path| confined.check(&path).map(|()| path)));
        self.store.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check_prefix(prefix) {
            Ok(()) => self.store.list(prefix),
            Err(error) => refused(error),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check_prefix(prefix) {
            Ok(()) => self.store.list_with_offset(prefix, offset),
            Err(error) => refused(error),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check_prefix(prefix)?;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check(from)?;
        self.check(to)?;
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.check(from)?;
        self.check(to)?;
        self.store.rename_opts(from, to, options).await
    }
}

fn refused(error: Error) -> BoxStream<'static, Result<ObjectMeta>> {
    async move { Err(error) }.into_stream().boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;

    fn url(path: &std::path::Path) -> Url {
        Url::from_file_path(path).unwrap()
    }

    #[tokio::test]
    async fn only_the_folders_of_the_lakes_can_be_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("lake");
        let lake = Lake::open(inside.to_str().unwrap()).unwrap();
        lake.put("raw/a", "1".into()).await.unwrap();
        for outside in ["secret", "lake-two/a"] {
            std::fs::create_dir_all(folder.path().join(outside).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(outside), "hidden").unwrap();
        }
        let stores = LakeStores::of(std::slice::from_ref(&lake));
        let store = stores.get_store(&url(folder.path())).unwrap();
        assert_eq!(store.get(&lake.path("raw/a")).await.unwrap().bytes().await.unwrap(), "1");
        store.put(&lake.path("raw/b"), "2".into()).await.unwrap();
        assert_eq!(store.list(Some(&lake.path(""))).try_collect::<Vec<_>>().await.unwrap().len(), 2);
        let root = Path::from_absolute_path(folder.path()).unwrap();
        for outside in ["secret", "lake-two/a", "lake/../secret", "lak", "etc/passwd"] {
            let path = Path::from(format!("{root}/{outside}"));
            let inner = lake.path("raw/a");
            let denied = |error: Error| assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
            // `..` is a name like others to a store, and there is no such file
            if !outside.contains("..") {
                denied(store.get(&path).await.unwrap_err());
                denied(store.put(&path, "3".into()).await.unwrap_err());
                denied(store.delete(&path).await.unwrap_err());
                denied(store.copy(&path, &inner).await.unwrap_err());
                denied(store.rename(&inner, &path).await.unwrap_err());
                denied(store.list(Some(&path)).try_collect::<Vec<_>>().await.unwrap_err());
            } else {
                assert!(store.get(&path).await.is_err());
            }
        }
        assert!(store.list(None).try_collect::<Vec<_>>().await.is_err());
        assert!(store.list_with_delimiter(None).await.is_err());
        assert_eq!(std::fs::read(folder.path().join("secret")).unwrap(), b"hidden");
        for other in ["s3://bucket/", "memory:///", "http://127.0.0.1/"] {
            let other = Url::parse(other).unwrap();
            stores.register_store(&other, Arc::new(InMemory::new()));
            let store = stores.get_store(&other).unwrap();
            assert!(store.put(&lake.path("raw/a"), "4".into()).await.is_err(), "{other}");
        }
        let none = LakeStores::of(&[]).get_store(&url(folder.path())).unwrap();
        assert!(none.get(&lake.path("raw/a")).await.is_err());
        assert!(none.list(Some(&lake.path(""))).try_collect::<Vec<_>>().await.is_err());
    }
}
