//! `strata check`, `strata graph` and `strata explain`: the project, without running it.

use std::fmt::Write;

use crate::engine::planning_state;
use crate::project::{Fingerprint, GraphFormat, Kind, Project, Relation, Store, nearest};
use crate::{Context, Error, Result};
use datafusion::physical_plan::displayable;

use super::ProjectArgs;
use super::print::print;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    project: ProjectArgs,
}

#[derive(Debug, clap::Args)]
pub struct GraphArgs {
    #[command(flatten)]
    project: ProjectArgs,
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    format: GraphFormat,
}

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The stage, as `layer.stem`.
    stage: String,
    #[command(flatten)]
    project: ProjectArgs,
}

pub fn check(args: CheckArgs) -> Result<()> {
    let project = Project::load(&args.project.project, &planning_state()?)?;
    print(format_args!(
        "project {}: {} sources, {} stages, {} audits, no errors\n",
        project.name,
        project.sources.len(),
        project.stages.len(),
        project.audits.len()
    ))
}

pub fn graph(args: GraphArgs) -> Result<()> {
    let project = Project::load(&args.project.project, &planning_state()?)?;
    print(project.graph(args.format))
}

pub async fn explain(args: ExplainArgs) -> Result<()> {
    let state = planning_state()?;
    let project = Project::load(&args.project.project, &state)?;
    let Some(stage) = project.stage(&args.stage) else {
        let near = nearest(&args.stage, project.stages.iter().map(|stage| stage.name.as_str()));
        let hint =
            near.map_or("`strata graph` lists the stages".into(), |near| format!("did you mean `{near}`?"));
        return Err(Error::Usage(format!("there is no stage `{}`\nhelp: {hint}", args.stage)));
    };
    let mut out = String::new();
    let _ = writeln!(out, "{}: {}", stage.name, stage.header.description);
    let _ = writeln!(out, "file         {}", stage.sql.file);
    let definition = Fingerprint::of_ingredients(&project.definition(&stage.name));
    let _ = writeln!(out, "definition   {definition}");
    let kind = match (&stage.kind, stage.store) {
        (Kind::Model { trainer, .. }, _) => trainer.describe(),
        (Kind::Fixpoint { max_rounds, .. }, _) => format!("fixpoint, at most {max_rounds} rounds"),
        (Kind::Select, Store::View) => "view".into(),
        (Kind::Select, Store::Table) => "table".into(),
        (Kind::Select, Store::Daily) if stage.by_day => "daily".into(),
        (Kind::Select, Store::Daily) => "daily, kept whole because no input comes by day".into(),
    };
    let _ = writeln!(out, "kept as      {kind}");
    let params: Vec<String> =
        project.params_used(&stage.name).into_iter().map(|param| format!("${param}")).collect();
    let _ = writeln!(out, "parameters   {}", params.join(", "));
    let _ = writeln!(out, "inputs");
    for relation in project.stored_inputs(&stage.name) {
        let by_day = if project.by_day(&relation) { ", by day" } else { "" };
        let name = match &relation {
            Relation::Source(name) | Relation::Stage(name) => name.clone(),
            Relation::Redelivered(name) => format!("rows of {name} that other days have too"),
            Relation::Quarantine(name) => format!("rows rejected by {name}"),
            Relation::Carried(name) => format!("{name} as published by earlier runs"),
            Relation::Former(name) => format!("{name} as it was under another pseudonym key"),
            Relation::Previous(_) => "its previous round".into(),
        };
        let _ = writeln!(out, "  {name}{by_day}");
    }
    let _ = writeln!(out, "columns");
    for field in stage.schema.fields() {
        let _ = writeln!(out, "  {:28} {}", field.name(), field.data_type());
    }
    let _ = writeln!(out, "\n{}", stage.sql.text.trim_end());
    let plan = project
        .plan(&state, &stage.name, &project.example_params(), &|relation| project.empty_table(relation))?;
    let optimized = state.optimize(&plan).context("cannot optimize the plan")?;
    let _ = writeln!(out, "\nlogical plan\n{}", optimized.display_indent());
    let physical = state.create_physical_plan(&plan).await.context("cannot make the physical plan")?;
    let _ = writeln!(out, "\nphysical plan (without data)\n{}", displayable(physical.as_ref()).indent(false));
    print(out)
}
