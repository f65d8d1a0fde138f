//! Measures each aggregate function of groups beside what DataFusion needs to say the same, and how fast texts are read:
//! `cargo run -p strata-benches --bin kernels`, one thread, rows in memory. Names given behind `--` choose benches.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use divan::Bencher;
use divan::counter::ItemsCount;
use strata_udfs::text::sentiment as opinions;
use tokio::runtime::{Builder, Runtime};

/// Rows of the table, about what fifty thousand people do in a week.
const ROWS: usize = 2_000_000;
const GROUPS: u64 = 50_000;

fn main() {
    divan::Divan::from_args().run_benches();
}

/// Each function's name, the query with it, and the plain one.
const QUERIES: [(&str, &str, &str); 12] = [
    (
        "value_set",
        "select g, cardinality(value_set(product)) from visits group by g",
        "select g, count(distinct product) from visits group by g",
    ),
    (
        "value_set beside sums",
        "select g, cardinality(value_set(product)), value_set(kind), sum(value), max(at), count(*) from visits group by g",
        "select g, count(distinct product), array_agg(distinct kind order by kind), sum(value), max(at), count(*)
        from visits group by g",
    ),
    (
        "active_days",
        "select g, active_days(cast(at as date)) from visits group by g",
        "select g, count(distinct cast(at as date)) from visits group by g",
    ),
    (
        "mode_by_weight",
        "select g, mode_by_weight(product, 1) from visits group by g",
        "select g, product from (select g, product, row_number() over (partition by g order by n desc, product) as place
        from (select g, product, count(*) as n from visits group by g, product)) where place = 1",
    ),
    (
        "top_n",
        "select g, top_n(product, 1, 3) from visits group by g",
        "select g, array_agg(product order by place) from (
        select g, product, row_number() over (partition by g order by n desc, product) as place
        from (select g, product, count(*) as n from visits group by g, product)) where place <= 3 group by g",
    ),
    (
        "max_by",
        "select g, max_by(kind, at) from visits group by g",
        "select g, last_value(kind order by at, kind) from visits group by g",
    ),
    (
        "entropy",
        "select g, entropy(kind) from visits group by g",
        "select g, -sum(n * log2(n / t)) / max(t) from (
        select g, cast(n as double) as n, sum(cast(n as double)) over (partition by g) as t
        from (select g, count(*) as n from visits group by g, kind)) group by g",
    ),
    (
        "quantile_disc",
        "select g, quantile_disc(value, 0.9) from visits group by g",
        "select g, value from (select g, value, row_number() over (partition by g order by value) as place,
        count(*) over (partition by g) as n from visits) where place = ceil(0.9 * n)",
    ),
    (
        "session_count",
        "select g, session_count(at, interval '30 minutes') from visits group by g",
        "select g, count(*) filter (where before is null or at - before >= interval '30 minutes') from (
        select g, at, lag(at) over (partition by g order by at) as before from visits) group by g",
    ),
    (
        "week_hours",
        "select g, week_hours(at, 'Asia/Shanghai') from visits group by g",
        "select g, local_dow(at, 'Asia/Shanghai'), local_hour(at, 'Asia/Shanghai'), count(*) from visits group by all",
    ),
    (
        "window_funnel",
        "select g, window_funnel(interval '1 hour', '', at, kind = 'view', kind = 'order') from visits group by g",
        "select g, max(case when kind <> 'view' then 0 when next_order <= at + interval '1 hour' then 2 else 1 end) from (
        select g, at, kind, min(case when kind = 'order' then at end) over (
            partition by g order by at rows between current row and unbounded following) as next_order
        from visits) group by g",
    ),
    (
        "fixed_sum",
        "select g, fixed_sum(value) from visits group by g",
        "select g, sum(value) from visits group by g",
    ),
];

static TABLE: LazyLock<(Runtime, SessionContext)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().build().unwrap_or_else(|error| panic!("no runtime: {error}"));
    let context = context().unwrap_or_else(|error| panic!("no table: {error}"));
    (runtime, context)
});

