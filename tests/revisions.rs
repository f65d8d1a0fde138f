//! Revisions: what functions, trainers, the engine and the sink give is pinned, and changes only with a
//! raised revision.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::{pretty_format_batches, pretty_format_columns};
use datafusion::common::ParamValues;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use sha2::{Digest, Sha256};
use strata::engine::{Engine, EngineOptions};
use strata::lake::{Lake, SinkSpec, write_batches};
use strata::project::Revisions;
use strata::trainer::Trainer;
use strata_udfs::text::{PseudonymKey, PseudonymKeys};

use crate::support::repository;

/// What is pinned of one thing: by which revision it gave what.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pin {
    revision: String,
    digest: String,
}

type Pins = BTreeMap<String, Pin>;

/// Lines `NAME | REVISION | DIGEST`.
fn read(text: &str) -> Pins {
    let line = |line: &str| {
        let mut fields = line.split(" | ").map(str::to_string);
        Some((fields.next()?, Pin { revision: fields.next()?, digest: fields.next()? }))
    };
    text.lines().filter_map(line).collect()
}

fn write(pins: &Pins) -> String {
    pins.iter().map(|(name, pin)| format!("{name} | {} | {}\n", pin.revision, pin.digest)).collect()
}

/// What is to be pinned from now on, and what must not be: other results under the same revision.
fn compare(pinned: &Pins, found: &Pins) -> (Pins, Vec<String>) {
    let mut wrong = Vec::new();
    let mut next = Pins::new();
    for (name, now) in found {
        let kept = match pinned.get(name) {
            Some(then) if then.revision == now.revision && then.digest != now.digest => {
                wrong.push(format!("outputs of {name} changed: raise its revision"));
                then
            }
            _ => now,
        };
        next.insert(name.clone(), kept.clone());
    }
    (next, wrong)
}

fn digest(texts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.as_ref().len() as u64).to_le_bytes());
        hasher.update(text.as_ref());
    }
    hasher.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// The statements of `tests/revisions.sql` by what they pin; those before the first are under the empty name.
fn statements(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    let text = text.replace("{key}", &PseudonymKey::demo().fingerprint());
    for block in text.split("\n\n").map(str::trim) {
        match block.strip_prefix("-- ") {
            Some(title) if title.starts_with("function ") || title == "engine" => name = title.to_string(),
            Some(_) => {}
            None if block.is_empty() => {}
            None => found.entry(name.clone()).or_default().push(block.to_string()),
        }
    }
    found
}

