//! Why stages are computed again that the last run had: what their results are made of now, beside what they
//! were made of then. What follows from a change elsewhere is told by that change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::execute::Runner;
use super::history::RunManifest;
use super::plan::{RunPlan, as_of_text};
use super::{Sources, raw::SourceFiles};
use crate::project::{Ingredients, Kind, Project, Refit, Stage};

/// Reasons that a run names as it begins; its manifest holds them all.
const NAMED: usize = 12;

/// A reason to compute stages again, and the stages, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    pub why: String,
    pub stages: Vec<String>,
}

impl std::fmt::Display for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.stages.as_slice() {
            [only] => write!(f, "{} ({only})", self.why),
            [first, ..] => write!(f, "{} ({} stages, from {first})", self.why, self.stages.len()),
            [] => f.write_str(&self.why),
        }
    }
}

/// The reasons as lines, the first of many.
pub fn lines(again: &[Again]) -> Vec<String> {
    let mut lines: Vec<String> =
        again.iter().take(NAMED).map(|again| format!("computing again: {again}")).collect();
    if again.len() > NAMED {
        lines.push(format!(
            "computing again: {} more reasons, which `strata runs RUN` lists",
            again.len() - NAMED
        ));
    }
    lines
}

impl Runner<'_> {
    /// Why those of the stages to compute that the last run had are computed again.
    pub fn computed_again(&self, to_compute: &BTreeSet<String>, reset_state: bool) -> Vec<Again> {
        let Some(last) = self.inherited.last.run.as_ref() else { return Vec::new() };
        let comparison = Comparison { project: self.project, sources: self.sources, plan: self.plan, last };
        let causes = comparison.causes();
        let mut again: Vec<Again> = Vec::new();
        let stages = self.project.stages.iter().map(|stage| &stage.name);
        for stage in stages.filter(|name| to_compute.contains(*name) && last.stages.contains_key(*name)) {
            let mut whys: Vec<String> = causes.get(stage).into_iter().flatten().cloned().collect();
            if whys.is_empty() {
                whys.push(match (self.full_refresh, reset_state) {
                    (_, true) => "--reset-state".into(),
                    (true, false) => "--full-refresh".into(),
                    (false, false) => "its result is no longer there".into(),
                });
            }
            for why in whys {
                match again.iter_mut().find(|known| known.why == why) {
                    Some(known) => known.stages.push(stage.clone()),
                    None => again.push(Again { why, stages: vec![stage.clone()] }),
                }
            }
        }
        again
    }
}

/// This run's plan beside the last run.
struct Comparison<'a> {
    project: &'a Project,
    sources: &'a Sources,
    plan: &'a RunPlan,
    last: &'a RunManifest,
}

