//! The order of the stages, and the graph as text, DOT or Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::diagnostic::Place;
use super::{Kind, LAYERS, Project, Relation, Stage, Store};
use crate::Result;

/// How `strata graph` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    Text,
    Dot,
    Mermaid,
}

impl Project {
    /// Sorts the stages so that each follows what it reads; refuses a cycle and shows it.
    pub(super) fn sort_stages(&mut self) -> Result<()> {
        let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for stage in &self.stages {
            before.insert(stage.name.clone(), self.needs(stage));
        }
        let mut sorted: Vec<Stage> = Vec::with_capacity(self.stages.len());
        let mut open: Vec<Stage> = std::mem::take(&mut self.stages);
        open.sort_by_key(|stage| (LAYERS.iter().position(|l| *l == stage.layer), stage.name.clone()));
        while !open.is_empty() {
            let done: BTreeSet<&String> = sorted.iter().map(|stage| &stage.name).collect();
            let ready = open
                .iter()
                .position(|s| before.get(&s.name).is_none_or(|b| b.iter().all(|n| done.contains(n))));
            match ready {
                Some(index) => sorted.push(open.remove(index)),
                None => return Err(cycle(&open, &before)),
            }
        }
        self.stages = sorted;
        Ok(())
    }

    /// The stages whose results or models `stage` uses.
    pub fn needs(&self, stage: &Stage) -> BTreeSet<String> {
        let mut needs: BTreeSet<String> = self
            .inputs(&stage.name)
            .values()
            .filter_map(|relation| match relation {
                Relation::Stage(name) | Relation::Quarantine(name) | Relation::Former(name) => {
                    Some(name.clone())
                }
                Relation::Carried(name) if !self.stage(name).is_some_and(Stage::declares_columns) => {
                    Some(name.clone())
                }
                Relation::Carried(_) | Relation::Source(_) | Relation::Previous(_) => None,
            })
            .collect();
        for (param, _) in &stage.sql.params {
            needs.extend(self.models_all().filter(|(name, _)| name == param).map(|(_, s)| s.name.clone()));
        }
        needs
    }

    fn models_all(&self) -> impl Iterator<Item = (String, &Stage)> {
        self.models().map(|(name, stage)| (name.to_string(), stage))
    }

    /// The graph in the given format.
    pub fn graph(&self, format: GraphFormat) -> String {
        match format {
            GraphFormat::Text => self.graph_text(),
            GraphFormat::Dot => self.graph_lines("digraph strata {\n  rankdir=LR;\n", "}\n", |from, to| {
                format!("  \"{from}\" -> \"{to}\";\n")
            }),
            GraphFormat::Mermaid => {
                self.graph_lines("flowchart LR\n", "", |from, to| format!("  {from} --> {to}\n"))
            }
        }
    }

    fn edges(&self) -> Vec<(String, String)> {
        let mut edges = Vec::new();
        for stage in &self.stages {
            for relation in self.inputs(&stage.name).values() {
                match relation {
                    Relation::Source(name) | Relation::Stage(name) => {
                        edges.push((name.clone(), stage.name.clone()))
                    }
                    Relation::Quarantine(name) => edges.push((name.clone(), stage.name.clone())),
                    Relation::Carried(_) | Relation::Former(_) | Relation::Previous(_) => {}
                }
            }
            for (param, _) in &stage.sql.params {
                for (_, model) in self.models().filter(|(name, _)| name == param) {
                    edges.push((model.name.clone(), stage.name.clone()));
                }
            }
        }
        edges.sort();
        edges.dedup();
        edges
    }

    fn graph_lines(&self, open: &str, close: &str, line: impl Fn(&str, &str) -> String) -> String {
        let lines: String = self.edges().iter().map(|(from, to)| line(from, to)).collect();
        format!("{open}{lines}{close}")
    }

    fn graph_text(&self) -> String {
        let edges = self.edges();
        let mut out = String::new();
        for source in self.sources.values() {
            let mark = if source.absent { " (absent)" } else { "" };
            let _ = writeln!(out, "{}{mark}", source.name);
        }
        for stage in &self.stages {
            let store = match (&stage.kind, stage.store) {
                (Kind::Model { .. }, _) => stage.header.get("kind").unwrap_or("model"),
                (Kind::Fixpoint { .. }, _) => "fixpoint",
                (_, Store::View) => "view",
                (_, Store::Table) => "table",
                (_, Store::Daily) => "daily",
            };
            let from: Vec<&str> =
                edges.iter().filter(|(_, to)| *to == stage.name).map(|(f, _)| f.as_str()).collect();
            let published = if stage.publish.is_some() { ", published" } else { "" };
            let _ = writeln!(out, "{} ({store}{published}) <- {}", stage.name, from.join(", "));
        }
        out
    }
}

fn cycle(open: &[Stage], before: &BTreeMap<String, BTreeSet<String>>) -> crate::Error {
    let names: BTreeSet<&String> = open.iter().map(|stage| &stage.name).collect();
    let mut path: Vec<String> = vec![open[0].name.clone()];
    loop {
        let last = path[path.len() - 1].clone();
        let next =
            before.get(&last).and_then(|b| b.iter().find(|n| names.contains(n))).cloned().unwrap_or(last);
        if let Some(start) = path.iter().position(|n| *n == next) {
            path.push(next);
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    path.reverse();
    let stage = open.iter().find(|s| s.name == path[0]).unwrap_or(&open[0]);
    let read = path.get(path.len().saturating_sub(2)).cloned().unwrap_or_default();
    let model = read.rsplit('.').next().unwrap_or_default();
    let relation = stage.sql.relations.iter().find(|(name, _)| *name == read);
    let named = relation.or_else(|| stage.sql.params.iter().find(|(name, _)| name == model));
    let place = named.map_or(Place::TOP, |(_, place)| *place);
    stage
        .sql
        .refuse(
            place,
            format!("the stages read each other in a circle: {}", path.join(" -> ")),
            "break the circle; repeated steps belong in a fixpoint stage",
        )
        .into()
}
