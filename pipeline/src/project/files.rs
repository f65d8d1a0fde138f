//! The files of a project: its folder or the built-in copy, laid over the project it extends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::{Context, Error, Result};

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sql");

/// `project.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectToml {
    /// Name of the project; a lake belongs to one project.
    name: String,
    /// The built-in project or folder whose files this one replaces or adds to.
    extends: Option<String>,
    /// IANA time zone that defines days.
    time_zone: Option<String>,
    /// Sources that this company does not have.
    #[serde(default)]
    absent: Vec<String>,
    /// Parameters of the project's SQL, `$name`.
    #[serde(default)]
    settings: BTreeMap<String, toml::Value>,
}

/// All files of a project with what it extends, and the merged `project.toml`.
#[derive(Debug, Clone)]
pub struct ProjectFiles {
    pub name: String,
    pub time_zone: String,
    pub absent: Vec<String>,
    pub settings: BTreeMap<String, toml::Value>,
    /// Text by path, `layer/stem.sql`, with the path to show in messages.
    pub files: BTreeMap<String, (String, String)>,
}

/// The names of the built-in projects.
pub fn built_in_names() -> Vec<String> {
    BUILT_IN.dirs().map(|dir| dir.path().display().to_string()).collect()
}

impl ProjectFiles {
    /// Reads a built-in project by name, or a folder.
    pub fn load(project: &str) -> Result<ProjectFiles> {
        Self::load_from(project, Path::new("."), 0)
    }

    fn load_from(project: &str, base: &Path, depth: usize) -> Result<ProjectFiles> {
        if depth > 8 {
            return Err(Error::Usage(format!("project `{project}`: `extends` goes round in a circle")));
        }
        let (shown, files, folder) = match BUILT_IN.get_dir(project) {
            Some(dir) => (format!("sql/{project}"), built_in_files(dir), PathBuf::from(".")),
            None => {
                let folder = base.join(project);
                (folder.display().to_string(), folder_files(&folder)?, folder)
            }
        };
        let toml_path = format!("{shown}/project.toml");
        let text = files.get("project.toml").ok_or_else(|| {
            Error::Usage(format!(
                "project `{project}`: there is no {toml_path}\nhelp: give a folder that holds project.toml, or one of \
                 the built-in projects: {}",
                built_in_names().join(", ")
            ))
        })?;
        let toml: ProjectToml =
            toml::from_str(text).map_err(|error| Error::Usage(format!("{toml_path}: {error}")))?;
        let mut merged = match &toml.extends {
            Some(parent) => Self::load_from(parent, &folder, depth + 1)?,
            None => ProjectFiles {
                name: String::new(),
                time_zone: "UTC".into(),
                absent: Vec::new(),
                settings: BTreeMap::new(),
                files: BTreeMap::new(),
            },
        };
        merged.name = toml.name;
        merged.time_zone = toml.time_zone.unwrap_or(merged.time_zone);
        merged.absent.extend(toml.absent);
        merged.settings.extend(toml.settings);
        for (path, text) in files {
            if path.ends_with(".sql") {
                merged.files.insert(path.clone(), (format!("{shown}/{path}"), text));
            }
        }
        Ok(merged)
    }
}

fn built_in_files(dir: &Dir<'_>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        for file in folder.files() {
            let path = file.path().strip_prefix(dir.path()).unwrap_or(file.path());
            if let Some(text) = file.contents_utf8() {
                files.insert(path.display().to_string(), text.to_string());
            }
        }
    }
    files
}

fn folder_files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&current) else { continue };
        for entry in entries {
            let path = entry.context(format!("cannot read folder {}", current.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "sql" || e == "toml") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| Error::Usage(format!("{}: {error}", path.display())))?;
                let relative = path.strip_prefix(folder).unwrap_or(&path);
                files.insert(relative.display().to_string(), text);
            }
        }
    }
    Ok(files)
}
