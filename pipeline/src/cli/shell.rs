//! The query shell: statements end with `;`.

use std::io::BufRead;

use crate::query::Reader;
use crate::{Context, Result};

use super::print::{print, print_query};
use super::query::OutputFormat;

/// Reads statements until the end of input or `\q`. A wrong statement is told and the shell goes on.
pub async fn shell(reader: &Reader) -> Result<()> {
    print(format_args!(
        "tables: {}\nend a statement with `;`, leave with \\q\n",
        reader.tables().join(", ")
    ))?;
    let mut statement = String::new();
    let stdin = std::io::stdin();
    loop {
        print(if statement.is_empty() { "strata> " } else { "   ...> " })?;
        let mut line = String::new();
        if stdin.lock().read_line(&mut line).context("cannot read")? == 0 || line.trim() == "\\q" {
            return Ok(());
        }
        statement.push_str(&line);
        if line.trim_end().ends_with(';') {
            let query = statement.trim().trim_end_matches(';').to_string();
            statement.clear();
            if let Err(error) = print_query(reader, &query, OutputFormat::Table).await {
                super::complain(&super::describe(&error));
            }
        }
    }
}
