//! Aggregates in SQL: beside plain expressions, over nothing, in windows, and called wrongly.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::text;

/// A context over a table of visits, cut into partitions of batches; small batches, and states made row by row, when
/// there are several.
fn context(rows: usize, partitions: usize) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(if partitions > 1 { 100 } else { 8192 });
    if partitions > 1 {
        config.options_mut().execution.skip_partial_aggregation_probe_rows_threshold = 1;
        config.options_mut().execution.skip_partial_aggregation_probe_ratio_threshold = 0.0;
    }
    let context = SessionContext::new_with_config(config);
    crate::register(&mut *context.state_ref().write()).unwrap();
    // a multiplicative generator: enough to mix, and the same everywhere
    let mut state = 42u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as i64
    };
    let mut groups = Vec::new();
    let (mut products, mut kinds, mut instants, mut values) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        groups.push(next(40));
        products.push((next(10) > 0).then(|| next(50)));
        kinds.push(["view", "cart", "order", "login"][next(4) as usize]);
        instants.push(1_700_000_000_000_000 + next(30 * 24 * 3600) * 1_000_000);
        values.push((next(9) > 0).then(|| next(1000) as f64 / 7.0));
    }
    let instants: ArrayRef = Arc::new(arrow::array::TimestampMicrosecondArray::from(instants));
    let batch = RecordBatch::try_from_iter([
        ("g", Arc::new(Int64Array::from(groups)) as ArrayRef),
        ("product", Arc::new(Int64Array::from(products))),
        ("kind", Arc::new(StringArray::from(kinds))),
        ("at", instants),
        ("value", Arc::new(Float64Array::from(values))),
    ])
    .unwrap();
    let step = rows.div_ceil(partitions);
    let parts = (0..partitions).map(|part| {
        let (from, to) = (part * step, ((part + 1) * step).min(rows));
        (from..to).step_by(70).map(|at| batch.slice(at, 70.min(to - at))).collect()
    });
    let table = MemTable::try_new(batch.schema(), parts.collect()).unwrap();
    context.register_table("visits", Arc::new(table)).unwrap();
    context
}

async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| text(column, row)).collect::<Vec<_>>().join(" | "));
        }
    }
    rows
}