impl Comparison<'_> {
    /// What makes the result of each stage another one than the last run's, by stage; stages follow their
    /// inputs.
    fn causes(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut causes = BTreeMap::new();
        for stage in &self.project.stages {
            if let Some(now) = self.plan.made_of.get(&stage.name) {
                let found = self.causes_of(stage, now, &causes);
                causes.insert(stage.name.clone(), found);
            }
        }
        causes
    }

    fn causes_of(
        &self,
        stage: &Stage,
        now: &Ingredients,
        known: &BTreeMap<String, BTreeSet<String>>,
    ) -> BTreeSet<String> {
        let Some(then) = self.last.stages.get(&stage.name) else {
            return BTreeSet::from([format!("{} is new", stage.name)]);
        };
        if then.made_of.is_empty() {
            return BTreeSet::from(["the last run does not say what its results were made of".into()]);
        }
        let mut changed: BTreeSet<&String> = now.keys().chain(then.made_of.keys()).collect();
        changed.retain(|name| now.get(*name) != then.made_of.get(*name));
        if matches!(stage.kind, Kind::Model { refit: Refit::Never, .. }) {
            changed.retain(|name| is_of_a_model(name));
        }
        let other_sql = changed.iter().any(|name| name.as_str() == "sql" || name.starts_with("view "));
        let mut causes = BTreeSet::new();
        for name in changed {
            let pair = (then.made_of.get(name), now.get(name));
            let follows_from_sql = other_sql && (pair.0.is_none() || pair.1.is_none());
            if name == "run_id" || follows_from_sql && !name.starts_with("view ") {
                continue;
            }
            let from_stage = name.strip_prefix("input ").or_else(|| name.strip_prefix("model "));
            let from_stage = from_stage.map(|input| input.strip_prefix("rejected ").unwrap_or(input));
            match from_stage.and_then(|input| Some((input, known.get(input)?))) {
                Some((input, inherited)) if inherited.is_empty() => {
                    causes.insert(format!("{input} changed"));
                }
                Some((_, inherited)) => causes.extend(inherited.iter().cloned()),
                None => {
                    causes.insert(self.cause(stage, name, pair));
                }
            }
        }
        if causes.is_empty() && now.get("run_id") != then.made_of.get("run_id") {
            causes
                .insert(format!("run id {} -> {}, which the rows hold", self.last.run_id, self.plan.run_id));
        }
        causes
    }

    /// One ingredient that changed, in words.
    fn cause(&self, stage: &Stage, name: &str, pair: (Option<&String>, Option<&String>)) -> String {
        let (kind, about) = name.split_once(' ').unwrap_or((name, ""));
        let changed = |what: &str| change(what, pair);
        match kind {
            "sql" => format!("SQL of {} changed", stage.name),
            "view" => format!("SQL of {about} changed"),
            "header" => changed(&format!("header of {}, {about}", stage.name)),
            "contract" => format!("contract of {about} changed"),
            "function" => changed(&format!("function {about}, revision")),
            "trainer" => changed(&format!("trainer {about}, revision")),
            "sink" => changed("encoding of results, revision"),
            "engine" => changed("engine, revision"),
            "time" => changed("time zone data"),
            "as_of" => self.as_of(),
            "input" => match self.sources.get(about) {
                Some(files) => self.files(about, files),
                None => {
                    let table = about.strip_prefix("published ").unwrap_or(about);
                    format!("what earlier runs published of {table}")
                }
            },
            _ => changed(name),
        }
    }

    /// The last run's instant, µs since 1970 UTC.
    fn then(&self) -> i64 {
        let then = chrono::DateTime::parse_from_rfc3339(&self.last.as_of);
        then.map(|then| then.timestamp_micros()).unwrap_or_default()
    }

    fn as_of(&self) -> String {
        let (then, now) = (as_of_text(self.then()), as_of_text(self.plan.as_of));
        format!("as of {} -> {}", then.trim_end_matches(".000000"), now.trim_end_matches(".000000"))
    }

    /// Which files of a source came, went and changed.
    fn files(&self, source: &str, files: &SourceFiles) -> String {
        let none = Vec::new();
        let then = self.last.inputs.get(source).unwrap_or(&none);
        let path = |identity: &str| {
            let parts = identity.rsplit_once(" etag ").or_else(|| identity.rsplit_once(' '));
            parts.map_or(identity, |(path, _)| path).to_string()
        };
        let then: BTreeMap<String, &String> =
            then.iter().map(|identity| (path(identity), identity)).collect();
        let now: BTreeMap<String, &String> =
            files.files.iter().map(|file| (path(&file.identity), &file.identity)).collect();
        let counts = [
            (
                now.iter().filter(|(path, now)| then.get(*path).is_some_and(|then| then != *now)).count(),
                "changed",
            ),
            (now.keys().filter(|path| !then.contains_key(*path)).count(), "new"),
            (then.keys().filter(|path| !now.contains_key(*path)).count(), "no longer read"),
        ];
        let told: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        match told.is_empty() {
            false => format!("{source}: files {}", told.join(", ")),
            // the same files are cut off at another instant, or by other columns
            true if self.then() == self.plan.as_of => format!("contract of {source} changed"),
            true => self.as_of(),
        }
    }
}

/// Whether an ingredient decides that a model which is kept for good must be trained anew.
fn is_of_a_model(name: &str) -> bool {
    ["sql", "view", "header", "trainer", "setting"].contains(&name.split(' ').next().unwrap_or_default())
}

/// A value before and after; hashes say nothing to people.
fn change(what: &str, (then, now): (Option<&String>, Option<&String>)) -> String {
    let is_hash = |value: &String| value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit());
    let shown = |value: Option<&String>| value.map_or("none".to_string(), Clone::clone);
    let plain = [then, now].into_iter().flatten().all(|value| !is_hash(value) && value.len() <= 80);
    if plain { format!("{what} {} -> {}", shown(then), shown(now)) } else { format!("{what} changed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_its_values_where_these_can_be_read() {
        let text = |value: &str| Some(value.to_string());
        let told =
            |then: Option<String>, now: Option<String>| change("setting x", (then.as_ref(), now.as_ref()));
        assert_eq!(told(text("200"), text("100")), "setting x 200 -> 100");
        assert_eq!(told(None, text("yes")), "setting x none -> yes");
        assert_eq!(told(text(&"0f".repeat(16)), text("100")), "setting x changed");
    }

    #[test]
    fn many_reasons_are_cut_short() {
        let reason = |n: usize| Again { why: format!("{n}"), stages: vec!["a.b".into(), "a.c".into()] };
        let all: Vec<Again> = (0..NAMED + 2).map(reason).collect();
        let said = lines(&all);
        assert_eq!(said.len(), NAMED + 1);
        assert_eq!(said[0], "computing again: 0 (2 stages, from a.b)");
        assert!(said[NAMED].contains("2 more reasons"), "{said:?}");
    }
}
