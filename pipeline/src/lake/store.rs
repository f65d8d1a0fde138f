//! The lake: one URL, its object store, and the few operations everything else is built from.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, RetryConfig,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::disk::{self, Disk};
use crate::{Context, Error, Result};

/// Version of the layout of a lake. A lake of another version is refused.
const LAYOUT_VERSION: u32 = 1;

/// The file that says whose lake this is.
const CLAIM_FILE: &str = "_strata.json";

/// How long requests to S3 are tried again, and how often.
const S3_RETRIES: usize = 8;
const S3_RETRY_TIMEOUT: Duration = Duration::from_secs(60);
const S3_MAX_BACKOFF: Duration = Duration::from_secs(2);
const S3_CONNECT_TIMEOUT: &str = "3 seconds";

/// A place under one URL that a project reads and writes. Cheap to clone; clones share the store.
#[derive(Clone, Debug)]
pub struct Lake {
    url: Url,
    store: Arc<dyn ObjectStore>,
    store_url: ObjectStoreUrl,
    root: Path,
    /// Whether the store was made from the URL, and can be made again.
    opened: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Claim {
    project: String,
    layout_version: u32,
}

impl Lake {
    /// Opens the lake at `url`: `file:///x`, a plain path (made absolute), `s3://bucket/prefix`, or `memory://` (a new,
    /// empty lake in this process). The folder of a local lake is created; nothing is sent to S3 yet.
    pub fn open(url: &str) -> Result<Lake> {
        let url = parse_url(url)?;
        if url.scheme() == "file" {
            create_folder(&url)?;
        }
        let store = store_for(&url)?;
        Ok(Lake { opened: true, ..Lake::over(url, store)? })
    }

    /// The lake at `url` in a store that is there already.
    pub fn over(url: Url, store: Arc<dyn ObjectStore>) -> Result<Lake> {
        let (store_url, root) = locate(&url)?;
        Ok(Lake { url, store, store_url, root, opened: false })
    }

    /// The same lake for another Tokio runtime: connections of S3 clients live on the runtime that opened
    /// them.
    pub fn detached(&self) -> Result<Lake> {
        let store = match self.url.scheme() {
            "s3" if self.opened => s3_client(&self.url)?,
            _ => self.store.clone(),
        };
        Ok(Lake { store, ..self.clone() })
    }

    /// Opens the lake at `url` and looks whether its store can be reached.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no such bucket or endpoint, [`Error::Contract`] when access is denied.
    pub async fn connect(url: &str) -> Result<Lake> {
        let lake = Lake::open(url)?;
        if lake.url.scheme() == "s3" {
            lake.look().await?;
        }
        Ok(lake)
    }

    async fn look(&self) -> Result<()> {
        let Err(error) = self.store.list_with_delimiter(Some(&self.path("locks"))).await else {
            return Ok(());
        };
        let bucket = self.url.host_str().unwrap_or_default();
        if is_denied(&error) {
            return Err(denied(format!("lake {}", self.url), error));
        }
        let text = error.to_string();
        Err(Error::Usage(match error {
            _ if text.contains("NoSuchBucket") => {
                format!(
                    "lake {}: there is no bucket `{bucket}`\nhelp: create it, or name another with --lake",
                    self.url
                )
            }
            error => format!(
                "lake {}: the store does not answer as S3 does: {error}\nhelp: check AWS_ENDPOINT_URL, AWS_REGION and the \
                 network; plain http:// needs AWS_ALLOW_HTTP=true",
                self.url
            ),
        }))
    }

    /// The URL, with a trailing slash.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The store of the whole bucket or file system; paths in it come from [`Lake::path`].
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The URL under which [`Lake::store`] is registered with an engine's runtime.
    pub fn object_store_url(&self) -> ObjectStoreUrl {
        self.store_url.clone()
    }

    /// The store's path of `rel`, which lies below the lake. Escapes in `rel` (`day=a%2Fb`) are kept as they are.
    pub fn path(&self, rel: &str) -> Path {
        join(&self.root, rel)
    }

    /// The file of this machine that is at `path` of the store; `None` on another store.
    pub fn local_path(&self, path: &Path) -> Option<PathBuf> {
        (self.url.scheme() == "file")
            .then(|| object_store::local::LocalFileSystem::new().path_to_filesystem(path).ok())?
    }

    /// Whether an etag says what a file holds: two files of one etag and size hold the same.
    pub fn has_etags_of_content(&self) -> bool {
        self.url.scheme() == "s3"
    }

