//! A store that a test can watch, stop and break.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use strata::lake::{Lake, store_for};

/// What is done with which path.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// `put`, `upload`, `get`, `list`, `delete` or `copy`.
    pub kind: &'static str,
    pub path: String,
}

impl Operation {
    /// Whether this writes a commit of a Delta table.
    pub fn is_commit(&self) -> bool {
        self.kind == "put" && self.path.contains("/_delta_log/") && self.path.ends_with(".json")
    }

    /// Whether this changes what lies under `published/`.
    pub fn publishes(&self) -> bool {
        matches!(self.kind, "put" | "upload" | "delete" | "copy") && self.path.contains("published/")
    }
}

/// When a hook is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    Before,
    /// The operation was done; an error hides that.
    After,
}

type Hook = Arc<dyn Fn(When, Operation) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A store that asks before and after each operation; what the hook refuses is not done, or not answered.
#[derive(Clone)]
pub struct Hooked {
    inner: Arc<dyn ObjectStore>,
    hook: Hook,
}

impl Hooked {
    /// The lake at a folder or URL, over a hooked store.
    pub fn lake(
        url: &str,
        hook: impl Fn(When, Operation) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    ) -> Lake {
        let url = Lake::open(url).expect("a lake").url().clone();
        let inner = store_for(&url).expect("a store");
        Lake::over(url, Arc::new(Hooked { inner, hook: Arc::new(hook) })).expect("a lake")
    }

    async fn ask(&self, when: When, kind: &'static str, path: &Path) -> Result<()> {
        (self.hook)(when, Operation { kind, path: path.to_string() }).await
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Display for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Hooked {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.ask(When::Before, "put", path).await?;
        let done = self.inner.put_opts(path, payload, options).await?;
        self.ask(When::After, "put", path).await?;
        Ok(done)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask(When::Before, "upload", path).await?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask(When::Before, "get", path).await?;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.ask(When::Before, "get", path).await?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let asked = paths.then(move |path| {
            let this = this.clone();
            async move {
                let path = path?;
                this.ask(When::Before, "delete", &path).await?;
                Ok(path)
            }
        });
        self.inner.delete_stream(asked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            if let Some(prefix) = &prefix {
                this.ask(When::Before, "list", prefix).await?;
            }
            Ok::<_, object_store::Error>(this.inner.list(prefix.as_ref()))
        };
        futures::stream::once(listed)
            .flat_map(|listed| match listed {
                Ok(found) => found,
                Err(error) => futures::stream::once(async { Err(error) }).boxed(),
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if let Some(prefix) = prefix {
            self.ask(When::Before, "list", prefix).await?;
        }
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.ask(When::Before, "copy", to).await?;
        self.inner.copy_opts(from, to, options).await?;
        self.ask(When::After, "copy", to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.ask(When::Before, "copy", to).await?;
        self.inner.rename_opts(from, to, options).await?;
        self.ask(When::After, "copy", to).await
    }
}

/// What a broken store answers.
pub fn broken(path: &str) -> object_store::Error {
    object_store::Error::Generic { store: "test", source: format!("{path}: the connection was lost").into() }
}
