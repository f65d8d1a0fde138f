//! Errors in project files: file, line, caret, and the way out.

use std::fmt;

use crate::Error;

/// A place in a project file: 1-based line and column, and how many characters it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Place {
    /// The first line as a whole, for what a file lacks.
    pub const TOP: Place = Place { line: 1, column: 1, width: 1 };

    /// The first line that is no comment, or the top.
    pub fn code(text: &str) -> Place {
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("--");
        let start = text.split_inclusive('\n').take_while(|line| !is_code(line)).map(str::len).sum();
        let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        if line.is_empty() {
            Place::TOP
        } else {
            Place::at(text, start + line.len() - line.trim_start().len(), line.trim().len())
        }
    }

    /// The last line that is not empty, for what a file lacks at its end.
    pub fn last(text: &str) -> Place {
        let end = text.trim_end().len();
        let start = text.get(..end).and_then(|text| text.rfind('\n')).map_or(0, |newline| newline + 1);
        Place::at(text, start, end - start)
    }

    /// The place of `bytes` bytes from byte `start` on, to the end of their line at most.
    pub fn at(text: &str, start: usize, bytes: usize) -> Place {
        let before = text.get(..start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let chars = |part: Option<&str>| part.map_or(0, |part| part.chars().count());
        let spanned = text.get(start..start + bytes).and_then(|span| span.lines().next());
        Place {
            line: before.matches('\n').count() + 1,
            column: chars(before.get(line_start..)) + 1,
            width: chars(spanned).max(1),
        }
    }

    /// The first place where `word` stands as a whole word and in code, not in a comment.
    pub fn find_word(text: &str, word: &str) -> Option<Place> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let found = text.match_indices(word).map(|(start, _)| start).find(|start| {
            let (before, after) = (&text[..*start], &text[start + word.len()..]);
            let line = before.rsplit('\n').next().unwrap_or_default();
            let commented = line.contains("--") || line.trim_start().starts_with('#');
            !commented && !before.ends_with(is_part) && !after.starts_with(is_part)
        });
        found.map(|start| Place::at(text, start, word.len()))
    }

    /// All places where `name` is called as a function, in any case, comments left out.
    pub fn calls(text: &str, name: &str) -> Vec<Place> {
        let lower = text.to_ascii_lowercase();
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let is_call = |start: usize| {
            let (before, after) = (&lower[..start], &lower[start + name.len()..]);
            let line = before.rsplit('\n').next().unwrap_or_default();
            !line.contains("--") && !before.ends_with(is_part) && after.trim_start().starts_with('(')
        };
        let starts = lower.match_indices(name).map(|(start, _)| start).filter(|start| is_call(*start));
        starts.map(|start| Place::at(text, start, name.len())).collect()
    }

    /// The place of `needle` at its first occurrence in `text`, or the top.
    pub fn find(text: &str, needle: &str) -> Place {
        let wanted = needle.to_lowercase();
        text.lines()
            .enumerate()
            .find_map(|(index, line)| {
                let byte = line.to_lowercase().find(&wanted)?;
                let column = line.get(..byte).map_or(0, |before| before.chars().count()) + 1;
                Some(Place { line: index + 1, column, width: needle.chars().count() })
            })
            .unwrap_or(Place::TOP)
    }
}

impl From<datafusion::sql::sqlparser::tokenizer::Span> for Place {
    fn from(span: datafusion::sql::sqlparser::tokenizer::Span) -> Self {
        let same_line = span.start.line == span.end.line;
        let width = if same_line { span.end.column.saturating_sub(span.start.column) } else { 1 };
        Place {
            line: (span.start.line as usize).max(1),
            column: (span.start.column as usize).max(1),
            width: (width as usize).max(1),
        }
    }
}

impl From<datafusion::common::Span> for Place {
    fn from(span: datafusion::common::Span) -> Self {
        let same_line = span.start.line == span.end.line;
        let width = if same_line { span.end.column.saturating_sub(span.start.column) } else { 1 };
        Place {
            line: (span.start.line as usize).max(1),
            column: (span.start.column as usize).max(1),
            width: (width as usize).max(1),
        }
    }
}

/// One refusal, shown with the line it speaks of.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    file: String,
    line_text: String,
    place: Place,
    message: String,
    help: String,
}

impl Diagnostic {
    /// A refusal of what stands at `place` in `file`, whose whole text is `text`.
    pub fn new(
        file: &str,
        text: &str,
        place: Place,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) -> Self {
        Diagnostic {
            file: file.to_string(),
            line_text: text.lines().nth(place.line - 1).unwrap_or_default().to_string(),
            place,
            message: message.to_string(),
            help: help.to_string(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column, width } = self.place;
        let margin = " ".repeat(line.to_string().len());
        writeln!(f, "{}", self.message)?;
        writeln!(f, "{margin}--> {}:{line}:{column}", self.file)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {}", self.line_text)?;
        let indent = |c: char| if c == '\t' { '\t' } else { ' ' };
        let before: String =
            self.line_text.chars().chain(std::iter::repeat(' ')).take(column - 1).map(indent).collect();
        writeln!(f, "{margin} | {before}{}", "^".repeat(width))?;
        write!(f, "{margin} = help: {}", self.help)
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Error::Usage(diagnostic.to_string())
    }
}

/// The candidate nearest to `name` by edit distance, for "did you mean".
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}
