//! A store for tests that does what it is asked and answers wrongly: the answer to a write is lost, the clock
//! is behind.

use std::collections::VecDeque;
use std::fmt::{Display, Formatter};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What is answered to a conditional write that was done.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// As after a retry that met the first attempt's file.
    Exists,
    /// As after a connection that broke.
    Failure,
}

#[derive(Debug)]
pub struct Shaky {
    inner: Arc<dyn ObjectStore>,
    lost: Mutex<VecDeque<Answer>>,
    behind: Duration,
}

impl Shaky {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Shaky> {
        Arc::new(Shaky { inner, lost: Mutex::default(), behind: Duration::ZERO })
    }

    /// The same store with a clock that is behind.
    pub fn behind(&self, behind: Duration) -> Arc<Shaky> {
        Arc::new(Shaky { inner: self.inner.clone(), lost: Mutex::default(), behind })
    }

    /// The next conditional write is done, and answered so.
    pub fn lose_next(&self, answer: Answer) {
        self.lost.lock().unwrap().push_back(answer);
    }
}

impl Display for Shaky {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shaky({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn put_opts(&self, at: &Path, body: PutPayload, options: PutOptions) -> Result<PutResult> {
        let conditional = options.mode == PutMode::Create;
        let done = self.inner.put_opts(at, body, options).await?;
        let lost = if conditional { self.lost.lock().unwrap().pop_front() } else { None };
        match lost {
            None => Ok(done),
            Some(Answer::Exists) => {
                Err(Error::AlreadyExists { path: at.to_string(), source: "there".into() })
            }
            Some(Answer::Failure) => Err(Error::Generic { store: "Shaky", source: "no answer".into() }),
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let behind = self.behind;
        let late = move |found: Result<ObjectMeta>| {
            found.map(|meta| ObjectMeta { last_modified: meta.last_modified - behind, ..meta })
        };
        self.inner.list(prefix).map(late).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

mod tests {
    use super::{Answer, Shaky};
    use crate::lake::Lake;

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_is_known_by_its_content() {
        let inner = Lake::open("memory://").unwrap();
        let shaky = Shaky::new(inner.store().clone());
        let lake = Lake::over(inner.url().clone(), shaky.clone()).unwrap();
        for (file, answer) in [("a", Answer::Exists), ("b", Answer::Failure)] {
            shaky.lose_next(answer);
            assert!(lake.create(file, "ours".into()).await.unwrap());
            assert!(!lake.create(file, "theirs".into()).await.unwrap());
            assert_eq!(lake.get(file).await.unwrap().unwrap(), "ours");
        }
        shaky.lose_next(Answer::Failure);
        lake.claim("retail").await.unwrap();
        assert!(lake.claim("other").await.unwrap_err().to_string().contains("`retail`"));
    }
}