fn context() -> datafusion::common::Result<SessionContext> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    strata_udfs::register(&mut *context.state_ref().write())?;
    let mut state = 42u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let kinds = ["view", "view", "view", "search", "cart", "order", "dwell", "login"];
    let batches = (0..ROWS.div_ceil(8192)).map(|_| {
        let mut column = |n: u64| (0..8192).map(|_| next(n) as i64).collect::<Vec<i64>>();
        let (groups, products, days) = (column(GROUPS), column(5000), column(7 * 24 * 3600));
        let (kind, value) = (column(8), column(100_000));
        let columns: [(&str, ArrayRef); 5] = [
            ("g", Arc::new(Int64Array::from(groups))),
            ("product", Arc::new(Int64Array::from(products))),
            ("kind", Arc::new(StringArray::from_iter_values(kind.iter().map(|kind| kinds[*kind as usize])))),
            ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(days.iter().map(|s| s * 1_000_000)))),
            (
                "value",
                Arc::new(Float64Array::from_iter_values(value.iter().map(|value| *value as f64 / 7.0))),
            ),
        ];
        Ok(RecordBatch::try_from_iter(columns)?)
    });
    let batches = batches.collect::<datafusion::common::Result<Vec<_>>>()?;
    context.register_table("visits", Arc::new(MemTable::try_new(batches[0].schema(), vec![batches])?))?;
    Ok(context)
}

/// The rows of a query, which are counted as they come.
fn run(sql: &str) -> usize {
    let (runtime, context) = &*TABLE;
    let count = async {
        let batches = context.sql(sql).await?.collect().await?;
        datafusion::common::Result::<usize>::Ok(batches.iter().map(RecordBatch::num_rows).sum())
    };
    runtime.block_on(count).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn names() -> impl Iterator<Item = &'static str> {
    QUERIES.iter().map(|(name, ..)| *name)
}

fn query(name: &str, plain: bool) -> &'static str {
    let found = QUERIES.iter().find(|(known, ..)| *known == name);
    found.map_or("", |(_, ours, other)| if plain { other } else { ours })
}

#[divan::bench(args = names(), sample_count = 5, sample_size = 1)]
fn strata(bencher: Bencher, name: &str) {
    bencher.counter(ItemsCount::new(ROWS)).bench(|| run(query(name, false)));
}

#[divan::bench(args = names(), sample_count = 5, sample_size = 1)]
fn datafusion_alone(bencher: Bencher, name: &str) {
    bencher.counter(ItemsCount::new(ROWS)).bench(|| run(query(name, true)));
}

/// Texts as customers write them.
const TEXTS: [&str; 6] = [
    "说一下，物流很快，第二天就到，而且包装很精美，送人有面子！",
    "客户：你好，用了两天就坏了，不过价格正常\n客服：您好，已经为您记录，请稍等。\n客户：好的",
    "客服态度很好，耐心解答。尺寸刚好，就是颜色和图片有点差别，总体满意，会回购。",
    "A friend told me about it; great price, but the courier left the parcel in the rain.",
    "Customer: Hello, the box was torn and everything crushed.\nAgent: Thank you, I have taken a note of it.\nCustomer: okay",
    "After a week: not a single flaw, VERY comfortable!!! Customer service could be faster though :)",
];
/// How often each is read in a sample.
const READ: usize = 1000;

#[divan::bench(args = ["text_language", "text_sentiment", "text_aspects", "vader_compound"], sample_count = 5, sample_size = 1)]
fn texts(bencher: Bencher, name: &str) {
    let read = |text: &str| match name {
        "text_language" => f64::from(opinions::language(text) == opinions::Language::Other),
        "text_sentiment" => opinions::sentiment(text).map_or(0.0, |(_, score)| score),
        "text_aspects" => opinions::aspect_opinions(text).iter().map(|opinion| opinion.score).sum(),
        _ => opinions::compound(text),
    };
    bencher
        .counter(ItemsCount::new(READ * TEXTS.len()))
        .bench(|| (0..READ).map(|_| TEXTS.iter().map(|text| read(text)).sum::<f64>()).sum::<f64>());
}
