//! The files of a project: its folder or the built-in copy, laid over the project it extends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use chrono_tz::Tz;
use datafusion::scalar::ScalarValue;
use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::diagnostic::{Diagnostic, Place, nearest};
use super::{MODELS, Params};
use crate::{Error, Result};

/// The keys of `project.toml`.
const KEYS: &[&str] = &["name", "extends", "time_zone", "absent", "settings"];

/// Parameters that every run sets itself.
pub(super) const RESERVED: &[&str] =
    &["accept_drift", "as_of", "run_id", "time_zone", "absent", "tags", MODELS];

/// Names under which a project's files may not keep a value: it would be a secret.
const SECRETS: &[&str] = &["pseudonym_key", "pseudonym_salt"];

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
    pub time_zone: Tz,
    pub absent: Vec<String>,
    /// Values of the settings: Int64, Float64, Utf8 or Boolean.
    pub settings: Params,
    /// The settings that the extended project does not have.
    pub new_settings: Vec<String>,
    /// `project.toml` itself: the path to show in messages, and its text.
    pub toml: (String, String),
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
            return Err(Error::Usage(format!(
                "project `{project}`: `extends` goes round in a circle\nhelp: extend a project that does not lead back here"
            )));
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
            let built_in = built_in_names();
            let near = nearest(project, built_in.iter().map(String::as_str));
            let near = near.map(|near| format!("did you mean `{near}`? else ")).unwrap_or_default();
            Error::Usage(format!(
                "project `{project}`: there is no {toml_path}\nhelp: {near}give a folder that holds project.toml, or \
                 one of the built-in projects: {}",
                built_in.join(", ")
            ))
        })?;
        refuse_secrets(&toml_path, text)?;
        let toml: ProjectToml =
            toml::from_str(text).map_err(|error| refuse_toml(&toml_path, text, &error))?;
        let mut merged = match &toml.extends {
            Some(parent) => {
                if BUILT_IN.get_dir(parent).is_none() && !folder.join(parent).join("project.toml").is_file() {
                    return Err(refuse_parent(&toml_path, text, parent).into());
                }
                Self::load_from(parent, &folder, depth + 1)?
            }
            None => ProjectFiles::default(),
        };
        merged.name = toml.name;
        merged.toml = (toml_path, text.clone());
        merged.absent.extend(toml.absent);
        if let Some(zone) = &toml.time_zone {
            merged.time_zone = zone.parse().map_err(|_| merged.refuse_zone(zone))?;
        }
        merged.set(toml.settings)?;
        for (path, text) in files {
            if path.ends_with(".sql") {
                merged.files.insert(path.clone(), (format!("{shown}/{path}"), text));
            }
        }
        Ok(merged)
    }

    /// All settings as parameters, `time_zone` and `absent` (the names of the sources that are not there) among them.
    pub fn params(&self) -> Params {
        let zone = ScalarValue::Utf8(Some(self.time_zone.name().to_string()));
        let names: Vec<ScalarValue> =
            self.absent.iter().map(|name| ScalarValue::Utf8(Some(name.clone()))).collect();
        let absent = ScalarValue::List(ScalarValue::new_list(&names, &DataType::Utf8, true));
        let own = [("time_zone".to_string(), zone), ("absent".to_string(), absent)];
        self.settings.clone().into_iter().chain(own).collect()
    }

    /// Lays a project's settings over those it extends, whose types they keep.
    fn set(&mut self, settings: BTreeMap<String, toml::Value>) -> Result<()> {
        self.new_settings.clear();
        for (name, value) in settings {
            if RESERVED.contains(&name.as_str()) {
                let message = format!("`{name}` is a parameter of every run and cannot be a setting");
                let help = "choose another name; the time zone stands above [settings], as `time_zone`";
                return Err(self.refuse(&name, message, help).into());
            }
            let value = match (value, self.settings.get(&name)) {
                (toml::Value::Integer(value), Some(ScalarValue::Float64(_))) => {
                    ScalarValue::Float64(Some(value as f64))
                }
                (toml::Value::Integer(value), _) => ScalarValue::Int64(Some(value)),
                (toml::Value::Float(value), _) => ScalarValue::Float64(Some(value)),
                (toml::Value::Boolean(value), _) => ScalarValue::Boolean(Some(value)),
                (toml::Value::String(value), _) => ScalarValue::Utf8(Some(value)),
                _ => {
                    let message = format!("setting `{name}` is neither a number nor text nor true or false");
                    return Err(self
                        .refuse(&name, message, "give one value; split a list into several settings")
                        .into());
                }
            };
            if let Some(parent) = self.settings.get(&name)
                && parent.data_type() != value.data_type()
            {
                let message =
                    format!("setting `{name}` = {value} has another type than in the project extended");
                return Err(self.refuse(&name, message, format!("there it is {parent}")).into());
            }
            if self.settings.insert(name.clone(), value).is_none() {
                self.new_settings.push(name);
            }
        }
        Ok(())
    }

    fn refuse_zone(&self, zone: &str) -> Error {
        let help = match nearest(zone, chrono_tz::TZ_VARIANTS.iter().map(|known| known.name())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write it like Europe/Paris, or UTC".into(),
        };
        self.refuse(zone, format!("`{zone}` is no IANA time zone"), help).into()
    }
}

