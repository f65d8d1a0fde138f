//! Tests of all functions together, through SQL.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SessionStateDefaults;
use datafusion::prelude::SessionContext;

use super::*;

const OVERRIDDEN: [&str; 9] =
    ["ln", "log", "log2", "log10", "exp", "power", "pow", "make_array", "make_list"];

fn context() -> SessionContext {
    let context = SessionContext::new();
    register(&mut context.state()).unwrap();
    let state = context.state_ref();
    register(&mut *state.write()).unwrap();
    context
}

async fn query(sql: &str) -> Vec<RecordBatch> {
    context().sql(sql).await.unwrap().collect().await.unwrap()
}

async fn value(expression: &str) -> String {
    let batches = query(&format!("select cast({expression} as varchar)")).await;
    let value = ScalarValue::try_from_array(batches[0].column(0), 0).unwrap();
    value.to_string()
}

async fn error(sql: &str) -> String {
    match context().sql(sql).await {
        Err(error) => error.to_string(),
        Ok(frame) => frame.collect().await.unwrap_err().to_string(),
    }
}

#[test]
fn no_name_is_given_twice_and_none_hides_a_built_in_by_accident() {
    let scalars = all_scalar();
    let aggregates = all_aggregate();
    let mut seen = HashSet::new();
    let aliases = scalars.iter().flat_map(|function| function.aliases().iter().cloned());
    let names = scalars.iter().map(|function| function.name().to_string());
    let more = aggregates.iter().map(|function| function.name().to_string());
    for name in names.chain(aliases).chain(more) {
        assert!(seen.insert(name.clone()), "{name} twice");
    }
    let mut built_in: HashSet<String> = HashSet::new();
    for function in SessionStateDefaults::default_scalar_functions() {
        built_in.insert(function.name().to_string());
        built_in.extend(function.aliases().iter().cloned());
    }
    built_in.extend(SessionStateDefaults::default_aggregate_functions().iter().map(|f| f.name().to_string()));
    built_in.extend(SessionStateDefaults::default_window_functions().iter().map(|f| f.name().to_string()));
    let mut hidden: Vec<_> = seen.intersection(&built_in).map(String::as_str).collect();
    hidden.sort_unstable();
    let mut expected = OVERRIDDEN.to_vec();
    expected.sort_unstable();
    assert_eq!(hidden, expected);
}

#[test]
fn the_reference_names_every_function() {
    let markdown = reference();
    let names = all_scalar().iter().map(|f| f.name().to_string()).collect::<Vec<_>>();
    for name in names.into_iter().chain(all_aggregate().iter().map(|f| f.name().to_string())) {
        assert!(markdown.contains(&format!("### `{name}`")), "{name}");
    }
    assert!(all_scalar().iter().all(|f| f.documentation().is_some_and(|d| d.arguments.is_some())));
}

