//! Audits: a run publishes only when every audit but those that warn returns no row.

use std::collections::BTreeMap;

use super::execute::Runner;
use crate::project::Severity;
use crate::{Context, Error, Result};

/// Offending rows that an error shows.
const ROWS_SHOWN: usize = 10;

impl Runner<'_> {
    /// Runs one audit, `audits.stem`.
    ///
    /// # Errors
    /// [`Error::Audit`] shows the first offending rows, unless the audit only warns.
    pub async fn run_audit(&self, name: &str) -> Result<()> {
        let Some(audit) = self.project.audit(name) else { return Ok(()) };
        let plan = self.logical_plan(name, None, &BTreeMap::new()).await?;
        let limited = datafusion::logical_expr::LogicalPlanBuilder::from(plan)
            .limit(0, Some(ROWS_SHOWN))
            .and_then(datafusion::logical_expr::LogicalPlanBuilder::build)
            .context(format!("cannot run audit {}", audit.name))?;
        let rows = self.engine.collect(&limited).await?;
        if rows.iter().all(|batch| batch.num_rows() == 0) {
            tracing::debug!(audit = audit.name, "audit passed");
            return Ok(());
        }
        let shown =
            arrow::util::pretty::pretty_format_batches(&rows).context("cannot show offending rows")?;
        if audit.severity == Severity::Warning {
            let said = &audit.header.description;
            self.reporter
                .say(&format!("warning: {}: {said}\n{shown}\nhelp: see {}", audit.name, audit.sql.file));
            return Ok(());
        }
        Err(Error::Audit(format!(
            "audit {} failed: {}\n{shown}\nhelp: nothing was published; see {}",
            audit.name, audit.header.description, audit.sql.file
        )))
    }
}