impl Default for ProjectFiles {
    /// A project of no files, in UTC.
    fn default() -> Self {
        ProjectFiles {
            name: String::new(),
            time_zone: Tz::UTC,
            absent: Vec::new(),
            settings: Params::new(),
            new_settings: Vec::new(),
            toml: (String::new(), String::new()),
            files: BTreeMap::new(),
        }
    }
}

/// Refuses a line that gives a secret, which the message must not repeat.
fn refuse_secrets(shown: &str, text: &str) -> Result<()> {
    for (index, line) in text.lines().enumerate() {
        let key = line.split('=').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        let key = key.rsplit('.').next().unwrap_or_default();
        if line.contains('=') && SECRETS.contains(&key) {
            return Err(Error::Usage(format!(
                "`{key}` is a secret and may not stand in a project\n --> {shown}:{}\n  = help: delete the line and set \
                 STRATA_PSEUDONYM_KEY, or name --pseudonym-key-file or --pseudonym-key-command",
                index + 1
            )));
        }
    }
    Ok(())
}

/// What TOML itself refuses, with its line.
fn refuse_toml(shown: &str, text: &str, error: &toml::de::Error) -> Error {
    let place = error.span().map_or(Place::TOP, |span| Place::at(text, span.start, span.len()));
    let (message, help) = match error.message().split_once(", expected one of") {
        Some((unknown, _)) => {
            let key = unknown.split('`').nth(1).unwrap_or_default();
            let help = match nearest(key, KEYS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys are {}; parameters of the SQL stand under [settings]", KEYS.join(", ")),
            };
            (unknown.replace("field", "key"), help)
        }
        None if error.message().starts_with("missing field") => (
            error.message().replace("field", "key"),
            "add a line such as `name = \"shop\"` at the top".into(),
        ),
        None => (
            error.message().to_string(),
            "text stands in quotes, lists in brackets: `absent = [\"events\"]`".into(),
        ),
    };
    Diagnostic::new(shown, text, place, message, help).into()
}

fn refuse_parent(shown: &str, text: &str, parent: &str) -> Diagnostic {
    let built_in = built_in_names();
    let help = match nearest(parent, built_in.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("built-in projects are {}; a folder is given relative to this file", built_in.join(", "))
        }
    };
    let message =
        format!("`extends` names `{parent}`, which is no built-in project and no folder with a project.toml");
    Diagnostic::new(shown, text, Place::find_word(text, parent).unwrap_or(Place::TOP), message, help)
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
        let refuse = |error| Error::Usage(format!("cannot read folder {}: {error}", current.display()));
        let entries = match std::fs::read_dir(&current) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(refuse)?,
        };
        for entry in entries {
            let path = entry.map_err(refuse)?.path();
            // as `.ipynb_checkpoints` and `.git`
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
            if path.is_dir() {
                folders.push(path);
            } else if let Some("sql" | "toml") = extension.as_deref() {
                let relative = path.strip_prefix(folder).unwrap_or(&path);
                let name = relative.with_extension(extension.unwrap_or_default()).display().to_string();
                if files.insert(name.clone(), read_text(&path)?).is_some() {
                    return Err(Error::Usage(format!(
                        "{}: there are two files {name} that differ in the case of their ending\nhelp: remove one",
                        folder.display()
                    )));
                }
            }
        }
    }
    Ok(files)
}

/// Reads a file of SQL or settings: UTF-8, with or without a byte-order mark.
///
/// # Errors
/// [`Error::Usage`] names the file.
pub fn read_text(path: &Path) -> Result<String> {
    let refuse = |why: String| Error::Usage(format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        refuse(format!("line {line} is not UTF-8\nhelp: save the file as UTF-8"))
    })?;
    Ok(without_mark(text))
}

/// A text without the byte-order mark that some editors put first.
pub fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_string(),
        None => text,
    }
}
