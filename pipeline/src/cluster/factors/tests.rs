//! Factors against figures of scikit-learn and R, against themselves, and on rows that hold little.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use strata_udfs::model::{FactorScorer, FactorsModel};

use super::super::sample::{Sample, mix};
use super::super::scale::tests::sample;
use super::train::fit;
use super::*;
use crate::trainer::Trainer;
use crate::{Error, Result};

const IRIS: &str = include_str!("../fixtures/iris.csv");
const WINE: &str = include_str!("../fixtures/wine.csv");

fn csv(text: &str) -> Sample {
    let mut lines = text.lines();
    let features: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<f64>> =
        lines.map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect();
    sample(&features, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn settings(header: &[(&str, &str)]) -> FactorsSettings {
    let header: BTreeMap<String, String> =
        header.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    FactorsSettings::from_header(&header).unwrap()
}

fn train(header: &[(&str, &str)], sample: &Sample) -> Result<TrainedFactors> {
    fit(&settings(header), sample)
}

fn model(header: &[(&str, &str)], sample: &Sample) -> FactorsModel {
    train(header, sample).unwrap().model
}

fn loadings(model: &FactorsModel, factor: i32) -> Vec<f64> {
    model.loadings.iter().filter(|row| row.factor == factor).map(|row| row.loading).collect()
}

fn scores(scorer: &FactorScorer, row: &[f64]) -> Vec<f64> {
    let prepare = |(f, x): (usize, &f64)| scorer.scaling.scale_value(f, Some(*x));
    scorer.scores(&row.iter().enumerate().map(prepare).collect::<Vec<_>>()).collect()
}

fn close(actual: &[f64], expected: &[f64], within: f64) {
    assert_eq!(actual.len(), expected.len(), "{actual:?}");
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= within, "{a} is not within {within} of {e} in {actual:?}");
    }
}

#[test]
fn principal_components_of_wine_and_iris() {
    // scikit-learn 1.9: PCA after StandardScaler; the first ratios are those of its user guide and many books
    let sample = csv(WINE);
    let wine = model(&[("components", "3")], &sample);
    let ratios: Vec<f64> = wine.variances.iter().map(|row| row.eigenvalue_share).collect();
    close(&ratios[..4], &[0.361988480999, 0.19207490257, 0.111236305362, 0.070690301827], 1e-8);
    assert_eq!(wine.variances.len(), 13);
    close(
        &[ratios.iter().sum::<f64>(), wine.variances[2].cumulative_share.unwrap()],
        &[1.0, 0.665299688931],
        1e-8,
    );
    assert_eq!((wine.variances[3].variance, &wine.variances[3].name), (None, &None));
    let first = [
        0.313093350373,
        -0.531884726301,
        -0.004449361806,
        -0.519157080621,
        0.30802293612,
        0.856136658062,
        0.917470176967,
        -0.647607018227,
        0.679921704958,
        -0.192235967616,
        0.643662065905,
        0.816018903136,
        0.622050797023,
    ];
    close(&loadings(&wine, 1), &first, 1e-7);
    close(
        &scores(&wine.scorer, &sample.rows[0].values),
        &[3.316750812215, 1.443462634318, -0.165739044614],
        1e-7,
    );
    // three eigenvalues are above 1: 4.706, 2.497, 1.446
    assert_eq!(model(&[], &sample), wine);
    let iris = model(&[("components", "4")], &csv(IRIS));
    let eigenvalues: Vec<f64> = iris.variances.iter().map(|row| row.eigenvalue).collect();
    close(&eigenvalues, &[2.918497816532, 0.914030471468, 0.146756875571, 0.020714836429], 1e-8);
    close(&loadings(&iris, 2), &[0.360829888113, 0.882716269162, 0.023415188379, 0.063999847044], 1e-7);
    // of four components nothing is left
    assert!(iris.loadings.iter().all(|row| (row.communality - 1.0).abs() < 1e-12), "{:?}", iris.loadings);
}

