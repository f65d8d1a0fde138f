//! One tag as a header says it: what each part of the line means, and what is refused at the word that is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{Diagnostic, Place, nearest};
use super::tags::{Domain, TAG_KEY, Tag};
use super::{Params, Stage};
use crate::Result;

const LAYERS: &[&str] = &["base", "dimension", "model"];
const TYPES: &[&str] = &["flag", "level", "number", "list", "time"];
const KEYWORDS: &[&str] = &["for", "needs", "owner", "privacy"];
const CLASSES: &[&str] = &["ordinary", "personal", "sensitive"];

/// The class of a tag that names none.
const DEFAULT_CLASS: &str = "personal";

const SHAPE: &str = "write `-- tag_NAME: LAYER TYPE (DOMAIN) | TITLE | TITLE_ZH | DEFINITION | for PURPOSE | needs SOURCE`, the \
                     domain and what follows the definition only where they apply";

/// The header line of one tag, to parse it and to refuse it at the word that is wrong.
pub(super) struct Line<'a> {
    pub(super) stage: &'a Stage,
    pub(super) key: &'a str,
}

impl Line<'_> {
    fn name(&self) -> &str {
        self.key.trim_start_matches(TAG_KEY)
    }

    pub(super) fn refuse(&self, word: &str, message: &str, help: impl std::fmt::Display) -> Diagnostic {
        let sql = &self.stage.sql;
        let whole = self.stage.header.place(self.key);
        let start: usize = sql.text.split_inclusive('\n').take(whole.line - 1).map(str::len).sum();
        let found = sql.text.get(start..).filter(|_| !word.is_empty()).and_then(|rest| rest.find(word));
        let place = found.map_or(whole, |found| Place::at(&sql.text, start + found, word.len()));
        sql.refuse(place, format!("tag `{}` {message}", self.name()), help)
    }

    /// Refuses `word` unless it is one of `known`.
    fn one_of(&self, what: &str, word: &str, known: &[&str]) -> Result<String> {
        if known.contains(&word) {
            return Ok(word.to_string());
        }
        let help = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("use {}", known.join(", ")),
        };
        Err(self.refuse(word, &format!("has the unknown {what} `{word}`"), help).into())
    }

    pub(super) fn parse(&self, settings: &Params) -> Result<Tag> {
        let value = self.stage.header.get(self.key).unwrap_or_default();
        let parts: Vec<&str> = value.split('|').map(str::trim).collect();
        if self.name().is_empty() {
            return Err(self.refuse("", "has no name", "write the column's name after `tag_`").into());
        }
        let [shape, title, title_zh, definition, more @ ..] = parts.as_slice() else {
            return Err(self.refuse("", "lacks a title, a Chinese title or a definition", SHAPE).into());
        };
        for (what, text) in [("title", title), ("Chinese title", title_zh), ("definition", definition)] {
            if text.is_empty() || is_clause(text) {
                return Err(self.refuse(text, &format!("has no {what}"), SHAPE).into());
            }
        }
        let mut words = shape.splitn(3, char::is_whitespace);
        let layer = self.one_of("layer", words.next().unwrap_or_default(), LAYERS)?;
        let rest = words.next().unwrap_or_default();
        let (kind, glued) = rest.split_at(rest.find('(').unwrap_or(rest.len()));
        let kind = self.one_of("type", kind, TYPES)?;
        let domain = [glued, words.next().unwrap_or_default()].join(" ");
        let domain = self.domain(&kind, domain.trim())?;
        let (definition, thresholds) = self.thresholds(definition, settings)?;
        let clauses = self.clauses(more)?;
        let list = |keyword| clauses.get(keyword).map_or(Ok(Vec::new()), |text| self.words(text));
        let privacy = clauses.get("privacy").copied().unwrap_or(DEFAULT_CLASS);
        Ok(Tag {
            name: self.name().to_string(),
            stage: self.stage.name.clone(),
            layer,
            kind,
            domain,
            title: title.to_string(),
            title_zh: title_zh.to_string(),
            definition,
            thresholds,
            purposes: list("for")?,
            needs: list("needs")?,
            missing: Vec::new(),
            other_needs: Vec::new(),
            owner: clauses.get("owner").map(|owner| owner.to_string()),
            privacy: self.one_of("privacy class", privacy, CLASSES)?,
            rule_version: String::new(),
        })
    }

    fn domain(&self, kind: &str, written: &str) -> Result<Domain> {
        let inner = match written.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(inner) => Some(inner.trim()),
            None if written.is_empty() => None,
            None => {
                let help = "the domain follows the type in parentheses: `level (a, b)`, `number (0 to 1)`";
                return Err(self.refuse(written, &format!("has `{written}` after its type"), help).into());
            }
        };
        let open = |text: &str| Domain { text: text.to_string(), ..Domain::default() };
        match (kind, inner) {
            ("flag", None) => Ok(open("true, false")),
            ("flag" | "time", Some(inner)) => {
                let message = format!("is a {kind}, which has no domain");
                Err(self.refuse(inner, &message, "remove what stands in parentheses").into())
            }
            ("level", None) => {
                let help = "give its levels, `level (low, high)`, or say that any may come, `level (any)`";
                Err(self.refuse("level", "is a level without a domain", help).into())
            }
            (_, None | Some("any")) => Ok(open("any")),
            ("number", Some(inner)) => self.range(inner),
            (_, Some(inner)) => {
                let levels: Vec<String> = inner.split(',').map(|level| level.trim().to_string()).collect();
                let distinct: BTreeSet<&String> = levels.iter().collect();
                if distinct.len() < levels.len() || levels.iter().any(String::is_empty) {
                    let help = "write each level once, with commas between";
                    return Err(self.refuse(inner, "has an empty level, or one twice", help).into());
                }
                Ok(Domain { levels: Some(levels), ..open(inner) })
            }
        }
    }

    /// `A to B`, either of which may be missing.
    fn range(&self, written: &str) -> Result<Domain> {
        let bound = |text: &str| match text.trim() {
            "" => Some(None),
            text => text.parse().ok().filter(|bound: &f64| bound.is_finite()).map(Some),
        };
        let spaced = format!(" {written} ");
        let bounds = spaced.split_once(" to ").and_then(|(from, to)| Some((bound(from)?, bound(to)?)));
        match bounds {
            Some((minimum, maximum))
                if (minimum, maximum) != (None, None)
                    && minimum.zip(maximum).is_none_or(|(minimum, maximum)| minimum <= maximum) =>
            {
                Ok(Domain { text: written.to_string(), levels: None, minimum, maximum })
            }
            _ => {
                let message = format!("has no range of numbers in `{written}`");
                Err(self.refuse(written, &message, "write `0 to 1`, `0 to` or `to 1`").into())
            }
        }
    }

    /// The definition with values in the place of `$setting`, and `setting=value` of each.
    fn thresholds(&self, definition: &str, settings: &Params) -> Result<(String, Vec<String>)> {
        let mut pieces = definition.split('$');
        let mut text = pieces.next().unwrap_or_default().to_string();
        let mut thresholds: Vec<String> = Vec::new();
        for piece in pieces {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, rest) = piece.split_at(piece.find(|c| !is_part(c)).unwrap_or(piece.len()));
            let value =
                settings.get(name).filter(|value| !value.data_type().is_nested()).ok_or_else(|| {
                    let help = match nearest(name, settings.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `${near}`?"),
                        None => "add it under [settings] of project.toml".into(),
                    };
                    let message = format!("names the setting `${name}`, which project.toml does not have");
                    self.refuse(&format!("${name}"), &message, help)
                })?;
            let threshold = format!("{name}={value}");
            if !thresholds.contains(&threshold) {
                thresholds.push(threshold);
            }
            text.push_str(&value.to_string());
            text.push_str(rest);
        }
        Ok((text, thresholds))
    }

    /// What follows the definition, by keyword.
    fn clauses<'t>(&self, parts: &[&'t str]) -> Result<BTreeMap<String, &'t str>> {
        let mut clauses = BTreeMap::new();
        for part in parts {
            let (keyword, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
            let keyword = self.one_of("keyword", keyword, KEYWORDS)?;
            if rest.trim().is_empty() {
                let help = format!("write `{keyword} ...`, or leave it out");
                return Err(self.refuse(part, &format!("says nothing after `{keyword}`"), help).into());
            }
            if clauses.insert(keyword.clone(), rest.trim()).is_some() {
                let help = "write it once, with commas between several";
                return Err(self.refuse(part, &format!("has `{keyword}` twice"), help).into());
            }
        }
        Ok(clauses)
    }

    fn words(&self, list: &str) -> Result<Vec<String>> {
        let words: Vec<String> = list.split(',').map(|word| word.trim().to_string()).collect();
        let is_name = |word: &String| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        match words.iter().find(|word| !is_name(word)) {
            None => Ok(words),
            Some(word) => {
                let message = format!("names `{word}`, which is no name");
                Err(self.refuse(word, &message, "write names in lower case, with commas between").into())
            }
        }
    }
}

