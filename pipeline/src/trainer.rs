//! Trainers: what turns the rows of a model stage into a typed parameter.

use std::collections::BTreeMap;
use std::future::Future;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use strata_udfs::model::{
    DensityModel, KmeansModel, ReferenceModel, density_model_type, factors_model_type, kmeans_model_type,
    linkage_model_type, reference_model_type,
};

use crate::cluster::{
    DensityQuality, DensitySettings, FactorsSettings, Followed, KmeansQuality, KmeansSettings,
    ReferenceSettings, density_gate, follow_kmeans, gate, outgrown, polish, tally, train_density,
    train_factors, train_reference,
};
use crate::linkage::{LinkageSettings, train_linkage};
use crate::project::Refit;
use crate::{Context, Error, Result};

/// The kinds of trainers and the revision of each: raised by hand when the same rows and settings give
/// another model than before, so that models of that kind are trained anew. `tests/revisions.txt` pins what
/// each learns.
pub const REVISIONS: &[(&str, u32)] =
    &[("kmeans", 1), ("hdbscan", 1), ("factors", 1), ("reference", 1), ("linkage", 1)];

/// What turns the rows of a model stage into a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Trainer {
    /// `kind: kmeans`: scaling and centroids.
    Kmeans(KmeansSettings),
    /// `kind: hdbscan`: scaling and core points of dense segments.
    Hdbscan(DensitySettings),
    /// `kind: factors`: principal components or factor analysis.
    Factors(FactorsSettings),
    /// `kind: reference`: frozen quantiles and means of each column.
    Reference(ReferenceSettings),
    /// `kind: linkage`: how fields of records of one person agree.
    Linkage(LinkageSettings),
}

/// A model as a typed parameter, and its figures when its trainer has any.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The model, of [`Trainer::output_type`].
    pub model: ScalarValue,
    /// Figures of a model that was trained now, which [`Trainer::gate`] judges.
    pub quality: Option<Quality>,
    /// What the user should know of the training rows and of the model before, a line each.
    pub notes: Vec<String>,
    /// Whether it is the model of an earlier run, which stays.
    pub kept: bool,
}

impl Trained {
    fn plain(model: ScalarValue) -> Self {
        Trained { model, quality: None, notes: Vec::new(), kept: false }
    }

    fn kept(model: ScalarValue) -> Self {
        let notes = vec!["kept: the population has not drifted".into()];
        Trained { notes, kept: true, ..Trained::plain(model) }
    }
}

/// Figures of a model of segments.
#[derive(Debug, Clone, PartialEq)]
pub enum Quality {
    Kmeans(KmeansQuality),
    Density(DensityQuality),
}

/// What earlier runs left of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Before {
    /// The model to follow, of the type that it had then.
    pub model: Option<ScalarValue>,
    /// Whether it stays while the population has not drifted.
    pub unless_drifted: bool,
    /// The first segment id that no run has ever used.
    pub ids_from: i32,
}

impl Trainer {
    /// The trainer of a stage by the `kind` of its header and the keys that are not the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown kind, an unknown key or a bad value.
    pub fn from_header(kind: &str, header: &BTreeMap<String, String>) -> Result<Self> {
        match kind {
            "kmeans" => Ok(Trainer::Kmeans(KmeansSettings::from_header(header)?)),
            "hdbscan" => Ok(Trainer::Hdbscan(DensitySettings::from_header(header)?)),
            "factors" => Ok(Trainer::Factors(FactorsSettings::from_header(header)?)),
            "reference" => Ok(Trainer::Reference(ReferenceSettings::from_header(header)?)),
            "linkage" => Ok(Trainer::Linkage(LinkageSettings::from_header(header)?)),
            other => Err(Error::Usage(format!(
                "header `kind: {other}`: give `kmeans`, `hdbscan`, `factors`, `reference` or `linkage`"
            ))),
        }
    }