#[test]
fn components_turned_by_varimax() {
    // scikit-learn 1.9: _ortho_rotation of PCA loadings, run to convergence (tol 1e-15); with Kaiser normalisation of
    // loadings divided by the roots of communalities, which is what R's varimax does
    let sample = csv(WINE);
    let turned = model(&[("components", "3"), ("rotation", "varimax")], &sample);
    let first = [
        0.030350266238,
        -0.55939978073,
        0.060971047977,
        -0.289670546893,
        0.205273083031,
        0.816054462521,
        0.902429915448,
        -0.562077311054,
        0.663449381376,
        -0.437432060302,
        0.739556609162,
        0.878336040794,
        0.391410775184,
    ];
    close(&loadings(&turned, 1), &first, 1e-7);
    close(
        &scores(&turned.scorer, &sample.rows[0].values),
        &[1.152894104882, 1.352213698944, -0.1829935134],
        1e-7,
    );
    assert_eq!(
        turned.scorer.names[0], "high flavanoids, high od280_od315_of_diluted_wines, high total_phenols",
        "{:?}",
        turned.scorer.names
    );
    let raw = model(&[("components", "3"), ("rotation", "raw_varimax")], &sample);
    let third = [
        -0.054786021822,
        0.325511931821,
        0.855179322911,
        0.785747334623,
        0.229648668064,
        0.011837367968,
        -0.030591203652,
        0.342265792624,
        0.040269612207,
        0.154430630954,
        -0.183103072102,
        -0.072685513962,
        -0.090871596464,
    ];
    close(&loadings(&raw, 3), &third, 1e-7);
    // turning changes no communality, and scores are of variance 1
    let still = model(&[("components", "3")], &sample);
    for (a, b) in still.loadings.iter().zip(&turned.loadings) {
        close(&[a.communality], &[b.communality], 1e-12);
    }
    let all: Vec<f64> = sample.rows.iter().map(|row| scores(&turned.scorer, &row.values)[1]).collect();
    close(&[all.iter().map(|s| s * s).sum::<f64>() / all.len() as f64], &[1.0], 1e-8);
}

#[test]
fn factor_analysis_of_wine() {
    // the step of scikit-learn's FactorAnalysis(3), taken in NumPy on StandardScaler's figures until nothing changes: 7,317
    // steps. scikit-learn 1.9 itself, with tol=1e-12, stops 2e-5 away
    let sample = csv(WINE);
    let header = [("method", "factor"), ("components", "3")];
    let found = model(&header, &sample);
    let third = [
        -0.234776246632,
        -0.016761996826,
        0.49346271486,
        0.725051159223,
        0.029780312966,
        0.269602024784,
        0.304566631809,
        0.001238361698,
        0.242498375348,
        -0.215245175311,
        0.154086119215,
        0.311379865415,
        -0.155831824717,
    ];
    close(&loadings(&found, 3), &third, 3e-7);
    let row = &sample.rows[0].values;
    close(&scores(&found.scorer, row), &[1.385410034332, 0.521147953443, -0.378932330182], 1e-6);
    let noise = [0.387510228509, 0.726532294536, 0.52163477265, 0.072845220843];
    let own: Vec<f64> = found.loadings[..4].iter().map(|row| 1.0 - row.communality).collect();
    close(&own, &noise, 3e-7);
    // rotated as by rotation="varimax" there, to convergence; and with Kaiser normalisation
    let raw = model(&[header[0], header[1], ("rotation", "raw_varimax")], &sample);
    let first = [
        0.193518301782,
        -0.409145653617,
        0.17046829243,
        -0.239301601821,
        0.209372352362,
        0.875334007724,
        0.955389577391,
        -0.520088475256,
        0.659299053093,
        -0.228418099584,
        0.570025166355,
        0.826680183278,
        0.465116153155,
    ];
    close(&loadings(&raw, 1), &first, 3e-7);
    let kaiser = model(&[header[0], header[1], ("rotation", "varimax")], &sample);
    let second = [
        0.779247659298,
        0.087502919295,
        0.28532609824,
        -0.322003687004,
        0.37299066765,
        0.347011614521,
        0.265390890827,
        -0.143703846781,
        0.230029101003,
        0.747586477073,
        -0.202103503454,
        -0.031222261618,
        0.687932821485,
    ];
    close(&loadings(&kaiser, 2), &second, 3e-7);
    close(&scores(&kaiser.scorer, row), &[0.979034689888, 1.03440275592, -0.553215941568], 1e-6);
}

