//! The form of the data files of this folder: lines of a kind, an argument and entries between separators.

/// The lines of a file but comments and empty ones: first word, second word, the entries after them.
pub(super) fn lines(file: &str, separator: char) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(move |line| {
        let (kind, rest) = line.split_once(' ')?;
        let (argument, entries) = rest.split_once(' ')?;
        Some((kind, argument, entries.split(separator).collect()))
    })
}
