//! The reference of all functions, generated from their own documentation.

use std::collections::BTreeMap;
use std::fmt::Write;

use datafusion::logical_expr::Documentation;

use crate::{all_aggregate, all_scalar};

/// The reference as Markdown: a chapter each section, functions in alphabetical order.
pub fn reference() -> String {
    let mut sections: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let (scalars, aggregates) = (all_scalar(), all_aggregate());
    let scalar = scalars.iter().map(|function| (function.name(), function.documentation(), ""));
    let aggregate =
        aggregates.iter().map(|function| (function.name(), function.documentation(), " (aggregate)"));
    for (name, documentation, kind) in scalar.chain(aggregate) {
        let Some(documentation) = documentation else { continue };
        let entry = describe(&format!("`{name}`{kind}"), documentation);
        sections.entry(documentation.doc_section.label).or_default().insert(name.to_string(), entry);
    }
    let mut markdown = String::from("# Functions\n");
    for (section, entries) in sections {
        let _ = write!(markdown, "\n## {section}\n");
        entries.values().for_each(|entry| markdown.push_str(entry));
    }
    markdown
}

fn describe(title: &str, documentation: &Documentation) -> String {
    let mut entry = format!("\n### {title}\n\n{}\n\n", documentation.description);
    let others = documentation.alternative_syntax.iter().flatten();
    let syntax: Vec<&str> =
        std::iter::once(&documentation.syntax_example).chain(others).map(String::as_str).collect();
    let _ = writeln!(entry, "```sql\n{}\n```", syntax.join("\n"));
    if let Some(arguments) = &documentation.arguments {
        entry.push('\n');
        for (name, description) in arguments {
            let _ = writeln!(entry, "- `{name}`: {description}");
        }
    }
    if let Some(example) = &documentation.sql_example {
        let _ = writeln!(entry, "\nExample:\n\n{example}");
    }
    if let Some(related) = &documentation.related_udfs {
        let names: Vec<String> = related.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(entry, "\nSee also {}.", names.join(", "));
    }
    entry
}