#[test]
fn factor_analysis_of_iris_ends_where_that_of_r_ends() {
    // R's factanal(iris[, 1:4], 1) prints uniquenesses .240 .822 .005 .069 and loadings .872 -.422 .998 .965
    let trained = train(&[("method", "factor"), ("components", "1")], &csv(IRIS)).unwrap();
    close(&loadings(&trained.model, 1), &[0.872, -0.422, 0.998, 0.965], 5.1e-4);
    close(&[trained.model.variances[0].variance.unwrap().0], &[2.864], 5.1e-4);
    assert_eq!(
        trained.notes,
        [
            "features `petal_length` and `petal_width` say nearly the same (correlation 0.963): one of them is enough"
        ]
    );
    let error = train(&[("method", "factor"), ("components", "2")], &csv(IRIS)).unwrap_err().to_string();
    assert!(
        error.contains("4 features that vary determine at most 1") && error.contains("to 1 or less"),
        "{error}"
    );
}

fn stream(sample: &Sample, order: &[usize], batch_rows: usize) -> SendableRecordBatchStream {
    let batch = |rows: &[usize]| {
        let keys: StringArray = rows.iter().map(|row| Some(format!("r{row}"))).collect();
        let mut columns = vec![("id".to_owned(), Arc::new(keys) as ArrayRef)];
        for (f, name) in sample.features.iter().enumerate() {
            let values: Float64Array = rows
                .iter()
                .map(|row| Some(sample.rows[*row].values[f]).filter(|value| !value.is_nan()))
                .collect();
            columns.push((name.clone(), Arc::new(values)));
        }
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, values)| (name, values, true)),
        )
        .unwrap()
    };
    let batches: Vec<RecordBatch> = order.chunks(batch_rows).map(batch).collect();
    let schema = batches[0].schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
}

/// Counts, shares and money with NULLs, a constant and an outlier.
fn customers(n: u64) -> Sample {
    let rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let r = mix(i);
            let (kind, noise) = ((r % 5) as f64, (mix(r) >> 40) as f64 / 16_777_216.0);
            let spend = if i == 77 { 1e12 } else { (kind * noise * 3.0).exp() };
            let share = if r.is_multiple_of(3) { f64::NAN } else { noise };
            vec![(kind * 70.0 + noise * 40.0).floor(), 5.0 - kind + 3.0 * noise, spend, share, 3.0]
        })
        .collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    sample(&["recency", "orders", "spend", "share", "constant"], &rows)
}

#[tokio::test]
async fn order_and_batches_do_not_matter() {
    let sample = customers(5000);
    let mut order: Vec<usize> = (0..5000).collect();
    for method in ["pca", "factor"] {
        for sample_rows in ["5000", "1000"] {
            let settings = settings(&[
                ("method", method),
                ("components", "1"),
                ("rotation", "varimax"),
                ("scale", "robust"),
                ("sample_rows", sample_rows),
            ]);
            let first = train_factors(&settings, stream(&sample, &order, 8192)).await.unwrap();
            assert_eq!(first.model.report[0].rows.to_string(), sample_rows);
            for (seed, batch_rows) in [(1, 1), (2, 7), (3, 999)] {
                order.sort_by_key(|row| mix(*row as u64 ^ (seed << 32)));
                let again = train_factors(&settings, stream(&sample, &order, batch_rows)).await.unwrap();
                assert_eq!(first, again);
                assert_eq!(first.model.to_scalar(), again.model.to_scalar());
            }
        }
    }
}

