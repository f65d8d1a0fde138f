//! Documents that are generated, or that name commands, say what the code does.

use crate::support::{ok, repository};

/// `STRATA_UPDATE=1` writes the function reference anew.
#[test]
fn the_function_reference_is_up_to_date() {
    let path = repository().join("udfs/FUNCTIONS.md");
    let reference = strata_udfs::reference();
    if std::env::var_os("STRATA_UPDATE").is_some() {
        std::fs::write(&path, &reference).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == reference, "udfs/FUNCTIONS.md is out of date: run this test with STRATA_UPDATE=1");
}

#[test]
fn every_command_of_the_readme_exists() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let help = ok(&["--help"]);
    let rows = readme.lines().filter(|line| line.starts_with("| `strata "));
    let commands: Vec<&str> = rows.filter_map(|line| line.split([' ', '`']).nth(3)).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "README names `strata {command}`, which does not exist"
        );
        assert!(ok(&[command, "--help"]).contains("Usage: strata"));
    }
}

#[test]
fn every_option_of_run_in_the_readme_exists() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let row = readme.lines().find(|line| line.starts_with("| `strata run ")).unwrap();
    let help = ok(&["run", "--help"]);
    let options: Vec<&str> = row.split([' ', '`', '|']).filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 5, "{options:?}");
    for option in options {
        assert!(help.contains(option), "README names {option}, which `strata run` does not know");
    }
}
