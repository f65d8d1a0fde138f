//! Lakes on S3: what is published equals what a lake on disk publishes; writers exclude each other by conditional puts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use strata::Error;
use strata::lake::{
    DataFile, Lake, Publication, Replace, SinkSpec, TableWrite, append, files_at, table_prefix,
    table_version, write_batches,
};
use url::Url;

use crate::support::process::Running;
use crate::support::s3::S3;
use crate::support::world::{SMALL, published_hashes_of_any_run, small_run};
use crate::support::{fails, nothing_to_compute, ok, set_environment};

/// Writers at the same time.
const WRITERS: usize = 8;

#[test]
fn a_lake_on_s3_publishes_the_same_bytes() {
    let s3 = S3::start();
    set_environment(s3.environment("admin"));
    let lake = "s3://lake/worlds/small";
    ok(&[&["generate", "--lake", lake], SMALL].concat());
    ok(&["run", "--lake", lake]);
    assert_eq!(published_hashes_of_any_run(Path::new(lake)), published_hashes_of_any_run(small_run()));
    let said = ok(&["runs", "--lake", lake]);
    assert!(said.contains("2025-"), "{said}");
    // nothing is computed twice
    ok(&["run", "--lake", lake]);
    let again = ok(&["run", "--lake", lake, "--dry-run"]);
    assert!(nothing_to_compute(&again), "{again}");
}

#[test]
fn of_eight_runs_on_s3_one_holds_the_lake() {
    let s3 = S3::start();
    set_environment(s3.environment("admin"));
    let lake = "s3://lake/contended";
    ok(&[&["generate", "--lake", lake], SMALL].concat());
    let mut runs: Vec<Running> = (0..WRITERS).map(|_| Running::start(&["run", "--lake", lake])).collect();
    let codes: Vec<Option<i32>> = runs.iter_mut().map(|run| run.wait().code()).collect();
    let done = codes.iter().filter(|code| **code == Some(0)).count();
    assert!(done >= 1 && codes.iter().all(|code| matches!(code, Some(0 | 75))), "{codes:?}");
    assert_eq!(published_hashes_of_any_run(Path::new(lake)), published_hashes_of_any_run(small_run()));
}

#[test]
fn writers_on_s3_exclude_each_other_by_conditional_puts() {
    let s3 = S3::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lake = in_process(&s3);
        for round in 0..20 {
            let create = |writer: usize| {
                let lake = lake.clone();
                async move { lake.create(&format!("once/{round}"), format!("{writer}").into()).await.unwrap() }
            };
            let made = futures::future::join_all((0..WRITERS).map(create)).await;
            assert_eq!(made.iter().filter(|made| **made).count(), 1, "round {round}: {made:?}");
            let winner = made.iter().position(|made| *made).unwrap();
            assert_eq!(lake.get(&format!("once/{round}")).await.unwrap().unwrap(), winner.to_string());
        }
        let appended = futures::future::join_all((0..WRITERS).map(|writer| append_rows(lake.clone(), writer)));
        appended.await;
        let table = files_at(&lake, "shared", None).await.unwrap().unwrap();
        let rows: u64 = table.files.iter().map(|file| file.rows).sum();
        assert_eq!((table.files.len(), rows), (WRITERS, (0..WRITERS as u64).map(|writer| writer + 1).sum()));
        assert_eq!(table.version, WRITERS as i64 - 1);
    });
}