    /// The part of `path` below the lake, if it lies there.
    pub fn relative<'a>(&self, path: &'a Path) -> Option<&'a str> {
        if self.root.as_ref().is_empty() {
            return Some(path.as_ref());
        }
        path.as_ref().strip_prefix(self.root.as_ref())?.strip_prefix('/')
    }

    /// Makes a folder of a local lake that its owner alone may read, unless it is there; on other stores,
    /// whose access rules are theirs, it does nothing.
    pub fn make_private(&self, folder: &str) -> Result<()> {
        if self.url.scheme() != "file" {
            return Ok(());
        }
        let path = create_folder(&self.url)?.join(folder);
        disk::make_private(&path).map_err(|error| {
            let doing = format!("creating {}", path.display());
            if is_denied(&error) {
                denied(doing, error)
            } else {
                Error::Other { context: doing, source: error.into() }
            }
        })
    }

    /// Marks the lake as `project`'s own, or refuses when it holds another project or another layout. Stage
    /// results, which may hold names and addresses, get a folder that its owner alone may read.
    pub async fn claim(&self, project: &str) -> Result<()> {
        self.make_private("stages")?;
        let ours = Claim { project: project.to_owned(), layout_version: LAYOUT_VERSION };
        let body = serde_json::to_vec_pretty(&ours).context("writing the claim of the lake")?;
        if self.create(CLAIM_FILE, body.into()).await? {
            return Ok(());
        }
        let found = self.get(CLAIM_FILE).await?.unwrap_or_default();
        let theirs: Claim = serde_json::from_slice(&found)
            .map_err(|e| Error::Usage(format!("{}{CLAIM_FILE} is not a claim of a lake: {e}", self.url)))?;
        if theirs.project != ours.project {
            return Err(Error::Usage(format!(
                "lake {} belongs to project `{}`; run `{project}` with another --lake",
                self.url, theirs.project
            )));
        }
        if theirs.layout_version != LAYOUT_VERSION {
            return Err(Error::Usage(format!(
                "lake {} has layout version {}, this program writes version {LAYOUT_VERSION}; use another --lake",
                self.url, theirs.layout_version
            )));
        }
        Ok(())
    }

    /// Whether a run has ever claimed this lake.
    pub async fn is_claimed(&self) -> Result<bool> {
        Ok(self.get(CLAIM_FILE).await?.is_some())
    }

    /// The content of a file, or `None` when there is none.
    pub async fn get(&self, rel: &str) -> Result<Option<Bytes>> {
        match self.store.get(&self.path(rel)).await {
            Ok(found) => found
                .bytes()
                .await
                .map(Some)
                .map_err(|e| store_error(format!("reading {}{rel}", self.url), e)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(store_error(format!("reading {}{rel}", self.url), e)),
        }
    }

    /// Writes a file, replacing what is there. Readers see the old or the new content.
    pub async fn put(&self, rel: &str, body: Bytes) -> Result<()> {
        let done = self.store.put(&self.path(rel), body.into()).await;
        done.map(drop).map_err(|e| store_error(format!("writing {}{rel}", self.url), e))
    }

    /// Writes a file that no other file relies on, replacing what is there: it may be lost with the power.
    pub async fn put_volatile(&self, rel: &str, body: Bytes) -> Result<()> {
        let done = self.store.put_opts(&self.path(rel), body.into(), disk::volatile()).await;
        done.map(drop).map_err(|e| store_error(format!("writing {}{rel}", self.url), e))
    }

    /// Writes a file unless it exists; `false` when it exists with another content. Of concurrent callers
    /// with different contents one gets `true`, even if the store's answer to it was lost: what is there is
    /// read back and compared.
    pub async fn create(&self, rel: &str, body: Bytes) -> Result<bool> {
        use object_store::Error::AlreadyExists;
        let put = self.store.put_opts(&self.path(rel), body.clone().into(), PutMode::Create.into()).await;
        let Err(error) = put else { return Ok(true) };
        match self.get(rel).await {
            Ok(Some(found)) => Ok(found == body),
            // a file that was deleted since
            Ok(None) if matches!(error, AlreadyExists { .. }) => Ok(false),
            _ => Err(store_error(format!("writing {}{rel}", self.url), error)),
        }
    }

    /// Moves a file that cannot be used to a name that is never read, and warns. A reader that may not move
    /// it leaves it.
    pub async fn set_aside(&self, rel: &str, why: impl Display) {
        let aside = format!("{rel}.broken");
        match self.store.rename(&self.path(rel), &self.path(&aside)).await {
            Ok(()) => tracing::warn!("{}{rel} {why}: it is set aside as {aside}", self.url),
            Err(error) => tracing::warn!("{}{rel} {why}, and cannot be moved to {aside}: {error}", self.url),
        }
    }

    /// Deletes a file; one that is not there counts as deleted.
    pub async fn delete(&self, rel: &str) -> Result<()> {
        match self.store.delete(&self.path(rel)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(store_error(format!("deleting {}{rel}", self.url), e)),
        }
    }

    /// Some file below the folder `rel`, as a path relative to the lake.
    pub async fn first(&self, rel: &str) -> Result<Option<String>> {
        let prefix = self.path(rel);
        let found = self.store.list(Some(&prefix)).try_next().await;
        let found = found.map_err(|e| store_error(format!("listing {}{rel}", self.url), e))?;
        Ok(found.and_then(|found| self.relative(&found.location).map(str::to_owned)))
    }

    /// The size in bytes of every file below the folder `rel`, by path relative to the lake.
    pub async fn sizes(&self, rel: &str) -> Result<BTreeMap<String, u64>> {
        let listed = self.list(rel).await?;
        let sizes =
            listed.iter().filter_map(|meta| Some((self.relative(&meta.location)?.to_owned(), meta.size)));
        Ok(sizes.collect())
    }

    /// Every file below the folder `rel`, sorted by path; none when the folder does not exist.
    pub async fn list(&self, rel: &str) -> Result<Vec<ObjectMeta>> {
        let prefix = self.path(rel);
        let found: std::result::Result<Vec<_>, _> = self.store.list(Some(&prefix)).try_collect().await;
        let mut found = found.map_err(|e| store_error(format!("listing {}{rel}", self.url), e))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }
}