#[tokio::test]
async fn constants() {
    for (expression, expected) in [
        ("fold_width(' Ａ　ｂ ')", "A b"),
        ("trim_to_null(' A1 ')", "A1"),
        ("normalize_email('A@B.CN')", "a@b.cn"),
        ("normalize_phone('138 1234 5678', 'CN')", "+8613812345678"),
        ("normalize_name('Mr. Wang')", "wang"),
        ("closest('gmial.com', ['gmail.com', null, 'hotmail.com'], 1)", "gmail.com"),
        ("split_address('浙江杭州市西湖区文三路100号')['district']", "西湖区"),
        ("text_language('质量很好')", "zh"),
        ("text_language('la calidad es buena')", "other"),
        ("text_sentiment('质量非常好')['polarity']", "positive"),
        ("text_sentiment('it broke after two days')['polarity']", "negative"),
        ("text_sentiment('la calidad es buena')['language']", "other"),
        ("text_sentiment('la calidad es buena')['score']", "NULL"),
        ("text_aspects('物流很慢，但是客服态度很好')[1]['aspect']", "delivery"),
        ("text_aspects('物流很慢，但是客服态度很好')[1]['polarity']", "negative"),
        ("text_aspects('物流很慢，但是客服态度很好')[2]['polarity']", "positive"),
        ("text_aspects('hello')[1]['aspect']", "NULL"),
        ("vader_compound('The book was good.')", "0.4404"),
        ("parse_date('2025年1月31日')", "2025-01-31"),
        ("to_money(1.005)", "1.01"),
        ("to_money(cast(1.005 as decimal(10, 4)))", "1.01"),
        ("to_money('x')", "NULL"),
        ("to_money(7)", "7.00"),
        ("local_date(timestamp '2025-01-31 17:00:00', 'Asia/Shanghai')", "2025-02-01"),
        ("local_hour(timestamp '2025-01-31 17:30:00', 'Asia/Shanghai')", "1"),
        ("local_dow(timestamp '2025-01-31 17:00:00', 'Asia/Shanghai')", "6"),
        ("local_date(arrow_cast(0, 'Timestamp(Second, Some(\"+08:00\"))'), 'UTC')", "1970-01-01"),
        ("day_start(date '2025-02-01', 'Asia/Shanghai')", "2025-01-31T16:00:00"),
        ("interval_index([timestamp '2025-01-01', timestamp '2025-02-01'], timestamp '2025-01-15')", "1"),
        ("interval_index(null, timestamp '2025-01-15')", "0"),
        ("ln(1)", "0.0"),
        ("log(2, 8)", "3.0"),
        ("log(100)", "2.0"),
        ("power(2, 10)", "1024.0"),
        ("round(wilson_interval(81, 263, 1.959964)['low'], 4)", "0.2553"),
        ("round(newcombe_interval(56, 70, 48, 80, 1.959964)['high'], 4)", "0.3339"),
        ("round(two_proportion_p(15, 50, 25, 50), 5)", "0.04123"),
        ("wilson_interval(0, 0, 1.96) is null", "true"),
        ("pow(2, 0.5) = sqrt(2)", "true"),
        ("pseudonym('a', '955b44f0cb57d98cf642faf8a4b9d4ea')", "5468b3612ae42bb3"),
    ] {
        assert_eq!(value(expression).await, expected, "{expression}");
    }
}

