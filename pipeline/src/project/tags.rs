//! Tags: what the headers of stages say of columns that describe customers to those who work with them.
//!
//! One key a tag, `tag_NAME`, in the header of the stage that has the column NAME:
//!
//! ```text
//! -- tag_NAME: LAYER TYPE [(DOMAIN)] | TITLE | TITLE_ZH | DEFINITION
//!        [| for PURPOSE, ..] [| needs SOURCE, ..] [| owner WHO] [| privacy CLASS]
//! ```
//!
//! The domain of a level or list is its levels, or `any`; that of a number `0 to 1`, `0 to` or `to 1`. Settings stand in the
//! definition as `$setting`. Stages read all tags as the parameter `$tags`, a list of structs: see [`tags_type`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, Float64Array, ListArray, ListBuilder, StringArray, StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::scalar::ScalarValue;

use super::diagnostic::nearest;
use super::tag_line::Line;
use super::{Fingerprint, Project, Relation, Stage, Store};
use crate::Result;

/// What a header key of a tag begins with.
pub const TAG_KEY: &str = "tag_";

/// Which values a tag takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Domain {
    /// As people read it.
    pub text: String,
    /// All values of a level, or elements of a list; `None` when any may come.
    pub levels: Option<Vec<String>>,
    /// The least value of a number.
    pub minimum: Option<f64>,
    /// The largest value of a number.
    pub maximum: Option<f64>,
}

/// One tag as its stage's header declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    pub name: String,
    /// The stage that has the column, `layer.stem`.
    pub stage: String,
    /// `base`, `dimension` or `model`.
    pub layer: String,
    /// `flag`, `level`, `number`, `list` or `time`.
    pub kind: String,
    pub domain: Domain,
    pub title: String,
    pub title_zh: String,
    /// With the values of settings in the place of their names.
    pub definition: String,
    /// `name=value` of each setting in the definition, in the order they stand there.
    pub thresholds: Vec<String>,
    /// The purposes a customer must have granted; none: no consent is needed.
    pub purposes: Vec<String>,
    /// What a company must have for the tag to be known: raw tables, and what only their rows tell, for the project's SQL to
    /// name and to find.
    pub needs: Vec<String>,
    /// The raw tables among them that this company lacks; set when names are resolved.
    pub missing: Vec<String>,
    /// Those that are no raw tables; set when names are resolved.
    pub other_needs: Vec<String>,
    pub owner: Option<String>,
    /// `ordinary`, `personal` or `sensitive`.
    pub privacy: String,
    /// Hash of the SQL of the stage and of the views and features it is made of, and of the settings that these use or the
    /// definition names; set when names are resolved.
    pub rule_version: String,
}

impl Project {
    /// Reads the tags of all stages, in the order of their names.
    pub(super) fn read_tags(&mut self) -> Result<()> {
        let mut tags: BTreeMap<String, Tag> = BTreeMap::new();
        for stage in &self.stages {
            for key in stage.header.values().keys().filter(|key| key.starts_with(TAG_KEY)) {
                let line = Line { stage, key };
                let tag = line.parse(&self.settings)?;
                if let Some(other) = tags.get(&tag.name) {
                    let message = format!("is declared by `{}` already", other.stage);
                    return Err(line.refuse(key, &message, "keep one of the two declarations").into());
                }
                tags.insert(tag.name.clone(), tag);
            }
        }
        self.tags = tags.into_values().collect();
        Ok(())
    }

    /// Gives each tag the version of its rule, and says which of its needs are raw tables and which of these are missing.
    pub(super) fn settle_tags(&mut self) {
        let stages: BTreeSet<&str> = self.tags.iter().map(|tag| tag.stage.as_str()).collect();
        let rules: BTreeMap<&str, Vec<String>> =
            stages.into_iter().map(|stage| (stage, self.rule(stage))).collect();
        let settle = |tag: &Tag| Tag {
            rule_version: rule_version(&tag.thresholds, &rules[tag.stage.as_str()]),
            missing: tag.needs.iter().filter(|need| self.lacks(need)).cloned().collect(),
            other_needs: tag.needs.iter().filter(|need| !self.is_raw(need)).cloned().collect(),
            ..tag.clone()
        };
        self.tags = self.tags.iter().map(settle).collect();
    }

    /// What makes the tags of a stage: its SQL and that of the views and features below it, up to where facts and persons begin,
    /// and the settings that these use. Neither inputs nor the engine count, nor what differs from run to run or from company to
    /// company.
    fn rule(&self, stage: &str) -> Vec<String> {
        let mut made_of = self.below(stage, |relation, below| {
            matches!(relation, Relation::Stage(_))
                && (below.store == Store::View || below.layer == "features")
        });
        made_of.insert(stage.to_string());
        let (mut parts, mut params) = (Vec::new(), BTreeSet::new());
        for stage in made_of.iter().filter_map(|name| self.stage(name)) {
            parts.push(stage.sql.canonical());
            params.extend(stage.sql.params.iter().map(|(param, _)| param));
        }
        for param in params {
            let value = self.settings.get(param).filter(|value| !value.data_type().is_nested());
            parts.extend(value.map(|value| format!("{param}={value}")));
        }
        parts
    }

    fn is_raw(&self, table: &str) -> bool {
        self.sources.contains_key(&format!("raw.{table}"))
    }

    /// Whether a raw table is absent and nothing stands in for it: staging of other data, which replaces what read it.
    fn lacks(&self, table: &str) -> bool {
        let source = format!("raw.{table}");
        let mut staging = self.stages.iter().filter(|stage| stage.layer == "staging");
        self.sources.get(&source).is_some_and(|source| source.absent)
            && staging.any(|stage| {
                self.inputs(&stage.name).values().any(|input| *input == Relation::Source(source.clone()))
            })
    }
}