#[test]
fn constants_missing_values_and_outliers() {
    let nan = f64::NAN;
    let rows: Vec<Vec<f64>> = (0..40)
        .map(|i| {
            let x = f64::from(i % 8);
            vec![
                x,
                if i == 5 { 1e12 } else { 7.0 - x },
                2.5,
                nan,
                if i % 2 == 0 { nan } else { f64::from(i % 5) },
            ]
        })
        .collect();
    let sample =
        sample(&["x", "y", "same", "unknown", "half"], &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for header in [
        &[("scale", "robust"), ("clip", "2"), ("components", "2")][..],
        &[("scale", "robust"), ("clip", "2"), ("rotation", "varimax")],
    ] {
        let trained = train(header, &sample).unwrap();
        let model = &trained.model;
        for row in model.loadings.iter().filter(|row| ["same", "unknown"].contains(&row.feature.as_str())) {
            assert_eq!((row.loading, row.communality), (0.0, 0.0));
        }
        assert_eq!(model.variances.len(), 3, "three features vary");
        // the outlier is clipped and counts for one row
        let [x, y] = [0, 1].map(|f| loadings(model, 1)[f]);
        assert!(x * y < 0.0 && x.abs() > 0.4 && y.abs() > 0.4, "{:?}", model.loadings);
        assert_eq!(model.report.iter().map(|row| row.known).collect::<Vec<_>>(), [40, 40, 40, 0, 20]);
        assert!(model.scorer.weights.iter().all(|weight| weight.is_finite()));
        assert_eq!(trained.notes.len(), 2, "{:?}", trained.notes);
        let score = scores(&model.scorer, &[1e300, nan, nan, f64::INFINITY, -1e300]);
        assert!(score.iter().all(|score| score.is_finite()), "{score:?}");
    }
}

#[test]
fn fewer_rows_than_columns() {
    let rows: [&[f64]; 3] =
        [&[1.0, 2.0, 0.0, 5.0, 1.0], &[2.0, 1.0, 3.0, 5.5, 0.0], &[4.0, 0.0, 1.0, 7.0, 9.0]];
    let sample = sample(&["a", "b", "c", "d", "e"], &rows);
    let two = model(&[("components", "2")], &sample);
    close(&[two.variances[1].cumulative_share.unwrap()], &[1.0], 1e-12);
    close(&two.variances[2..].iter().map(|row| row.eigenvalue).collect::<Vec<_>>(), &[0.0; 3], 1e-12);
    let error = train(&[("components", "3")], &sample).unwrap_err();
    assert!(
        matches!(&error, Error::Contract(m) if m.contains("`components: 3`: the training rows vary in 2 directions")
            && m.contains("set `components` to 2")),
        "{error}"
    );
    let common = model(&[("method", "factor")], &sample);
    assert!(common.scorer.weights.iter().all(|weight| weight.is_finite()), "{:?}", common.scorer);
}

#[test]
fn rows_that_hold_nothing_are_refused_with_the_reason() {
    let refused = |header: &[(&str, &str)], features: &[&str], rows: &[&[f64]]| {
        train(header, &sample(features, rows)).unwrap_err().to_string()
    };
    assert!(refused(&[], &["x"], &[]).contains("there are 0 training rows"));
    assert!(refused(&[], &["x"], &[&[1.0]]).contains("there are 1 training rows"));
    let same = refused(&[], &["x", "y"], &[&[1.0, f64::NAN], &[1.0, f64::NAN]]);
    assert!(same.contains("every feature of the training rows is the same"), "{same}");
    let few = refused(&[("method", "factor")], &["x", "y"], &[&[1.0, 2.0], &[2.0, 0.0], &[0.0, 0.0]]);
    assert!(
        few.contains("2 features that vary determine at most 0") && few.contains("`method: pca`"),
        "{few}"
    );
    let wrong = refused(&[("transform", "z=log1p")], &["x"], &[&[1.0], &[2.0]]);
    assert!(wrong.contains("no feature `z`; they have x"), "{wrong}");
}

#[tokio::test]
async fn trained_by_kind() {
    let trainer = Trainer::from_header("factors", &BTreeMap::new()).unwrap();
    let sample = customers(100);
    let order: Vec<usize> = (0..100).collect();
    let trained = trainer.train(&[], || async { Ok(stream(&sample, &order, 64)) }, None).await.unwrap();
    assert_eq!(trained.model.data_type(), trainer.output_type());
    assert_eq!(trainer.sample_rows(), Some(262_144));
    assert!(trained.notes[0].contains("`constant`"), "{:?}", trained.notes);
    assert!(trainer.gate(&trained).is_ok());
}