/// A failed operation on a store, or the refusal to do it.
pub fn store_error(doing: String, error: object_store::Error) -> Error {
    if is_denied(&error) {
        return denied(doing, error);
    }
    Error::Other { context: doing, source: error.into() }
}

/// Makes the store that holds `url`: the only place where stores are made. It is rooted at the bucket or at the
/// file system's root, not at the lake.
pub fn store_for(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    match url.scheme() {
        "file" => Ok(Arc::new(Disk::default())),
        "memory" => Ok(Arc::new(InMemory::new())),
        "s3" => s3(url),
        other => Err(Error::Usage(format!(
            "lake {url}: `{other}://` is not supported; use a local path, file:// or s3://"
        ))),
    }
}

/// The S3 store of a bucket, set up by the `AWS_*` variables of the environment: one client a bucket and process.
fn s3(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    static CLIENTS: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());
    let bucket = url.host_str().unwrap_or_default();
    if bucket.is_empty() {
        return Err(Error::Usage(format!("lake {url}: write s3://BUCKET/PREFIX")));
    }
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = clients.get(bucket) {
        return Ok(client.clone());
    }
    let client = s3_client(url)?;
    clients.insert(bucket.to_owned(), client.clone());
    Ok(client)
}

fn s3_client(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let bucket = url.host_str().unwrap_or_default();
    let retry = RetryConfig {
        max_retries: S3_RETRIES,
        retry_timeout: S3_RETRY_TIMEOUT,
        backoff: BackoffConfig { max_backoff: S3_MAX_BACKOFF, ..BackoffConfig::default() },
    };
    let connect_timeout = AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout);
    let mut builder = AmazonS3Builder::from_env();
    if builder.get_config_value(&connect_timeout).is_none() {
        builder = builder.with_config(connect_timeout, S3_CONNECT_TIMEOUT);
    }
    let builder =
        builder.with_bucket_name(bucket).with_conditional_put(S3ConditionalPut::ETagMatch).with_retry(retry);
    let store = builder.build().map_err(|error| {
        Error::Usage(format!("lake {url}: {error}\nhelp: S3 is set up by AWS_* variables of the environment"))
    })?;
    Ok(Arc::new(store))
}

/// The stores of an engine: those registered, and any other made when its URL is first met.
#[derive(Debug, Default)]
pub struct Stores {
    known: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
}

impl Stores {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn ObjectStore>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.known().insert(root(url), store)
    }

    fn get_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        let mut known = self.known();
        if let Some(store) = known.get(&root(url)) {
            return Ok(store.clone());
        }
        let store = store_for(url).map_err(|error| DataFusionError::External(error.into()))?;
        known.insert(root(url), store.clone());
        Ok(store)
    }
}

/// Scheme and authority: what one store serves.
pub(super) fn root(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.authority())
}

/// Where a lake lies: the URL of its store and the lake's path in that store.
pub fn locate(url: &Url) -> Result<(ObjectStoreUrl, Path)> {
    let store = ObjectStoreUrl::parse(root(url)).context(format!("lake {url} has no store"))?;
    let root = Path::from_url_path(url.path()).context(format!("lake {url} has no valid path"))?;
    Ok((store, root))
}

/// Joins a path below `root` without escaping it again.
pub(super) fn join(root: &Path, rel: &str) -> Path {
    let whole = format!("{root}/{}", rel.trim_matches('/'));
    let whole = whole.trim_matches('/');
    Path::parse(whole).unwrap_or_else(|_| Path::from(whole))
}