    /// The `kind` by which a header names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Trainer::Kmeans(_) => "kmeans",
            Trainer::Hdbscan(_) => "hdbscan",
            Trainer::Factors(_) => "factors",
            Trainer::Reference(_) => "reference",
            Trainer::Linkage(_) => "linkage",
        }
    }

    /// The type of the trained parameter, known without data.
    pub fn output_type(&self) -> DataType {
        match self {
            Trainer::Kmeans(_) => kmeans_model_type(),
            Trainer::Hdbscan(_) => density_model_type(),
            Trainer::Factors(_) => factors_model_type(),
            Trainer::Reference(_) => reference_model_type(),
            Trainer::Linkage(_) => linkage_model_type(),
        }
    }

    /// Whether it finds segments, whose ids continue those of the model before.
    pub fn follows(&self) -> bool {
        matches!(self, Trainer::Kmeans(_) | Trainer::Hdbscan(_))
    }

    /// Whether it can tell that a model still fits, so that a stage may say `refit: drifted`.
    pub fn drifts(&self) -> bool {
        matches!(self, Trainer::Kmeans(_) | Trainer::Reference(_))
    }

    /// When a stage that does not say `refit` trains again: cut points follow their population.
    pub fn usual_refit(&self) -> Refit {
        match self {
            Trainer::Reference(_) => Refit::Drifted,
            _ => Refit::Never,
        }
    }

    /// The population stability index of a column beyond which a model that drifts no longer fits.
    pub fn max_drift(&self) -> Option<f64> {
        match self {
            Trainer::Kmeans(settings) => Some(settings.drift.max_drift),
            Trainer::Reference(settings) => Some(settings.max_drift),
            _ => None,
        }
    }

    /// The move of a column's mean, as a share of its value, beyond which a reference no longer fits.
    pub fn max_move(&self) -> Option<f64> {
        match self {
            Trainer::Reference(settings) => Some(settings.max_move),
            _ => None,
        }
    }

    /// The most rows that it learns from; `None` when it learns from all.
    pub fn sample_rows(&self) -> Option<usize> {
        match self {
            Trainer::Kmeans(settings) => Some(settings.sample_rows),
            Trainer::Hdbscan(settings) => Some(settings.sample_rows),
            Trainer::Factors(settings) => Some(settings.sample_rows),
            Trainer::Reference(_) | Trainer::Linkage(_) => None,
        }
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        match self {
            Trainer::Kmeans(settings) => settings.describe(),
            Trainer::Hdbscan(settings) => settings.describe(),
            Trainer::Factors(settings) => settings.describe(),
            Trainer::Reference(settings) => settings.describe(),
            Trainer::Linkage(settings) => settings.describe(),
        }
    }

    /// Trains on the stage's rows, whose columns are a key and then the features, or patterns of agreement for a
    /// linkage model. `open` starts the stage's query from the beginning: once, or up to six times for a reference.
    /// A model that [`Trainer::follows`] the one before it, or stays unless its rows have drifted, needs that to be of the
    /// type of today.
    ///
    /// # Errors
    /// Those of [`follow_kmeans`], [`train_density`], [`train_factors`], [`train_reference`] and [`train_linkage`].
    pub async fn train<F, Fut>(&self, columns: &[String], open: F, before: Option<&Before>) -> Result<Trained>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<SendableRecordBatchStream>>,
    {
        let model_before = before.and_then(|before| before.model.as_ref());
        let ids_from = before.map_or(0, |before| before.ids_from);
        match self {
            Trainer::Kmeans(settings) => {
                let model = model_before.and_then(|model| KmeansModel::from_scalar(model).ok());
                let (rows, unless_drifted) = (open().await?, before.is_some_and(|b| b.unless_drifted));
                let followed =
                    follow_kmeans(settings, rows, model.as_ref(), unless_drifted, ids_from).await?;
                Ok(match (followed, model) {
                    (Followed::Trained(trained, why), _) => Trained {
                        model: trained.model.to_scalar(),
                        quality: Some(Quality::Kmeans(trained.quality)),
                        notes: why.map(|why| format!("retrained: {why}")).into_iter().collect(),
                        kept: false,
                    },
                    (Followed::Kept, Some(mut model)) => {
                        model.next_segment = model.next_segment.max(ids_from);
                        Trained::kept(model.to_scalar())
                    }
                    (Followed::Kept, None) => return Err(Error::other("no model was there to be kept")),
                })
            }
            Trainer::Hdbscan(settings) => {
                let model = model_before.and_then(|model| DensityModel::from_scalar(model).ok());
                let trained = train_density(settings, open().await?, model.as_ref(), ids_from).await?;
                let quality = Some(Quality::Density(trained.quality));
                Ok(Trained { quality, ..Trained::plain(trained.model.to_scalar()) })
            }
            Trainer::Factors(settings) => {
                let trained = train_factors(settings, open().await?).await?;
                Ok(Trained { notes: trained.notes, ..Trained::plain(trained.model.to_scalar()) })
            }
            Trainer::Reference(settings) => {
                let columns = columns.get(1..).unwrap_or_default();
                let kept = model_before.filter(|_| before.is_some_and(|before| before.unless_drifted));
                let kept = kept.and_then(|kept| ReferenceModel::from_scalar(kept).ok());
                let kept =
                    kept.filter(|kept| kept.columns == columns && kept.quantiles == settings.quantiles);
                let mut notes = Vec::new();
                if let Some(kept) = kept {
                    match outgrown(&kept, &tally(&kept, open().await?).await?, settings) {
                        None => return Ok(Trained::kept(kept.to_scalar())),
                        Some(why) => notes.push(format!("retrained: {why}")),
                    }
                }
                let model = train_reference(settings, columns, open).await?;
                Ok(Trained { notes, ..Trained::plain(model.to_scalar()) })
            }
            Trainer::Linkage(settings) => {
                let model = match train_linkage(settings, open().await?).await? {
                    Some(model) => model.to_scalar(),
                    None => {
                        ScalarValue::try_new_null(&linkage_model_type()).context("make an empty model")?
                    }
                };
                Ok(Trained::plain(model))
            }
        }
    }

    /// Moves centroids that were trained on a sample by steps over all rows, which `rows` gives as for
    /// [`Trainer::train`]; `collect` runs a plan. A model trained on all rows stays as it is.
    ///
    /// # Errors
    /// Those of `collect`.
    pub async fn polish<F, Fut>(&self, trained: Trained, rows: &LogicalPlan, collect: F) -> Result<Trained>
    where
        F: Fn(LogicalPlan) -> Fut,
        Fut: Future<Output = Result<Vec<RecordBatch>>>,
    {
        match (self, &trained.quality) {
            (Trainer::Kmeans(settings), Some(Quality::Kmeans(quality)))
                if quality.sample_rows < quality.rows =>
            {
                let model = KmeansModel::from_scalar(&trained.model).context("read the trained model")?;
                let model = polish(model, settings.polish, rows, collect).await?;
                Ok(Trained { model: model.to_scalar(), ..trained })
            }
            _ => Ok(trained),
        }
    }

    /// Refuses a degenerate model.
    ///
    /// # Errors
    /// [`Error::Audit`] with every reason.
    pub fn gate(&self, trained: &Trained) -> Result<()> {
        match (self, &trained.quality) {
            (Trainer::Kmeans(settings), Some(Quality::Kmeans(quality))) => gate(quality, &settings.gate),
            (Trainer::Hdbscan(settings), Some(Quality::Density(quality))) => {
                density_gate(quality, &settings.gate)
            }
            _ => Ok(()),
        }
    }
}
