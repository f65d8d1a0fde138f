//! A stage's SQL as text and tree: the relations, parameters and functions it names, with their places.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Spanned, Statement, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

use super::diagnostic::{Diagnostic, Place};
use crate::Result;

/// The relation by which a fixpoint stage reads its previous round.
pub const PREVIOUS: &str = "$previous";

/// One parsed SELECT and the names in it.
#[derive(Debug, Clone)]
pub struct StageSql {
    pub file: String,
    pub text: String,
    pub query: Box<Query>,
    /// Relations read, CTEs left out: `layer.stem`, or a bare name of a published table.
    pub relations: Vec<(String, Place)>,
    /// Parameters named as `$name`, without the dollar.
    pub params: Vec<(String, Place)>,
}

impl StageSql {
    /// Parses `text` as exactly one SELECT.
    pub fn parse(file: &str, text: &str) -> Result<StageSql> {
        let query = parse_query(file, text)?;
        let mut names = Names::default();
        let _ = query.visit(&mut names);
        let ctes: BTreeSet<String> = names.ctes.iter().cloned().collect();
        let mut relations: Vec<(String, Place)> =
            names.relations.into_iter().filter(|(name, _)| !ctes.contains(name)).collect();
        relations.sort();
        relations.dedup_by(|a, b| a.0 == b.0);
        let mut params = names.params;
        params.sort();
        params.dedup_by(|a, b| a.0 == b.0);
        Ok(StageSql { file: file.to_string(), text: text.to_string(), query, relations, params })
    }

    /// A refusal at a place of this file.
    pub fn refuse(
        &self,
        place: Place,
        message: impl std::fmt::Display,
        help: impl std::fmt::Display,
    ) -> Diagnostic {
        Diagnostic::new(&self.file, &self.text, place, message, help)
    }

    /// The query in one canonical spelling: comments, case of keywords and white space do not count.
    pub fn canonical(&self) -> String {
        self.query.to_string()
    }
}

fn parse_query(file: &str, text: &str) -> Result<Box<Query>> {
    let dialect = GenericDialect {};
    let refuse = |message: String, place: Place| {
        Diagnostic::new(file, text, place, message, "a stage is one SELECT, with or without CTEs")
    };
    let mut tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| {
        refuse(lower_first(&error.message), location_place(error.location.line, error.location.column))
    })?;
    tokens.iter_mut().for_each(name_previous);
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(|error| {
        let (message, place) = parser_message(&error.to_string());
        refuse(message, place.unwrap_or(Place::last(text)))
    })?;
    match (statements.pop(), statements.pop()) {
        (Some(Statement::Query(query)), None) => Ok(query),
        (None | Some(_), None) => Err(refuse("the file holds no SELECT".into(), Place::code(text)).into()),
        (second, Some(_)) => {
            let place = second.map_or(Place::TOP, |statement| statement.span().into());
            Err(refuse("the file holds more than one statement".into(), place).into())
        }
    }
}

/// `$previous` is a relation, not a value: the parser takes it as a quoted name.
fn name_previous(token: &mut TokenWithSpan) {
    if matches!(&token.token, Token::Placeholder(name) if name == PREVIOUS) {
        token.token = Token::Word(Word {
            value: PREVIOUS.to_string(),
            quote_style: Some('"'),
            keyword: datafusion::sql::sqlparser::keywords::Keyword::NoKeyword,
        });
    }
}

fn location_place(line: u64, column: u64) -> Place {
    Place { line: (line as usize).max(1), column: (column as usize).max(1), width: 1 }
}

/// What sqlparser says, and where: it tells the place in words, `... at Line: 3, Column: 14`.
pub fn parser_message(said: &str) -> (String, Option<Place>) {
    let bare = said.trim_start_matches("SQL error: ").trim_start_matches("sql parser error: ");
    let bare =
        bare.strip_prefix("ParserError(\"").and_then(|inner| inner.strip_suffix("\")")).unwrap_or(bare);
    let found = bare.rsplit_once(" at Line: ").and_then(|(message, rest)| {
        let (line, column) = rest.split_once(", Column: ")?;
        let column: String = column.chars().take_while(char::is_ascii_digit).collect();
        Some((message, location_place(line.parse().ok()?, column.parse().ok()?)))
    });
    match found {
        Some((message, place)) => (lower_first(message), Some(place)),
        None => (lower_first(bare), None),
    }
}

/// A message of another library in our way: its first letter small, unless the word is all capitals.
pub fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(std::iter::once(second)).chain(chars).collect()
        }
        _ => message.to_string(),
    }
}

/// The parts of a name, folded to lower case unless quoted, joined by dots.
pub fn name_text(name: &ObjectName) -> String {
    let parts: Vec<String> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(ident_text).collect();
    parts.join(".")
}

/// An identifier as the planner sees it: folded to lower case unless quoted.
pub fn ident_text(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

#[derive(Default)]
struct Names {
    relations: Vec<(String, Place)>,
    ctes: Vec<String>,
    params: Vec<(String, Place)>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| ident_text(&cte.alias.name)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.relations.push((name_text(relation), relation.span().into()));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            self.params.push((name.trim_start_matches('$').to_string(), value.span.into()));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_relations_and_parameters_but_not_ctes() {
        let sql = StageSql::parse(
            "a.sql",
            "with x as (select a from staging.t where b < $as_of)\nselect a from x join Facts.U using (a)",
        )
        .unwrap();
        let names: Vec<&str> = sql.relations.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["facts.u", "staging.t"]);
        assert_eq!(sql.params[0].0, "as_of");
        assert_eq!(sql.relations[0].1.line, 2);
    }

    #[test]
    fn previous_is_a_relation() {
        let sql = StageSql::parse("a.sql", "select a from $previous").unwrap();
        assert_eq!(sql.relations[0].0, PREVIOUS);
    }

    #[test]
    fn broken_sql_is_shown_with_its_line() {
        let message = StageSql::parse("a.sql", "select a\nfrom b where )").unwrap_err().to_string();
        assert!(message.contains("a.sql:2:"), "{message}");
        let message = StageSql::parse("a.sql", "select a\nfrom (b\n").unwrap_err().to_string();
        assert!(message.contains("found: EOF\n --> a.sql:2:1"), "{message}");
    }
}