/// The hash of the thresholds that a tag's definition names and of what its stage makes of features.
fn rule_version(thresholds: &[String], rule: &[String]) -> String {
    Fingerprint::of(thresholds.iter().chain(rule)).0[..12].to_string()
}

impl Stage {
    /// Refuses a tag that is no column of its stage, or one of another type.
    pub(super) fn check_tags(&self, tags: &[Tag]) -> Result<()> {
        for tag in tags.iter().filter(|tag| tag.stage == self.name) {
            let line = Line { stage: self, key: &format!("{TAG_KEY}{}", tag.name) };
            let Ok(field) = self.schema.field_with_name(&tag.name) else {
                let columns: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
                let help = match nearest(&tag.name, columns.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`? columns: {}", columns.join(", ")),
                    None => format!("columns: {}", columns.join(", ")),
                };
                return Err(line.refuse(line.key, "is no column of its stage", help).into());
            };
            let (fits, wanted) = match (tag.kind.as_str(), field.data_type()) {
                ("flag", found) => (*found == DataType::Boolean, "boolean"),
                ("level", found) => (*found == DataType::Utf8, "varchar"),
                ("number", found) => (found.is_numeric(), "a number"),
                ("list", DataType::List(element)) => {
                    (*element.data_type() == DataType::Utf8, "a list of varchar")
                }
                ("list", _) => (false, "a list of varchar"),
                (_, found) => {
                    (matches!(found, DataType::Date32 | DataType::Timestamp(..)), "date or timestamp")
                }
            };
            if !fits {
                let message = format!("is a {}, but its column is {}", tag.kind, field.data_type());
                return Err(line.refuse(line.key, &message, format!("cast the column to {wanted}")).into());
            }
        }
        Ok(())
    }
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let texts = || DataType::new_list(DataType::Utf8, true);
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Fields::from(vec![
        field("tag", DataType::Utf8),
        field("stage", DataType::Utf8),
        field("title", DataType::Utf8),
        field("title_zh", DataType::Utf8),
        field("layer", DataType::Utf8),
        field("type", DataType::Utf8),
        field("domain", DataType::Utf8),
        field("levels", texts()),
        field("minimum", DataType::Float64),
        field("maximum", DataType::Float64),
        field("definition", DataType::Utf8),
        field("thresholds", texts()),
        field("purposes", texts()),
        field("needs", texts()),
        field("missing", texts()),
        field("other_needs", texts()),
        field("owner", DataType::Utf8),
        field("privacy", DataType::Utf8),
        field("rule_version", DataType::Utf8),
    ])
});

/// The type of `$tags`: a list of structs of `tag`, `stage`, `title`, `title_zh`, `layer`, `type`, `domain` (text), `levels`
/// (list, NULL when any value may come), `minimum` and `maximum` (NULL when there is none), `definition`, `thresholds` (list of
/// `name=value`), `purposes`, `needs`, `missing` and `other_needs` (lists), `owner` (NULL when none is named), `privacy` and
/// `rule_version`; [`Tag`] says what they mean.
pub fn tags_type() -> DataType {
    DataType::new_list(DataType::Struct(FIELDS.clone()), true)
}

/// All tags as one value of [`tags_type`], in their order.
pub fn tags_value(tags: &[Tag]) -> ScalarValue {
    let text = |of: fn(&Tag) -> Option<&String>| {
        Arc::new(tags.iter().map(|tag| of(tag).map(String::as_str)).collect::<StringArray>()) as ArrayRef
    };
    let texts = |of: fn(&Tag) -> Option<&Vec<String>>| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for tag in tags {
            lists.append_option(of(tag).map(|list| list.iter().map(Some)));
        }
        Arc::new(lists.finish()) as ArrayRef
    };
    let numbers =
        |of: fn(&Tag) -> Option<f64>| Arc::new(tags.iter().map(of).collect::<Float64Array>()) as ArrayRef;
    let columns = vec![
        text(|tag| Some(&tag.name)),
        text(|tag| Some(&tag.stage)),
        text(|tag| Some(&tag.title)),
        text(|tag| Some(&tag.title_zh)),
        text(|tag| Some(&tag.layer)),
        text(|tag| Some(&tag.kind)),
        text(|tag| Some(&tag.domain.text)),
        texts(|tag| tag.domain.levels.as_ref()),
        numbers(|tag| tag.domain.minimum),
        numbers(|tag| tag.domain.maximum),
        text(|tag| Some(&tag.definition)),
        texts(|tag| Some(&tag.thresholds)),
        texts(|tag| Some(&tag.purposes)),
        texts(|tag| Some(&tag.needs)),
        texts(|tag| Some(&tag.missing)),
        texts(|tag| Some(&tag.other_needs)),
        text(|tag| tag.owner.as_ref()),
        text(|tag| Some(&tag.privacy)),
        text(|tag| Some(&tag.rule_version)),
    ];
    let rows = StructArray::new(FIELDS.clone(), columns, None);
    let element = Arc::new(Field::new_list_field(rows.data_type().clone(), true));
    let list = ListArray::new(element, OffsetBuffer::from_lengths([tags.len()]), Arc::new(rows), None);
    ScalarValue::List(Arc::new(list))
}

#[cfg(test)]
mod tests {
    use super::super::tag_line::tests::tag;
    use super::*;

    #[test]
    fn tags_are_one_typed_value() {
        let first = tag("base number (0 to) | T | 题 | d | needs a, b").unwrap();
        for tags in [vec![], vec![first.clone()], vec![first.clone(), first]] {
            let value = tags_value(&tags);
            assert_eq!(value.data_type(), tags_type());
            let ScalarValue::List(list) = value else { panic!("no list") };
            assert_eq!(list.value(0).len(), tags.len());
        }
    }
}
