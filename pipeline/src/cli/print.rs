//! Writing to standard output. A reader that went away (`| head`) ends the command quietly.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use crate::query::Reader;
use crate::{Context, Result};

use super::query::{OutputFormat, write_rows};

/// Writes text to standard output as it is.
pub fn print(text: impl Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write standard output")
        }
        _ => Ok(()),
    }
}

/// Runs a query and writes its rows to standard output, or as many as the reader at its end takes.
pub async fn print_query(reader: &Reader, query: &str, format: OutputFormat) -> Result<()> {
    let mut pipe = Pipe { out: std::io::stdout(), broken: false };
    let written = write_rows(reader.query(query).await?, format, &mut pipe).await;
    if pipe.broken { Ok(()) } else { written }
}

/// A writer that remembers that its reader went away.
struct Pipe<W> {
    out: W,
    broken: bool,
}

impl<W> Pipe<W> {
    fn note<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        self.broken |= done.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        done
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.out.write(bytes);
        self.note(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.out.flush();
        self.note(done)
    }
}