/// Appends `writer` + 1 rows to a table that others append to, until that succeeds.
async fn append_rows(lake: Lake, writer: usize) {
    let column = arrow::array::Int64Array::from_iter_values(0..=writer as i64);
    let rows = arrow::array::RecordBatch::try_from_iter([("n", Arc::new(column) as arrow::array::ArrayRef)])
        .unwrap();
    let spec = SinkSpec {
        delta_types: true,
        ..SinkSpec::new(&lake, format!("{}/{writer}", table_prefix("shared")))
    };
    let files: Vec<DataFile> = write_batches(&lake, spec, rows.schema(), vec![rows.clone()]).await.unwrap();
    let application = format!("writer {writer}");
    let write = TableWrite {
        name: "shared",
        schema: &rows.schema(),
        partition_by: &[],
        files: &files,
        txn: (&application, 1),
        allow_breaking: false,
    };
    for _ in 0..100 {
        let base = table_version(&lake, "shared").await.unwrap();
        match append(&lake, &write, base, async || Ok(())).await {
            Ok(_) => return,
            Err(Error::Locked(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("writer {writer}: {error}"),
        }
    }
    panic!("writer {writer} never came through");
}

/// A lake on the server for code of this process, which has no `AWS_*` variables.
fn in_process(s3: &S3) -> Lake {
    let store = AmazonS3Builder::new()
        .with_bucket_name("lake")
        .with_endpoint(format!("http://127.0.0.1:{}", s3.port))
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_access_key_id("admin")
        .with_secret_access_key("secret")
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()
        .unwrap();
    Lake::over(Url::parse("s3://lake/in-process/").unwrap(), Arc::new(store)).unwrap()
}

#[test]
fn a_publication_that_was_overtaken_on_s3_is_refused() {
    let s3 = S3::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lake = in_process(&s3);
        append_rows(lake.clone(), 0).await;
        let race = (0..WRITERS).map(|writer| {
            let lake = lake.clone();
            async move {
                let spec = SinkSpec {
                    delta_types: true,
                    ..SinkSpec::new(&lake, format!("{}/p{writer}", table_prefix("shared")))
                };
                let column = arrow::array::Int64Array::from(vec![writer as i64]);
                let column = Arc::new(column) as arrow::array::ArrayRef;
                let rows = arrow::array::RecordBatch::try_from_iter([("n", column)]).unwrap();
                let files = write_batches(&lake, spec, rows.schema(), vec![rows.clone()]).await.unwrap();
                let write = TableWrite {
                    name: "shared",
                    schema: &rows.schema(),
                    partition_by: &[],
                    files: &files,
                    txn: ("publisher", writer as i64 + 1),
                    allow_breaking: false,
                };
                Publication::prepare(&lake, &write, &Replace::All, None)?.commit(async || Ok(())).await
            }
        });
        let outcomes = futures::future::join_all(race).await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(won >= 1, "{outcomes:?}");
        for outcome in &outcomes {
            assert!(matches!(outcome, Ok(_) | Err(Error::Locked(_))), "{outcome:?}");
        }
        let table = files_at(&lake, "shared", None).await.unwrap().unwrap();
        assert_eq!(table.files.len(), 1, "a publication replaces the whole table");
        assert_eq!(table.version, won as i64);
    });
}

#[test]
fn a_store_that_cannot_be_used_is_named_within_30_seconds() {
    let s3 = S3::start();
    let lake = "s3://lake/refusals";
    let refused = |user: &str, change: &[(&str, &str)], code: i32, args: &[&str], words: &[&str]| {
        let mut environment = s3.environment(user);
        environment.extend(change.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        set_environment(environment);
        let started = Instant::now();
        let said = fails(code, args);
        assert!(started.elapsed() < Duration::from_secs(30), "{args:?} took {:?}", started.elapsed());
        for word in words {
            assert!(said.contains(word), "{word} is not in:\n{said}");
        }
    };
    let run = ["run", "--lake", lake];
    refused("admin", &[("AWS_SECRET_ACCESS_KEY", "wrong")], 3, &run, &[lake, "permission denied"]);
    refused("nobody", &[], 3, &run, &[lake, "permission denied"]);
    refused("admin", &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9")], 2, &run, &[lake, "AWS_ENDPOINT_URL"]);
    refused("admin", &[("AWS_ALLOW_HTTP", "false")], 2, &run, &[lake, "AWS_ALLOW_HTTP"]);
    refused(
        "admin",
        &[],
        2,
        &["run", "--lake", "s3://elsewhere/x"],
        &["s3://elsewhere/x", "no bucket `elsewhere`"],
    );
    let generate = ["generate", "--lake", lake, "--scale", "0.001", "--days", "10"];
    refused("reader", &[], 3, &generate, &["permission denied", "write access"]);
    set_environment(s3.environment("admin"));
    ok(&generate);
    refused("reader", &[], 3, &run, &["permission denied", "write access"]);
}
