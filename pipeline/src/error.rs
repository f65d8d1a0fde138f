//! The one error type of the library. Each variant maps to one exit code of the binary.

use std::fmt::Display;

/// What went wrong, in words for the person who can mend it: the file, the column, the value, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong use of a command, a setting or a project file. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A source breaks its declared contract. Exit code 3.
    #[error("{0}")]
    Contract(String),
    /// An audit returned offending rows; nothing was published. Exit code 4.
    #[error("{0}")]
    Audit(String),
    /// The engine that was to do the work cannot be reached any more. Exit code 5.
    #[error("{0}")]
    EngineLost(String),
    /// Another run holds the lake. Exit code 75.
    #[error("{0}")]
    Locked(String),
    /// Anything else, with what was being done when it happened. Exit code 1.
    #[error("{context}: {source}")]
    Other {
        /// What was being done.
        context: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The result type of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The exit code by which the binary reports this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Contract(_) => 3,
            Error::Audit(_) => 4,
            Error::EngineLost(_) => 5,
            Error::Locked(_) => 75,
            Error::Other { .. } => 1,
        }
    }

    /// An error without a cause of its own.
    pub fn other(context: impl Display) -> Self {
        Error::Other { context: "failed".into(), source: context.to_string().into() }
    }
}

/// Adds to a foreign error what was being done when it happened.
pub trait Context<T> {
    /// Wraps the error as [`Error::Other`] with this context, lower case and without a full stop.
    fn context(self, context: impl Display) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, context: impl Display) -> Result<T> {
        self.map_err(|source| Error::Other { context: context.to_string(), source: source.into() })
    }
}
