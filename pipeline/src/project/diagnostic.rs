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
        writeln!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat(width))?;
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
