//! The functions of Strata: pure, without I/O, engine or configuration. Client, scheduler and executor
//! register the same list, since functions travel between them by name.

mod args;
pub mod groups;
pub mod learn;
pub mod model;
pub mod number;
mod reference;
mod revisions;
pub mod rows;
pub mod text;
pub mod time;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub use model::{KmeansModel, ReferenceModel, Transform, kmeans_model_type, reference_model_type};
pub use reference::reference;
pub use revisions::{data_packages, revisions};

/// All scalar functions.
pub fn all_scalar() -> Vec<Arc<ScalarUDF>> {
    let mut functions: Vec<ScalarUDF> = vec![
        text::Closest::default().into(),
        text::FoldWidth::default().into(),
        text::LatinName::default().into(),
        text::NormalizeEmail::default().into(),
        text::NormalizePhone::default().into(),
        text::NormalizeName::default().into(),
        text::Pseudonym::default().into(),
        text::SplitAddress::default().into(),
        text::TextAspects::default().into(),
        text::TextLanguage::default().into(),
        text::TextSentiment::default().into(),
        text::TrimToNull::default().into(),
        text::VaderCompound::default().into(),
        time::ParseDate::default().into(),
        time::LocalTime::new(time::LocalField::Date).into(),
        time::LocalTime::new(time::LocalField::Hour).into(),
        time::LocalTime::new(time::LocalField::DayOfWeek).into(),
        time::DayStart::default().into(),
        time::IntervalIndex::default().into(),
        time::OutOfRange::default().into(),
        number::ToMoney::default().into(),
        number::Power::default().into(),
        number::Log::default().into(),
        number::WilsonInterval::default().into(),
        number::NewcombeInterval::default().into(),
        number::TwoProportionP::default().into(),
        number::SuppressedCells::default().into(),
        learn::DensityAssign::default().into(),
        learn::DensityExplain::default().into(),
        learn::DensitySegmentName::default().into(),
        learn::FactorScores::default().into(),
        learn::KmeansAssign::default().into(),
        learn::KmeansBins::default().into(),
        learn::KmeansExplain::default().into(),
        learn::KmeansGrid::default().into(),
        learn::KmeansScale::default().into(),
        learn::KmeansSegmentName::default().into(),
        learn::PopulationStability::default().into(),
        learn::LinkClusters::default().into(),
        learn::MatchWeightsFunction::default().into(),
        learn::QuantileScore::default().into(),
        learn::ReferenceMean::default().into(),
        rows::CrossFields::default().into(),
        rows::MakeArray.into(),
        rows::NamedValues::default().into(),
        rows::RowHash::default().into(),
    ];
    functions
        .extend(number::Elementary::ALL.map(|function| number::ElementaryFunction::new(function).into()));
    functions.extend(text::Similarity::ALL.map(|measure| text::SimilarityFunction::new(measure).into()));
    functions.into_iter().map(Arc::new).collect()
}

/// All aggregate functions.
pub fn all_aggregate() -> Vec<Arc<AggregateUDF>> {
    let rows: AggregateUDF = rows::RowDigest::default().into();
    groups::all().into_iter().chain([rows]).map(Arc::new).collect()
}

/// Registers all functions; those of the names `ln`, `log`, `log2`, `log10`, `exp`, `power`, `pow` and `make_array` replace
/// the engine's.
pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in all_scalar() {
        registry.register_udf(function)?;
    }
    for function in all_aggregate() {
        registry.register_udaf(function)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