/// Whether a text is a clause that stands where a title or the definition should be.
fn is_clause(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let keyword = words.next().is_some_and(|word| KEYWORDS.contains(&word));
    keyword && (text.contains(',') || words.count() == 1)
}

#[cfg(test)]
pub(super) mod tests {
    use datafusion::scalar::ScalarValue;

    use super::*;

    /// A tag of the stage `tags.t` whose header line says this.
    pub(in crate::project) fn tag(line: &str) -> Result<Tag> {
        let text = format!("-- A stage.\n-- grain: id\n-- store: table\n-- tag_x: {line}\nselect 1 as id");
        let stage = Stage::parse("tags/t.sql", &text, "tags", "t")?;
        let days = ("dormant_days".to_string(), ScalarValue::Int64(Some(60)));
        let share = ("share".to_string(), ScalarValue::Float64(Some(0.8)));
        Line { stage: &stage, key: "tag_x" }.parse(&Params::from([days, share]))
    }

    #[test]
    fn reads_all_that_a_line_says() {
        let tag = tag(
            "dimension level (low, very high) | Title | 标题 | over $share in $dormant_days days, $share | \
                       for marketing, location | needs orders, launches | owner a team | privacy sensitive",
        )
        .unwrap();
        assert_eq!((tag.name.as_str(), tag.stage.as_str()), ("x", "tags.t"));
        assert_eq!((tag.layer.as_str(), tag.kind.as_str()), ("dimension", "level"));
        assert_eq!(tag.domain.levels, Some(vec!["low".to_string(), "very high".to_string()]));
        assert_eq!((tag.title.as_str(), tag.title_zh.as_str()), ("Title", "标题"));
        assert_eq!(tag.definition, "over 0.8 in 60 days, 0.8");
        assert_eq!(tag.thresholds, ["share=0.8", "dormant_days=60"]);
        assert_eq!(tag.purposes, ["marketing", "location"]);
        assert_eq!(tag.needs, ["orders", "launches"]);
        assert_eq!((tag.owner.as_deref(), tag.privacy.as_str()), (Some("a team"), "sensitive"));
    }