/// Each aggregate beside SQL that says the same at length.
#[tokio::test]
async fn they_say_what_plain_sql_says() {
    let pairs = [
        (
            "select g, value_set(product) from visits group by g",
            "select g, array_agg(distinct product order by product) filter (where product is not null)
            from visits group by g",
        ),
        (
            "select g, value_set(kind) filter (where product > 20) from visits group by g",
            "select g, array_agg(distinct kind order by kind) filter (where product > 20) from visits group by g",
        ),
        (
            "select g, value_set(products) from (select g, kind, value_set(product) as products
            from visits group by g, kind) group by g",
            "select g, value_set(product) from visits group by g",
        ),
        (
            "select g, active_days(cast(at as date)) from visits group by g",
            "select g, count(distinct cast(at as date)) from visits group by g",
        ),
        (
            "select g, mode_by_weight(kind, product) from visits group by g",
            "select g, kind from (select g, kind, row_number() over (partition by g order by w desc, kind) as n
            from (select g, kind, sum(product) as w from visits where product is not null group by g, kind)) where n = 1",
        ),
        (
            "select g, top_n(product, 1, 3) from visits group by g",
            "select g, array_agg(named_struct('value', product, 'total', w) order by n)
            from (select g, product, w, row_number() over (partition by g order by w desc, product) as n
            from (select g, product, count(*) as w from visits where product is not null group by g, product))
            where n <= 3 group by g",
        ),
        (
            "select g, min_by(kind, at), max_by(product, at) from visits group by g",
            "select g, first_value(kind order by at, kind),
            first_value(product order by at desc, product) filter (where product is not null) from visits group by g",
        ),
        (
            "select g, round(entropy(kind), 9) from visits group by g",
            "select g, round(-sum(n * log2(n / t)) / max(t), 9) from (
            select g, cast(n as double) as n, sum(cast(n as double)) over (partition by g) as t
            from (select g, count(*) as n from visits group by g, kind)) group by g",
        ),
        (
            "select g, quantile_disc(value, 0.3) from visits group by g",
            "select g, value from (select g, value, row_number() over (partition by g order by value) as n,
            count(*) over (partition by g) as t from visits where value is not null) where n = ceil(0.3 * t)",
        ),
        (
            "select g, quantile_disc(value, [0.3, 1])[1], quantile_disc(value, [0.3, 1])[2] from visits group by g",
            "select g, quantile_disc(value, 0.3), quantile_disc(value, 1) from visits group by g",
        ),
        (
            "select g, session_count(at, interval '3 hours') from visits group by g",
            "select g, count(*) filter (where before is null or at - before >= interval '3 hours') from (
            select g, at, lag(at) over (partition by g order by at) as before from visits) group by g",
        ),
        (
            "select g, week_hours(at, 'Asia/Shanghai')[30] from visits group by g",
            "select g, count(*) filter (where local_dow(at, 'Asia/Shanghai') = 2 and local_hour(at, 'Asia/Shanghai') = 5)
            from visits group by g",
        ),
        (
            "select g, array_length(week_hours(at, 'UTC')) from visits group by g",
            "select distinct g, 168 from visits",
        ),
        (
            "select g, window_funnel(interval '5 hours', '', at, kind = 'view', kind = 'order') from visits group by g",
            "select v.g, max(case when v.kind = 'view' then case when o.g is null then 1 else 2 end else 0 end)
            from visits v left join visits o on v.g = o.g and o.kind = 'order' and v.kind = 'view'
            and o.at >= v.at and o.at <= v.at + interval '5 hours' group by v.g",
        ),
        (
            "select g, sequence_match('(?1)(?t<=600)(?2)', at, kind = 'view', kind = 'order') from visits group by g",
            "select v.g, max(cast(o.g is not null as int)) = 1
            from visits v left join visits o on v.g = o.g and o.kind = 'order' and v.kind = 'view'
            and o.at > v.at and o.at <= v.at + interval '10 minutes' group by v.g",
        ),
        (
            "select g, round(fixed_sum(value), 6) from visits group by g",
            "select g, round(sum(value), 6) from visits group by g",
        ),
    ];
    let (whole, parts) = (context(6000, 1), context(6000, 5));
    for (ours, plain) in pairs {
        let expected = rows(&whole, &format!("select * from ({plain}) order by 1")).await;
        assert_eq!(expected.len(), 40, "{plain}");
        for context in [&whole, &parts] {
            assert_eq!(
                rows(context, &format!("select * from ({ours}) order by 1")).await,
                expected,
                "{ours}"
            );
        }
        // without groups, and without rows
        let alone = ours.replace(" group by g", "").replacen("select g, ", "select ", 1);
        if !ours.contains("from (select") {
            assert_eq!(rows(&whole, &alone).await, rows(&parts, &alone).await, "{alone}");
            let nothing = alone.replace("from visits", "from visits where g < 0");
            assert_eq!(rows(&parts, &nothing).await.len(), 1, "{nothing}");
        }
    }
}

#[tokio::test]
async fn of_nothing() {
    let context = context(10, 2);
    let sql = "select value_set(product), active_days(cast(at as date)), mode_by_weight(kind, 1), top_n(kind, 1, 2),
        min_by(kind, at), entropy(kind), quantile_disc(value, 0.5), session_count(at, interval '1 hour'),
        window_funnel(interval '1 hour', '', at, true), sequence_match('(?1)', at, true), fixed_sum(value),
        first_seen(kind, at), hours_seen(kind, 5), session_paths(kind, at, interval '1 hour')
        from visits where g < 0";
    assert_eq!(
        rows(&context, sql).await,
        ["[] | 0 | NULL | [] | NULL | NULL | NULL | 0 | 0 | false | NULL | [] | [] | []"]
    );
}

/// The answer of a function about instants (in seconds) at which letters happened.
async fn chain(letters: &str, call: &str) -> String {
    let context = context(1, 1);
    let values = letters.split_whitespace().map(|event| {
        let (what, second) = event.split_at(event.find(|c: char| c.is_ascii_digit()).unwrap());
        format!("('{what}', to_timestamp_micros({second} * 1000000))")
    });
    let values = values.collect::<Vec<_>>().join(", ");
    rows(&context, &format!("select {call} from (values {values}) t(what, at)")).await.remove(0)
}

