//! The comment block that opens a project file: a sentence, then `-- key: value` lines.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Place, nearest};
use crate::Result;

/// What a file's header says: one sentence of description and settings by key.
#[derive(Debug, Clone, Default)]
pub struct Header {
    pub description: String,
    values: BTreeMap<String, (String, usize)>,
}

impl Header {
    /// Reads the leading comment lines of `text`. A line `-- key: value` whose key is one lower-case word sets a
    /// value; other lines are the description, and an indented line goes on with the value before it.
    pub fn parse(file: &str, text: &str) -> Result<Header> {
        let mut header = Header::default();
        let mut last_key: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            let Some(comment) = line.trim_start().strip_prefix("--") else {
                if line.trim().is_empty() {
                    continue;
                }
                break;
            };
            match (split_key(comment), &last_key) {
                (Some((key, value)), _) => {
                    let taken = header.values.insert(key.clone(), (value, index + 1));
                    if taken.is_some() {
                        let place = Place { line: index + 1, column: 1, width: line.len().max(1) };
                        return Err(Diagnostic::new(
                            file,
                            text,
                            place,
                            format!("header key `{key}` is given twice"),
                            "keep one of the two lines",
                        )
                        .into());
                    }
                    last_key = Some(key);
                }
                (None, Some(key)) if comment.starts_with("   ") => {
                    if let Some((value, _)) = header.values.get_mut(key) {
                        value.push(' ');
                        value.push_str(comment.trim());
                    }
                }
                (None, _) => {
                    if !header.description.is_empty() {
                        header.description.push(' ');
                    }
                    header.description.push_str(comment.trim());
                }
            }
        }
        header.description = header.description.trim().to_string();
        Ok(header)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str())
    }

    /// The comma-separated values of a key, empty when the key is missing.
    pub fn list(&self, key: &str) -> Vec<String> {
        self.get(key)
            .map(|value| value.split(',').map(|part| part.trim().to_string()).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// All keys and values, for trainers that read their own settings.
    pub fn values(&self) -> BTreeMap<String, String> {
        self.values.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// Where a key stands, or the top of the file.
    pub fn place(&self, key: &str) -> Place {
        self.values.get(key).map_or(Place::TOP, |(value, line)| Place {
            line: *line,
            column: 1,
            width: key.len() + value.chars().count() + 5,
        })
    }

    /// Refuses keys that are not in `allowed`, where `name_*` stands for all that begin with `name_`.
    pub fn refuse_unknown(&self, file: &str, text: &str, allowed: &[&str]) -> Result<()> {
        let fits = |key: &str, one: &str| match one.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == one,
        };
        for key in self.values.keys() {
            if !allowed.iter().any(|one| fits(key, one)) {
                let help = match nearest(key, allowed.iter().copied()) {
                    Some(candidate) => format!("did you mean `{candidate}`?"),
                    None => format!("known keys: {}", allowed.join(", ")),
                };
                let message = format!("unknown header key `{key}`");
                return Err(Diagnostic::new(file, text, self.place(key), message, help).into());
            }
        }
        Ok(())
    }

    /// Refuses a header without a description or without one of `required`.
    pub fn require(&self, file: &str, text: &str, required: &[&str]) -> Result<()> {
        if self.description.is_empty() {
            let help = "open the file with `-- One sentence that says what a row is.`";
            return Err(Diagnostic::new(file, text, Place::TOP, "the header has no description", help).into());
        }
        for key in required {
            if self.get(key).is_none_or(str::is_empty) {
                let message = format!("the header lacks `{key}`");
                let help = format!("add a line `-- {key}: ...` to the comment that opens the file");
                return Err(Diagnostic::new(file, text, Place::TOP, message, help).into());
            }
        }
        Ok(())
    }
}

fn split_key(comment: &str) -> Option<(String, String)> {
    let (key, value) = comment.trim_start().split_once(':')?;
    let word =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
    word.then(|| (key.to_string(), value.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_description_keys_and_continuations() {
        let header = Header::parse(
            "a.sql",
            "-- What a row is,\n-- in two lines.\n-- grain: a, b\n-- why: because\n--    it must\nselect 1",
        )
        .unwrap();
        assert_eq!(header.description, "What a row is, in two lines.");
        assert_eq!(header.list("grain"), ["a", "b"]);
        assert_eq!(header.get("why"), Some("because it must"));
    }

    #[test]
    fn refuses_unknown_and_doubled_keys() {
        let text = "-- x\n-- grian: a\nselect 1";
        let header = Header::parse("a.sql", text).unwrap();
        let message = header.refuse_unknown("a.sql", text, &["grain"]).unwrap_err().to_string();
        assert!(message.contains("a.sql:2:1") && message.contains("did you mean `grain`"), "{message}");
        assert!(Header::parse("a.sql", "-- a: 1\n-- a: 2").is_err());
    }
}
