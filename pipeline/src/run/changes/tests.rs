//! Files that change between two looks: what is read again, what is noticed, and what is refused.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::execution::SessionState;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};

use super::super::raw::SourceFiles;
use super::super::{AsOf, Outcome, Reporter, RunOptions, run};
use super::check_unchanged;
use crate::engine::planning_state;
use crate::lake::{Lake, store_for};
use crate::project::{PlanNames, Project, Source};

/// What happens before a file is read for the nth time.
type Before = Box<dyn Fn(usize) + Send + Sync>;

/// A local store that counts how often the content of raw files is read, footers left out.
struct Watched {
    inner: Arc<dyn ObjectStore>,
    reads: Mutex<Vec<String>>,
    before: Before,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, at: &Path, body: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        self.inner.put_opts(at, body, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> StoreResult<GetResult> {
        if at.as_ref().contains("/raw/") && !options.head && options.range.is_none() {
            let read = {
                let mut reads = self.reads.lock().unwrap();
                reads.push(at.filename().unwrap_or_default().to_string());
                reads.len()
            };
            (self.before)(read);
        }
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A lake in `folder` whose store calls `before` whenever a raw file is read whole.
fn watched(folder: &FsPath, before: impl Fn(usize) + Send + Sync + 'static) -> (Lake, Arc<Watched>) {
    let url = Lake::open(folder.to_str().unwrap()).unwrap().url().clone();
    let inner = store_for(&url).unwrap();
    let store = Arc::new(Watched { inner, reads: Mutex::default(), before: Box::new(before) });
    (Lake::over(url, store.clone()).unwrap(), store)
}

const CSV: &str = "-- What was sold.\n-- grain: id\n-- event_time: sold_at\n-- clock: true\n\
    create external table raw.sales (\n    id bigint,\n    sold_at timestamp(6)\n)\nstored as csv\nlocation 'raw/sales/'\n";

fn source(ddl: &str, state: &SessionState) -> Source {
    Source::parse(
        "raw/sales.sql",
        ddl,
        "sales",
        &PlanNames::new(state, []),
        (chrono_tz::UTC, &Default::default()),
    )
    .unwrap()
}

/// Replaces files as those do who deliver them: beside, then renamed.
fn deliver(file: &FsPath, content: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let beside = file.with_extension("part");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(beside, file).unwrap();
}

fn sales(ids: &[u32]) -> String {
    let line = |id: &u32| format!("{id},2025-01-01T10:00:00\n");
    "id,sold_at\n".to_string() + &ids.iter().map(line).collect::<String>()
}

/// Long after all files of a test were written: what is read then is remembered.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

/// Changes a file in place, to a content of the same length, and sets its modification time back.
fn change_secretly(file: &FsPath, content: &str) {
    let before = std::fs::metadata(file).unwrap();
    assert_eq!(before.len(), content.len() as u64);
    std::fs::write(file, content).unwrap();
    let changed = |now: std::fs::Metadata| (now.ctime(), now.ctime_nsec());
    // until the file system's clock has gone on
    loop {
        File::options().write(true).open(file).unwrap().set_modified(before.modified().unwrap()).unwrap();
        if changed(std::fs::metadata(file).unwrap()) != changed(before.clone()) {
            break;
        }
    }
    let now = std::fs::metadata(file).unwrap();
    assert_eq!((now.modified().unwrap(), now.ino()), (before.modified().unwrap(), before.ino()));
}

#[tokio::test]
async fn an_unchanged_file_is_read_once_and_a_changed_one_again_though_nothing_but_the_change_time_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, store) = watched(folder.path(), |_| {});
    let (a, b) = (folder.path().join("raw/sales/a.csv"), folder.path().join("raw/sales/b.csv"));
    deliver(&a, &sales(&[1, 2]));
    deliver(&b, &sales(&[3]));
    let state = planning_state().unwrap();
    let source = source(CSV, &state);
    let look = async |source: &Source, now| {
        let files = SourceFiles::inspect_at(&lake, source, now).await.unwrap();
        let mut reads = std::mem::take(&mut *store.reads.lock().unwrap());
        reads.sort();
        (files.files.into_iter().map(|file| file.identity).collect::<Vec<_>>(), reads)
    };

    // within a tick of their clock files may change unseen: they are not remembered
    let (first, reads) = look(&source, SystemTime::now()).await;
    assert_eq!(reads, ["a.csv", "b.csv"]);
    assert_eq!(look(&source, later()).await, (first.clone(), reads));
    assert_eq!(look(&source, later()).await, (first.clone(), vec![]));

    change_secretly(&a, &sales(&[1, 7]));
    let (second, reads) = look(&source, later()).await;
    assert_eq!(reads, ["a.csv"]);
    assert!(first[0] != second[0] && first[1] == second[1], "{first:?} {second:?}");
    // the same content is the same file, whoever wrote it when
    deliver(&a, &sales(&[1, 2]));
    assert_eq!(look(&source, later()).await, (first.clone(), vec!["a.csv".to_string()]));

    // a text file was held against another contract
    let other = self::source(&CSV.replace("id bigint", "id int"), &state);
    assert_eq!(look(&other, later()).await.1, ["a.csv", "b.csv"]);
    assert_eq!(look(&other, later()).await.1, [""; 0]);
    // what is broken is not believed
    lake.put("stages/_files/raw.sales.json", "{\"files\":".into()).await.unwrap();
    assert_eq!(look(&source, later()).await, (first, vec!["a.csv".to_string(), "b.csv".to_string()]));
}

#[tokio::test]
async fn a_file_that_is_not_what_it_was_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let local = Lake::open(folder.path().to_str().unwrap()).unwrap();
    let state = planning_state().unwrap();
    let source = source(CSV, &state);
    let file = folder.path().join("raw/sales/a.csv");
    let inspected = async |lake: &Lake| {
        deliver(&file, &sales(&[1, 2]));
        lake.put("raw/sales/a.csv", sales(&[1, 2]).into()).await.unwrap();
        SourceFiles::inspect(lake, &source).await.unwrap()
    };
    let check = async |lake: &Lake, files: &SourceFiles| {
        check_unchanged(lake, &source, files.files.iter().collect()).await.map_err(|error| error.to_string())
    };
    let refused = |said: Result<(), String>, word: &str| {
        let said = said.unwrap_err();
        assert!(
            said.contains("raw/sales/a.csv") && said.contains(word) && said.contains("help: run again"),
            "{said}"
        );
    };