/// What a query gives, rows in an order of their own.
async fn rows(context: &SessionContext, sql: &str, models: &[(&str, ScalarValue)]) -> String {
    let frame = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let frame = match sql.contains('$') {
        true => frame.with_param_values(ParamValues::from(models.to_vec())).unwrap(),
        false => frame,
    };
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let mut lines: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
    lines.sort_unstable();
    lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

type TrainerCase = (&'static str, &'static [&'static [(&'static str, &'static str)]], &'static str);

/// Each kind of trainer: its name, several headers, and its rows as SQL.
const TRAINERS: &[TrainerCase] = &[
    (
        "kmeans",
        &[
            &[("k", "2..4"), ("starts", "4"), ("bootstraps", "3"), ("min_share", "0.01")],
            &[
                ("k", "3"),
                ("transform", "h=log1p, x=rank"),
                ("scale", "standard"),
                ("weights", "w=2"),
                ("groups", "x=a, w=a"),
                ("sample_rows", "150"),
                ("polish", "2"),
                ("titles_zh", "h=小时"),
                ("bootstraps", "0"),
            ],
        ],
        "select cast(n as varchar) as key, x, w, h from events",
    ),
    (
        "hdbscan",
        &[&[("min_cluster_size", "12"), ("min_samples", "4"), ("bootstraps", "2"), ("scale", "standard")]],
        "select cast(n as varchar) as key, x / 4 as x, w, case when n % 3 = 0 then 100 else 0 end + h as h from events",
    ),
    (
        "factors",
        &[
            &[("components", "2"), ("rotation", "varimax")],
            &[("components", "1"), ("method", "factor"), ("transform", "h=log1p")],
        ],
        "select cast(n as varchar) as key, x, w, h + x / 8 as h from events where x is not null and w is not null",
    ),
    (
        "reference",
        &[&[("quantiles", "0.2, 0.4, 0.6, 0.8")]],
        "select cast(n as varchar) as key, x, w from events",
    ),
    (
        "linkage",
        &[&[("personal", "birth")], &[]],
        "select p.of_set, cast(ceil(p.pairs * a.share * b.share * c.share) as bigint) as pairs, a.level as name, b.level as birth,
            case when p.of_set <> 'street' then c.level end as street
        from (values ('random', 900000), ('candidates', 60000), ('phone', 40000), ('street', 20000)) as p (of_set, pairs)
        inner join (values ('random', 0, .93), ('random', 1, .05), ('random', 2, .02), ('candidates', 0, .5), ('candidates', 2, .5),
            ('phone', 0, .4), ('phone', 1, .1), ('phone', 2, .5), ('street', 0, .6), ('street', 2, .4)) as a (of_set, level, share) on a.of_set = p.of_set
        inner join (values ('random', 0, .97), ('random', 1, .03), ('candidates', 0, .6), ('candidates', 1, .4),
            ('phone', 0, .5), ('phone', 1, .5), ('street', 0, .7), ('street', 1, .3)) as b (of_set, level, share) on b.of_set = p.of_set
        cross join (values (0, .8), (1, .2), (null, .1)) as c (level, share)
        union all
        select 'all', 1000000, null, null, null",
    ),
];

/// The models of a trainer, one for each of its headers.
async fn train(
    context: &SessionContext,
    kind: &str,
    headers: &[&[(&str, &str)]],
    sql: &str,
) -> Vec<ScalarValue> {
    let plan = context.sql(sql).await.unwrap().into_optimized_plan().unwrap();
    let columns: Vec<String> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut models = Vec::new();
    for header in headers {
        let header = header.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let trainer = Trainer::from_header(kind, &header).unwrap();
        assert_eq!(trainer.kind(), kind);
        let run = async |plan| context.execute_logical_plan(plan).await.unwrap();
        let open = async || Ok(run(plan.clone()).await.execute_stream().await.unwrap());
        let trained = trainer.train(&columns, open, None).await.unwrap();
        let step = async |step| Ok(run(step).await.collect().await.unwrap());
        models.push(trainer.polish(trained, &plan, step).await.unwrap().model);
    }
    models
}

fn shown(models: &[ScalarValue]) -> String {
    let arrays: Vec<ArrayRef> = models.iter().map(|model| model.to_array().unwrap()).collect();
    arrays
        .iter()
        .map(|array| pretty_format_columns("model", std::slice::from_ref(array)).unwrap().to_string())
        .collect()
}

/// The bytes of the files that the sink makes of a fixed batch, as a stage's result and as a Delta table's.
async fn written(lake: &Lake) -> Vec<Vec<u8>> {
    let texts: StringArray = (0..500).map(|n| (n % 9 != 0).then(|| format!("t{}", n * n % 77))).collect();
    let parts: StringArray = (0..500).map(|n| Some(["a", "b", "c/ d"][n % 3])).collect();
    let numbers: Int64Array = (0..500).map(|n| (n % 7 != 0).then_some(n * 7919 % 1013)).collect();
    let columns: [(&str, ArrayRef); 3] =
        [("text", Arc::new(texts)), ("part", Arc::new(parts)), ("number", Arc::new(numbers))];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    let mut contents = Vec::new();
    for (prefix, partition_by, delta_types) in
        [("own", None, false), ("delta", Some("part".to_string()), true)]
    {
        let mut spec = SinkSpec::new(lake, prefix);
        spec.sort_by = vec!["number".into(), "text".into()];
        spec.partition_by = partition_by.into_iter().collect();
        spec.delta_types = delta_types;
        let mut files = write_batches(lake, spec, batch.schema(), vec![batch.clone()]).await.unwrap();
        files.sort_by(|a, b| a.partition.cmp(&b.partition));
        for file in files {
            contents.push(format!("{:?} {} rows", file.partition, file.rows).into_bytes());
            contents.push(lake.get(&file.path).await.unwrap().unwrap().to_vec());
        }
    }
    contents
}

/// What everything that has a revision gives now.
async fn found() -> Pins {
    let revisions = Revisions::current();
    let lake = Lake::open("memory://").unwrap();
    let engine = {
        let pseudonyms = PseudonymKeys::of(Some(PseudonymKey::demo()));
        Engine::local(&lake, EngineOptions { threads: 2, pseudonyms, ..EngineOptions::default() }).unwrap()
    };
    let context = SessionContext::new_with_state(engine.state().clone());
    let blocks = statements(&std::fs::read_to_string(repository().join("tests/revisions.sql")).unwrap());
    for statement in &blocks[""] {
        context
            .sql(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}\n{error}"))
            .collect()
            .await
            .unwrap();
    }
    let mut pins = Pins::new();
    let mut models = Vec::new();
    for (kind, headers, sql) in TRAINERS {
        let trained = train(&context, kind, headers, sql).await;
        let pin = Pin { revision: revisions.trainers[*kind].clone(), digest: digest([shown(&trained)]) };
        pins.insert(format!("trainer {kind}"), pin);
        models.push((*kind, trained[0].clone()));
    }
    for (name, queries) in blocks.iter().filter(|(name, _)| !name.is_empty()) {
        let mut results = Vec::new();
        for sql in queries {
            results.push(rows(&context, sql, &models).await);
        }
        let revision = match name.strip_prefix("function ") {
            Some(function) if strata_udfs::data_packages(function).contains(&"chrono-tz") => {
                format!("{}, time zones {}", revisions.functions[function], revisions.time_zones)
            }
            Some(function) => revisions.functions[function].clone(),
            None => revisions.engine.clone(),
        };
        pins.insert(name.clone(), Pin { revision, digest: digest(&results) });
    }
    pins.insert("sink".into(), Pin { revision: revisions.sink, digest: digest(&written(&lake).await) });
    pins
}

/// `STRATA_UPDATE=1` pins what is new or has another revision, and nothing else.
#[tokio::test]
async fn results_change_only_with_a_raised_revision() {
    let path = repository().join("tests/revisions.txt");
    let pinned = read(&std::fs::read_to_string(&path).unwrap_or_default());
    let found = found().await;
    let (next, wrong) = compare(&pinned, &found);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if next != pinned {
        assert!(
            std::env::var_os("STRATA_UPDATE").is_some(),
            "tests/revisions.txt lacks what is new, or of another revision: run with STRATA_UPDATE=1"
        );
        std::fs::write(&path, write(&next)).unwrap();
    }
}

#[test]
fn whatever_has_a_revision_is_pinned() {
    let blocks = statements(&std::fs::read_to_string(repository().join("tests/revisions.sql")).unwrap());
    let pinned: BTreeSet<String> =
        blocks.into_keys().filter_map(|name| Some(name.strip_prefix("function ")?.to_string())).collect();
    let functions: BTreeSet<String> = Revisions::current().functions.into_keys().collect();
    assert_eq!(pinned, functions, "tests/revisions.sql has other functions than there are");
    let trainers: BTreeSet<&str> = TRAINERS.iter().map(|(kind, ..)| *kind).collect();
    let kinds = Revisions::current().trainers;
    assert_eq!(trainers, kinds.keys().map(String::as_str).collect());
}

#[test]
fn other_results_are_pinned_only_under_another_revision() {
    let pins = |list: &[(&str, &str, &str)]| -> Pins {
        let pin = |(name, revision, digest): &(&str, &str, &str)| {
            (name.to_string(), Pin { revision: revision.to_string(), digest: digest.to_string() })
        };
        list.iter().map(pin).collect()
    };
    let pinned = pins(&[("function a", "1", "x"), ("function b", "1", "x"), ("gone", "1", "x")]);
    assert_eq!(read(&write(&pinned)), pinned);
    let found = pins(&[("function a", "1", "y"), ("function b", "2", "y"), ("new", "1", "z")]);
    let (next, wrong) = compare(&pinned, &found);
    assert_eq!(wrong, ["outputs of function a changed: raise its revision"]);
    assert_eq!(next, pins(&[("function a", "1", "x"), ("function b", "2", "y"), ("new", "1", "z")]));
}
