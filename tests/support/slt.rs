//! Files of cases in the form of sqllogictest: statements, queries and the rows that they must give.
//!
//! Records stand between empty lines; `#` begins a comment. `statement ok` or `statement error TEXT` is followed by a
//! statement, `query TYPES [rowsort]` by a query, a line `----` and its rows, values set apart by spaces; `query error TEXT` by a
//! query that must fail. Types are one letter a column, of which only the number is checked: Boolean, Date, Integer, Real (decimals
//! too), Text, P for instants, `?` for all else.

use std::path::Path;

/// What a statement or query gave: its types and rows, as they stand in a file.
pub struct Rows {
    pub types: String,
    pub rows: Vec<String>,
}

/// What runs the SQL of a file.
pub trait Runner {
    /// Runs a statement.
    async fn statement(&mut self, sql: &str) -> Result<(), String>;
    /// Answers a query.
    async fn query(&mut self, sql: &str) -> Result<Rows, String>;
}

/// One record: the lines that are kept whatever comes out, and those that are rows.
struct Record<'a> {
    /// Number of the first line.
    line: usize,
    head: &'a str,
    sql: String,
    expected: Vec<&'a str>,
}

/// The records of a file, and the lines between them as they are.
enum Part<'a> {
    Between(&'a str),
    Record(Record<'a>),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut lines = text.lines().enumerate().peekable();
    let mut parts = Vec::new();
    while let Some((index, line)) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            parts.push(Part::Between(line));
            continue;
        }
        let mut record = Record { line: index + 1, head: line, sql: String::new(), expected: Vec::new() };
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty() && *line != "----") {
            record.sql.push_str(line);
            record.sql.push('\n');
        }
        if lines.next_if(|(_, line)| *line == "----").is_some() {
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
                record.expected.push(line);
            }
        }
        parts.push(Part::Record(record));
    }
    parts
}

fn tidy(row: &str) -> String {
    row.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs one file; gives what went wrong, a text each. With `update` the rows of queries are replaced by what comes out.
pub async fn run_file(path: &Path, runner: &mut impl Runner, update: bool) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let (mut failures, mut written) = (Vec::new(), String::new());
    for part in parts(&text) {
        let record = match part {
            Part::Between(line) => {
                written.push_str(&format!("{line}\n"));
                continue;
            }
            Part::Record(record) => record,
        };
        let mut fail = |what: String| failures.push(format!("{}:{}: {what}", path.display(), record.line));
        let mut words = record.head.splitn(3, ' ');
        let kind = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let rest = words.next().unwrap_or_default().trim();
        written.push_str(&format!("{}\n{}", record.head, record.sql));
        match kind {
            ("statement", "ok") => {
                if let Err(error) = runner.statement(&record.sql).await {
                    fail(error);
                }
            }
            ("statement" | "query", "error") => {
                let outcome = match kind.0 {
                    "query" => runner.query(&record.sql).await.map(|_| ()),
                    _ => runner.statement(&record.sql).await,
                };
                match outcome {
                    Ok(()) => fail(format!("did not fail with `{rest}`")),
                    Err(error) if error.contains(rest) => {}
                    Err(error) => fail(format!("failed without `{rest}`:\n{error}")),
                }
            }
            ("query", types) => match runner.query(&record.sql).await {
                Err(error) => fail(error),
                Ok(mut found) => {
                    let mut expected: Vec<String> = record.expected.iter().map(|row| tidy(row)).collect();
                    let mut shown: Vec<String> = found.rows.iter().map(|row| tidy(row)).collect();
                    if rest == "rowsort" {
                        expected.sort();
                        shown.sort();
                        found.rows.sort();
                    }
                    if update {
                        if types.len() != found.types.len() {
                            let start = written.len() - record.sql.len() - record.head.len() - 1;
                            let after = start + "query ".len();
                            written.replace_range(after..after + types.len(), &found.types);
                        }
                        written.push_str("----\n");
                        found.rows.iter().for_each(|row| written.push_str(&format!("{row}\n")));
                    } else if types.len() != found.types.len() {
                        fail(format!("{types} names other columns than came, which are {}", found.types));
                    } else if expected != shown {
                        let lines = |rows: &[String]| rows.join("\n    ");
                        fail(format!("expected\n    {}\nfound\n    {}", lines(&expected), lines(&shown)));
                    }
                }
            },
            _ => fail(format!("`{}` is no record", record.head)),
        }
    }
    if update && failures.is_empty() && written != text {
        std::fs::write(path, written).expect("the file can be written");
    }
    failures
}