/// Expected levels follow ClickHouse's source and documentation of windowFunnel.
#[tokio::test]
async fn funnels_as_in_clickhouse() {
    let steps = "at, what like '%A%', what like '%B%', what like '%C%')";
    for (letters, mode, level) in [
        ("A1 B2 C3", "", "3"),
        ("C1 B2 A3", "", "1"),
        ("B1 C2", "", "0"),
        ("A1 B2 C12", "", "2"),
        ("A1 B2 C11", "", "3"),
        // a later start replaces an earlier one
        ("A1 A5 B6 C14", "", "3"),
        ("A1 B2 A5 B6 C14", "", "3"),
        ("A1 B2 A5 C14", "", "2"),
        ("A1 D2 B3 D4 C5", "", "3"),
        ("A1 D2 B3 C5", "strict_order", "1"),
        ("D1 A2 B3 D4 C5", "strict_order", "2"),
        ("A1 C2 B3 C4", "strict_order", "1"),
        ("A1 C2 B3 C4", "strict_order,allow_reentry", "3"),
        ("B1 A2 B3 C4", "strict_order", "3"),
        ("A1 B2 B3 C4", "strict_deduplication", "2"),
        ("A1 A2 B3 C4", "strict_deduplication", "3"),
        ("A1 B2 B3 C4", "", "3"),
        ("A1 B1 C1", "", "3"),
        ("A1 B1 C1", "strict_increase", "1"),
        ("A1 B2 C2", "strict_increase", "2"),
        ("AB1 C2", "", "3"),
        ("AB1 C2", "strict_once", "1"),
        ("AB1 AB1 C2", "strict_once", "3"),
        ("AB1 BC2 C3", "strict_once", "3"),
        ("ABC1 ABC2", "strict_once", "2"),
        ("A1 A5 B6 C11", "strict_once", "3"),
        ("C1 B1 A1", "", "3"),
        ("C1 B1 A1", "strict_order", "3"),
        ("C1 B1 A1", "strict_deduplication", "3"),
    ] {
        let call = format!("window_funnel(interval '10 seconds', '{mode}', {steps}");
        assert_eq!(chain(letters, &call).await, level, "{letters} {mode}");
    }
}

/// Expected answers follow ClickHouse's source and documentation of sequenceMatch.
#[tokio::test]
async fn sequences_as_in_clickhouse() {
    for (letters, pattern, matches) in [
        ("A1 C2 B3", "(?1)(?2)", false),
        ("A1 D2 B3", "(?1)(?2)", true),
        ("A1 C2 B3", "(?1).*(?2)", true),
        ("A1 C2 B3", "(?1).(?2)", true),
        ("A1 C2 C3 B4", "(?1).(?2)", false),
        ("A1 C2 C3 B4", "(?1)..(?2)", true),
        ("B1 A2", "(?1)(?2)", false),
        ("A1 B2 A5 B9", "(?1)(?t>3)(?2)", true),
        ("A1 B2 A5 B8", "(?1)(?t>=7)(?2)", true),
        ("A1 B2 A5 B8", "(?1)(?t>7)(?2)", false),
        ("A1 C2 B4", "(?1)(?t<3)(?2)", false),
        ("A1 C2 B4", "(?1)(?t<=3)(?2)", true),
        ("A1 C2 B4", "(?1)(?t==3)(?2)", true),
        ("A1 C2 B4", "(?1)(?t==2)(?2)", false),
        ("A1 C2 B4", "(?1).*(?t<=0)(?2)", true),
        ("A1", "(?1)", true),
        ("A1", "(?1).*", true),
        ("A1", "(?1).", false),
        ("A1", "(?1)(?t>=0)", false),
        ("A1 A2", "(?1)(?t>=1)", true),
        ("D1", "", true),
        ("AB1", "(?1)(?2)", false),
        ("AB1", "(?1)", true),
        ("A1 B2 C3 A4 B5", "(?1)(?2)(?3)(?1)(?2)", true),
        ("A1 A2 A3 B9", "(?1)(?t<=6)(?2)", true),
        ("A1 A2 A3 B9", "(?1)(?1)(?1)(?t<6)(?2)", false),
        // rows of one instant come in the order of the pattern
        ("C1 B1 A1", "(?1)(?2)(?3)", true),
        ("A1 B1 C1", "(?3)(?2)(?1)", true),
        ("A1 B1", "(?2)(?t<=0)(?1)", true),
        ("A1 B1", "(?2)(?1)(?2)", false),
        ("A1 B2", "(?2)(?1)", false),
    ] {
        let call =
            format!("sequence_match('{pattern}', at, what like '%A%', what like '%B%', what like '%C%')");
        assert_eq!(chain(letters, &call).await, matches.to_string(), "{letters} {pattern}");
    }
}