#[tokio::test]
async fn null_in_null_out() {
    for expression in [
        "fold_width(null)",
        "wilson_interval(null, 2, 1.96)['low']",
        "newcombe_interval(1, 2, null, 3, 1.96)['low']",
        "two_proportion_p(1, 2, 1, null)",
        "trim_to_null('  ')",
        "normalize_email(null)",
        "normalize_phone(null, 'CN')",
        "normalize_phone('1', null)",
        "normalize_name(null)",
        "closest(null, ['a'], 1)",
        "closest('a', null, 1)",
        "split_address(null)['city']",
        "text_language(null)",
        "text_sentiment(null)['language']",
        "text_aspects(null)[1]['aspect']",
        "vader_compound(null)",
        "parse_date(null)",
        "to_money(null)",
        "local_date(null, 'UTC')",
        "local_hour(timestamp '2025-01-01', null)",
        "local_dow(null, null)",
        "day_start(null, 'UTC')",
        "day_start(date '2025-01-01', null)",
        "interval_index([timestamp '2025-01-01'], null)",
        "ln(null)",
        "power(null, 1)",
        "log(null)",
        "pseudonym(null, '955b44f0cb57d98cf642faf8a4b9d4ea')",
        "pseudonym('a', null)",
        "kmeans_segment_name(1, null)",
        "quantile_score(1, null, 'a')",
        "reference_mean(null, 'a')",
        "factor_scores([1.0], null)[1]",
        "kmeans_assign([1.0], null)['segment']",
        "kmeans_assign(null, null)['margin']",
        "kmeans_explain([1], null)[1]['feature']",
        "density_assign([1.0], null)['segment']",
        "density_explain(null, null)[1]['contribution']",
        "density_segment_name(1, null)",
        "mode_by_weight(null, null)",
    ] {
        assert_eq!(value(expression).await, "NULL", "{expression}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_answered_with_the_remedy() {
    for (sql, words) in [
        ("select fold_width(1)", "cast it to varchar"),
        ("select fold_width()", "takes 1 argument"),
        ("select text_sentiment(1)", "cast it to varchar"),
        ("select text_aspects('a', 'b')", "takes 1 argument"),
        ("select local_date('2025-01-01', 'UTC')", "must be a timestamp"),
        ("select local_date(timestamp '2025-01-01', 'Moon')", "'Moon'"),
        ("select normalize_phone('1', 'XX')", "'XX'"),
        ("select closest('a', ['b'], -1)", "from 0 up"),
        ("select kmeans_assign([1], 1)", "must be a struct"),
        ("select kmeans_assign('a', null)", "list of numbers"),
        ("select density_assign([1], 1)", "must be a struct"),
        ("select density_segment_name('a', null)", "must be an integer"),
        (
            "select factor_scores([1], named_struct('a', 1))",
            "must be a struct of the fields features, transforms",
        ),
        ("select row_hash()", "at least one"),
        ("select row_hash(interval '1 day')", "cannot be hashed"),
        ("select row_digest(1)", "result of row_hash"),
        ("select day_start(timestamp '2025-01-01', 'UTC')", "must be a date"),
    ] {
        let message = error(sql).await;
        assert!(message.contains(words), "{sql}: {message}");
    }
}

#[tokio::test]
async fn columns_of_any_encoding() {
    let sql = "select fold_width(arrow_cast(v, 'Utf8View')) as view, normalize_phone(v, c) as phone,
        local_date(timestamp '2025-01-31 17:00:00', z) as day
        from (values ('１３８１２３４５６７８', 'CN', 'Asia/Shanghai'), (null, 'US', 'UTC'), ('x', null, null)) t(v, c, z)";
    let table = pretty_format_batches(&query(sql).await).unwrap().to_string();
    let expected = "\
+-------------+----------------+------------+
| view        | phone          | day        |
+-------------+----------------+------------+
| 13812345678 | +8613812345678 | 2025-02-01 |
|             |                | 2025-01-31 |
| x           |                |            |
+-------------+----------------+------------+";
    assert_eq!(table, expected);
}

#[tokio::test]
async fn models_as_parameters() {
    let scaling = crate::model::scaling::tests::plain(&["x"], &[0.0], &[1.0], 10.0);
    let kmeans = crate::model::kmeans::tests::with_centroids(scaling, vec![0.0, 4.0], &["low", "high"]);
    let reference = ReferenceModel {
        columns: vec!["x".into()],
        quantiles: vec![0.5],
        cuts: vec![Some(2.0)],
        means: vec![Some(2.5)],
        shares: vec![0.5, 0.5, 0.0],
    };
    let parameters: Vec<(&str, ScalarValue)> = vec![("k", kmeans.to_scalar()), ("r", reference.to_scalar())];
    let sql = "select x, a['segment'] as segment, a['margin'] as margin, kmeans_segment_name(a['segment'], $k) as name,
        kmeans_explain([x], $k)[1]['contribution'] as contribution, quantile_score(x, $r, 'x') as score,
        x > reference_mean($r, 'x') as above
        from (select x, kmeans_assign([x], $k) as a from (values (1), (2), (5), (null)) t(x)) order by x";
    let frame = context().sql(sql).await.unwrap().with_param_values(ParamValues::from(parameters)).unwrap();
    let table = pretty_format_batches(&frame.collect().await.unwrap()).unwrap().to_string();
    let expected = "\
+---+---------+--------+------+--------------+-------+-------+
| x | segment | margin | name | contribution | score | above |
+---+---------+--------+------+--------------+-------+-------+
| 1 | 0       | 2.0    | low  | 8.0          | 1     | false |
| 2 | 0       | 0.0    | low  | 0.0          | 1     | false |
| 5 | 1       | 4.0    | high | 24.0         | 2     | true  |
|   | 0       | 4.0    | low  | 16.0         |       |       |
+---+---------+--------+------+--------------+-------+-------+";
    assert_eq!(table, expected);
}

#[tokio::test]
async fn aggregates_in_groups_and_over_nothing() {
    let sql = "select g, mode_by_weight(v, w) as mode, substr(row_digest(row_hash(v, w)), 48) as rows
        from (values (1, 'b', 2), (1, 'a', 1), (1, 'a', 1), (2, null, 5), (2, 'z', -1)) t(g, v, w) group by g order by g";
    let table = pretty_format_batches(&query(sql).await).unwrap().to_string();
    let expected = "\
+---+------+------+
| g | mode | rows |
+---+------+------+
| 1 | a    | 3    |
| 2 | z    | 2    |
+---+------+------+";
    assert_eq!(table, expected);
    let forward = value("(select row_digest(row_hash(v)) from (values (1), (2), (null)) t(v))").await;
    assert_eq!(forward, value("(select row_digest(row_hash(v)) from (values (null), (2), (1)) t(v))").await);
    assert_eq!(
        value("(select row_digest(row_hash(v)) from (values (1)) t(v) where v > 1)").await,
        "0".repeat(48)
    );
}