    let files = inspected(&local).await;
    std::fs::hard_link(&file, folder.path().join("a link")).unwrap();
    check(&local, &files).await.unwrap();
    change_secretly(&file, &sales(&[1, 7]));
    refused(check(&local, &files).await, "was changed");
    let files = inspected(&local).await;
    deliver(&file, &sales(&[1, 2]));
    refused(check(&local, &files).await, "was changed");
    let files = inspected(&local).await;
    std::fs::remove_file(&file).unwrap();
    refused(check(&local, &files).await, "is gone");

    let objects = Lake::open("memory://").unwrap();
    let files = inspected(&objects).await;
    check(&objects, &files).await.unwrap();
    objects.put("raw/sales/a.csv", sales(&[1, 7]).into()).await.unwrap();
    refused(check(&objects, &files).await, "was changed");
    let files = inspected(&objects).await;
    objects.delete("raw/sales/a.csv").await.unwrap();
    refused(check(&objects, &files).await, "is gone");
}

/// A project of one source, one staging table and one published table.
fn project(folder: &FsPath) -> Project {
    let files = [
        ("project.toml", "name = \"sold\"\ntime_zone = \"UTC\"\n"),
        ("raw/sales.sql", CSV),
        (
            "staging/sales.sql",
            "-- One row per sale.\n-- grain: id\n-- store: table\nselect id from raw.sales\n",
        ),
        (
            "segments/sold.sql",
            "-- What was sold.\n-- grain: as_of, id\n-- store: table\nselect id, $as_of as as_of from staging.sales\n",
        ),
    ];
    for (path, text) in files {
        deliver(&folder.join(path), text);
    }
    Project::load(folder.to_str().unwrap(), &planning_state().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_a_run_whose_file_is_replaced_while_it_reads() {
    let files = tempfile::tempdir().unwrap();
    let project = project(files.path());
    let options = RunOptions { as_of: AsOf::Date("2025-02-01".parse().unwrap()), ..RunOptions::default() };
    for removed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("raw/sales/a.csv");
        deliver(&file, &sales(&[1, 2, 3]));
        let replaced = file.clone();
        // the first read hashes it, the second is the scan
        let (lake, _) = watched(folder.path(), move |read| match (read, removed) {
            (2, false) => deliver(&replaced, &sales(&[1, 2, 3, 4])),
            (2, true) => std::fs::remove_file(&replaced).unwrap(),
            _ => {}
        });
        let refused = run(&lake, &project, &options, &Reporter::new(true)).await.unwrap_err();
        assert_eq!(refused.exit_code(), 3, "{refused}");
        let word = if removed { "is gone" } else { "was changed" };
        assert!(
            refused.to_string().contains("raw/sales/a.csv") && refused.to_string().contains(word),
            "{refused}"
        );
        assert!(lake.list("stages/staging/sales/manifests").await.unwrap().is_empty());
        if removed {
            deliver(&file, &sales(&[1, 2, 3, 4]));
        }
        let Outcome::Published(again) = run(&lake, &project, &options, &Reporter::new(true)).await.unwrap()
        else {
            panic!("nothing was published");
        };
        assert_eq!(again.stages["segments.sold"].rows, 4);
    }
}