/// A view, a cart and an order within one second are a path in that order, whatever their letters and their rows' order.
#[tokio::test]
async fn steps_of_one_instant_follow_the_order_of_steps() {
    for (letters, order, path) in [
        ("v1 c1 o1", "vco", "vco"),
        ("o1 c1 v1", "vco", "vco"),
        ("o1 c1 v1 v1", "vco", "vco"),
        ("c1 v1 o2", "vco", "vco"),
        ("o1 v2 c2", "vco", "ovc"),
        ("x1 o1 a1 v1", "vco", "voax"),
        ("v1 c1 o1", "", "cov"),
    ] {
        let call = |path: &str| format!("(session_paths(what, at, interval '1 hour'{path}))[1]['path']");
        let ordered = format!(", '{order}'");
        assert_eq!(chain(letters, &call(&ordered)).await, path, "{letters} {order}");
        if order.is_empty() {
            assert_eq!(chain(letters, &call("")).await, path, "{letters}");
        }
        // the same from parts that start together
        let parts = "[named_struct('started_at', at, 'ended_at', at, 'steps', 1, 'path', what)]";
        let joined = format!("(join_sessions({parts}, 'me', true, interval '1 hour', '{order}'))[1]['path']");
        assert_eq!(chain(letters, &joined).await, path, "joined {letters} {order}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_answered_with_the_remedy() {
    let context = context(10, 1);
    for (call, words) in [
        ("value_set(true)", "cast it to bigint"),
        ("value_set()", "takes 1 argument"),
        ("active_days(at)", "local_date gives one"),
        ("top_n(kind, 1, 0)", "from 1"),
        ("top_n(kind, 1, product)", "constant"),
        ("top_n(kind, value, 3)", "weight must be an integer"),
        ("min_by(kind, kind)", "argument key must be a number"),
        ("quantile_disc(value, 2)", "from 0 to 1"),
        ("quantile_disc(value, [0.5, 2])", "from 0 to 1"),
        ("quantile_disc(kind, 0.5)", "number, date or timestamp"),
        ("session_count(at, interval '1 month')", "without months"),
        ("session_count(at, interval '0 seconds')", "above zero"),
        ("session_count(kind, interval '1 hour')", "must be a timestamp"),
        ("week_hours(at, 'Moon')", "'Moon'"),
        ("window_funnel(interval '1 hour', 'strict', at, true)", "mode 'strict' is not known"),
        ("window_funnel(interval '1 hour', 'allow_reentry', at, true)", "goes with strict_order"),
        ("window_funnel(interval '1 hour', '', at)", "1 to 32 conditions"),
        ("window_funnel(3600, '', at, true)", "window must be an interval"),
        ("window_funnel(interval '1 hour', '', at, 1)", "must be a boolean"),
        ("sequence_match('(?3)', at, true)", "a condition that is not there at place 1"),
        ("sequence_match('(?1)(?t<=1)(?t>2)', at, true)", "a time behind a time at place 12"),
        ("sequence_match('(?1)x', at, true)", "at place 5"),
        ("sequence_match('(?1', at, true)", "closing parenthesis"),
        ("value_set(distinct kind), count(*)", "distinct"),
        ("fixed_sum(value / 0.0)", "cannot be summed"),
    ] {
        let answer = match context.sql(&format!("select {call} from visits")).await {
            Ok(frame) => frame.collect().await.map(|_| ()),
            Err(error) => Err(error),
        };
        let message = answer.map_err(|error| error.to_string()).expect_err(call);
        assert!(message.contains(words), "{call}: {message}");
    }
}

#[tokio::test]
async fn windows_grow_with_their_frames() {
    let context = context(300, 1);
    let sql =
        "select value_set(kind) over (order by at rows between unbounded preceding and current row) as kinds
        from visits order by at limit 3";
    let kinds = rows(&context, sql).await;
    assert!(kinds.windows(2).all(|pair| pair[0].len() <= pair[1].len()), "{kinds:?}");
    let count = "select count(*) from (select cardinality(value_set(kind) over (order by at)) as n from visits) where n = 4";
    let seen = rows(&context, count).await;
    assert!(seen[0].parse::<i64>().unwrap() > 280, "{seen:?}");
}