    #[test]
    fn says_what_stands_where_nothing_is_said() {
        let tag = tag("base flag | T | 题 | for how long").unwrap();
        assert_eq!((tag.domain.text.as_str(), tag.domain.levels), ("true, false", None));
        assert_eq!((tag.owner, tag.privacy.as_str()), (None, "personal"));
        assert!(tag.purposes.is_empty() && tag.needs.is_empty() && tag.thresholds.is_empty());
    }

    #[test]
    fn reads_domains() {
        let range = |line: &str| {
            let domain = tag(&format!("base number{line} | T | 题 | d")).unwrap().domain;
            (domain.minimum, domain.maximum, domain.text)
        };
        assert_eq!(range(" (0 to 1)"), (Some(0.0), Some(1.0), "0 to 1".into()));
        assert_eq!(range(" (-2.5 to)"), (Some(-2.5), None, "-2.5 to".into()));
        assert_eq!(range("(to 3)"), (None, Some(3.0), "to 3".into()));
        assert_eq!(range(""), (None, None, "any".into()));
        assert_eq!(tag("model list (a, b) | T | 题 | d").unwrap().domain.text, "a, b");
        assert_eq!(tag("model list | T | 题 | d").unwrap().domain.levels, None);
        assert_eq!(tag("model level (any) | T | 题 | d").unwrap().domain.levels, None);
    }

    #[test]
    fn refuses_with_line_and_remedy() {
        for (line, message, place, help) in [
            ("base flag | T | 题", "lacks a title", ":4:1", "TITLE_ZH"),
            ("base flag | | 题 | d", "has no title", ":4:1", "TITLE_ZH"),
            ("base flag | T | 题 | needs orders", "has no definition", ":4:31", "DEFINITION"),
            ("bass flag | T | 题 | d", "the unknown layer `bass`", ":4:11", "did you mean `base`?"),
            ("base flog | T | 题 | d", "the unknown type `flog`", ":4:16", "did you mean `flag`?"),
            ("base level | T | 题 | d", "is a level without a domain", ":4:16", "`level (any)`"),
            ("base level (a, a) | T | 题 | d", "an empty level, or one twice", ":4:23", "each level once"),
            ("base level a, b | T | 题 | d", "has `a, b` after its type", ":4:22", "in parentheses"),
            ("base number (1 to 0) | T | 题 | d", "no range of numbers in `1 to 0`", ":4:24", "`0 to 1`"),
            ("base number (to) | T | 题 | d", "no range of numbers in `to`", ":4:24", "`0 to 1`"),
            ("base flag (yes) | T | 题 | d", "is a flag, which has no domain", ":4:22", "remove"),
            ("base flag | T | 题 | d | with x", "the unknown keyword `with`", ":4:35", "use for, needs"),
            (
                "base flag | T | 题 | d | need x",
                "the unknown keyword `need`",
                ":4:35",
                "did you mean `needs`?",
            ),
            ("base flag | T | 题 | d | needs", "says nothing after `needs`", ":4:35", "leave it out"),
            ("base flag | T | 题 | d | for a | for b", "has `for` twice", ":4:43", "once"),
            ("base flag | T | 题 | d | needs a b", "names `a b`, which is no name", ":4:41", "commas"),
            ("base flag | T | 题 | d | privacy none", "privacy class `none`", ":4:43", "use ordinary"),
            (
                "base flag | T | 题 | $dorment_days on",
                "the setting `$dorment_days`",
                ":4:31",
                "`$dormant_days`",
            ),
        ] {
            let said = tag(line).unwrap_err().to_string();
            assert!(said.contains(message), "`{message}` not in:\n{said}");
            assert!(said.contains(&format!("tags/t.sql{place}\n")), "not at {place}:\n{said}");
            assert!(said.lines().last().unwrap().contains(help), "`{help}` is no help of:\n{said}");
        }
    }
}
