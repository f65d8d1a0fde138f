//! What a stage's relations stand for in this run: raw files, results, what an earlier run left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;

use super::execute::{Runner, lock};
use super::plan::reads_carried;
use super::tables::{source_table, stage_table, written_table};
use crate::engine::DayBytes;
use crate::lake::DataFile;
use crate::project::{MODELS, PREVIOUS, Relation, Stage, models_value};
use crate::{Error, Result};

impl Runner<'_> {
    /// The plan of a stage or audit over this run's files; `given` relations stand in for their names.
    pub async fn logical_plan(
        &self,
        name: &str,
        days: Option<&BTreeSet<NaiveDate>>,
        given: &BTreeMap<String, Arc<dyn TableProvider>>,
    ) -> Result<LogicalPlan> {
        let inputs = self.project.stored_inputs(name);
        let bytes = match days {
            Some(days) => Some(Arc::new(self.bytes_of_days(&inputs, days)?)),
            None => None,
        };
        let mut tables = BTreeMap::new();
        for relation in inputs {
            let table = match (&relation, given.get(PREVIOUS)) {
                (Relation::Previous(_), Some(previous)) => previous.clone(),
                _ => self.provide(self.project.stage(name), &relation, days, bytes.as_ref()).await?,
            };
            tables.insert(relation, table);
        }
        let mut params = lock(&self.params)?.clone();
        if self.project.params_used(name).contains(MODELS) {
            params.insert(MODELS.into(), models_value(&self.models_used()?));
        }
        self.project.plan(self.engine.state(), name, &params, &|relation| {
            tables.get(relation).cloned().ok_or_else(|| Error::other(format!("no table for {relation:?}")))
        })
    }

    /// The table that stands for a relation in a stage or an audit, of these days only where it is kept by day.
    pub(super) async fn provide(
        &self,
        reader: Option<&Stage>,
        relation: &Relation,
        days: Option<&BTreeSet<NaiveDate>>,
        bytes: Option<&Arc<DayBytes>>,
    ) -> Result<Arc<dyn TableProvider>> {
        let days = days.filter(|_| self.project.by_day(relation));
        let schema =
            || self.project.schema(relation).ok_or_else(|| Error::other(format!("no schema: {relation:?}")));
        match relation {
            Relation::Source(name) => {
                let source = self
                    .project
                    .sources
                    .get(name)
                    .ok_or_else(|| Error::other(format!("no source {name}")))?;
                let mut files = super::files_of(self.sources, name, None);
                if let Some(days) = days {
                    files.files.retain(|file| file.day.is_some_and(|day| days.contains(&day)));
                }
                source_table(
                    self.lake,
                    source,
                    &files,
                    Some(self.plan.as_of),
                    bytes.filter(|_| days.is_some()),
                )
            }
            Relation::Redelivered(name) => {
                let source = self.project.sources.get(name);
                let source = source.ok_or_else(|| Error::other(format!("no source {name}")))?;
                let rows = self.redelivered.get(name).cloned().unwrap_or_default();
                rows.table(self.lake, source, self.plan.as_of, days)
            }
            Relation::Stage(name) | Relation::Quarantine(name) => {
                let quarantined = matches!(relation, Relation::Quarantine(_));
                let results = lock(&self.results)?;
                let (Some(stage), Some(parts)) = (self.project.stage(name), results.get(name)) else {
                    return Err(Error::other(format!("{name} is not there yet")));
                };
                let chosen = parts
                    .iter()
                    .filter(|(part, _)| days.is_none_or(|days| part.is_some_and(|day| days.contains(&day))));
                let files: Vec<&DataFile> = chosen
                    .flat_map(|(_, manifest)| &manifest.files)
                    .filter(|file| file.quarantined == quarantined)
                    .collect();
                match quarantined {
                    true => written_table(self.lake, &schema()?, &files),
                    false => stage_table(self.lake, stage, &files, bytes),
                }
            }
            Relation::Carried(name) => {
                let stem = name.rsplit('.').next().unwrap_or(name);
                let files = self.inherited.last.tables.get(stem).map_or(&[][..], |snapshot| &snapshot.files);
                let now = super::plan::as_of_text(self.plan.as_of);
                let part = |file: &DataFile| file.partition.get("as_of").cloned().flatten();
                let read = files.iter().filter(|file| reads_carried(reader, part(file).as_deref(), &now));
                written_table(self.lake, &schema()?, &read.collect::<Vec<_>>())
            }
            Relation::Former(name) => {
                let files = super::pseudonyms::former_files(self.lake, self.former, name).await?;
                written_table(self.lake, &schema()?, &files.iter().collect::<Vec<_>>())
            }
            Relation::Previous(name) => Err(Error::other(format!("{name} has no previous round here"))),
        }
    }
}