fn parse_url(text: &str) -> Result<Url> {
    let invalid = |why: String| Error::Usage(format!("lake `{text}` is neither a path nor a URL: {why}"));
    let mut url = if text.contains("://") {
        Url::parse(text).map_err(|e| invalid(e.to_string()))?
    } else {
        let path = std::path::absolute(text).map_err(|e| invalid(e.to_string()))?;
        Url::from_directory_path(&path).map_err(|()| invalid("not absolute".into()))?
    };
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn create_folder(url: &Url) -> Result<PathBuf> {
    let path = url
        .to_file_path()
        .map_err(|()| Error::Usage(format!("lake {url} is no local path; write file:///absolute/path")))?;
    std::fs::create_dir_all(&path).map_err(|e| {
        let doing = format!("creating the lake's folder {}", path.display());
        if is_denied(&e) {
            denied(doing, e)
        } else {
            Error::Usage(format!("{doing}: {e}; choose another --lake"))
        }
    })?;
    Ok(path)
}

/// The refusal to read or write something of the lake.
pub fn denied(doing: impl Display, error: impl Display) -> Error {
    Error::Contract(format!(
        "{doing}: permission denied; give this user read and write access to the lake or choose another with --lake ({error})"
    ))
}

/// Whether a store refused for want of permission, anywhere in the chain of causes.
pub fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(io, Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)) {
            return true;
        }
        if matches!(error.downcast_ref(), Some(PermissionDenied { .. } | Unauthenticated { .. })) {
            return true;
        }
        // a listing that S3 refuses has no kind of its own
        let listing = error.downcast_ref::<object_store::Error>();
        if listing.is_some_and(|error| error.to_string().contains("403 Forbidden")) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> (tempfile::TempDir, Lake) {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path().join("a lake").to_str().unwrap()).unwrap();
        (dir, lake)
    }

    #[tokio::test]
    async fn files_are_put_got_listed_and_created_once() {
        let (dir, lake) = local();
        assert_eq!(lake.get("x/a=1%2F2/f").await.unwrap(), None);
        assert!(lake.list("x").await.unwrap().is_empty());
        assert!(lake.create("x/a=1%2F2/f", "one".into()).await.unwrap());
        assert!(!lake.create("x/a=1%2F2/f", "two".into()).await.unwrap());
        assert_eq!(lake.get("x/a=1%2F2/f").await.unwrap().unwrap(), "one");
        lake.put("x/a=1%2F2/f", "three".into()).await.unwrap();
        assert!(dir.path().join("a lake/x/a=1%2F2/f").exists(), "the escape is part of the name on disk");
        let found = lake.list("x").await.unwrap();
        assert_eq!(lake.relative(&found[0].location), Some("x/a=1%2F2/f"));
        lake.delete("x/a=1%2F2/f").await.unwrap();
        lake.delete("x/a=1%2F2/f").await.unwrap();
        assert!(lake.list("").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_url_and_a_path_are_the_same_lake() {
        let (dir, lake) = local();
        lake.put("f", "1".into()).await.unwrap();
        let again = Lake::open(lake.url().as_str()).unwrap();
        assert_eq!(again.url(), lake.url());
        assert_eq!(again.get("f").await.unwrap().unwrap(), "1");
        assert_eq!(lake.object_store_url().as_str(), "file:///");
        assert!(lake.path("f").as_ref().ends_with("a lake/f"), "{}", lake.path("f"));
        drop(dir);
    }

    #[tokio::test]
    async fn another_project_is_refused() {
        let (_dir, lake) = local();
        lake.claim("retail").await.unwrap();
        lake.claim("retail").await.unwrap();
        let refused = lake.claim("other").await.unwrap_err();
        assert!(matches!(&refused, Error::Usage(m) if m.contains("`retail`")), "{refused}");
        let other = serde_json::to_vec(&Claim { project: "retail".into(), layout_version: 99 }).unwrap();
        lake.put(CLAIM_FILE, other.into()).await.unwrap();
        let refused = lake.claim("retail").await.unwrap_err();
        assert!(matches!(&refused, Error::Usage(m) if m.contains("layout version 99")), "{refused}");
    }

    #[test]
    fn a_lake_that_cannot_be_written_or_is_of_unknown_kind_is_refused() {
        let refused = Lake::open("/sys/no-lake-here").unwrap_err();
        assert_eq!(refused.exit_code(), 3, "{refused}");
        assert!(refused.to_string().contains("/sys/no-lake-here"), "{refused}");
        assert_eq!(Lake::open("ftp://host/lake").unwrap_err().exit_code(), 2);
        assert_eq!(Lake::open("s3:///lake").unwrap_err().exit_code(), 2);
    }

    #[tokio::test]
    async fn memory_lakes_work() {
        let lake = Lake::open("memory://").unwrap();
        lake.put("a/b", "1".into()).await.unwrap();
        assert_eq!(lake.list("a").await.unwrap().len(), 1);
    }
}
