//! `link_clusters`: clusters of linked records of which no two contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder, StructArray, StructBuilder};
use arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{evaluate, expect_arity, list_column, nullable_fields};

static LINK_TYPE: LazyLock<DataType> = LazyLock::new(|| {
    let link = DataType::Struct(nullable_fields(&[
        ("left_id", DataType::Utf8),
        ("right_id", DataType::Utf8),
        ("weight", DataType::Float64),
    ]));
    DataType::List(Arc::new(Field::new_list_field(link, true)))
});

#[user_doc(
    doc_section(label = "Models"),
    description = "Clusters of records, by the links between them: single linkage, the strongest link first, that never puts together two records which are to stay apart, and never more than so many. A group that hangs together by a weak bridge is so cut at the bridge. Links of equal weight count in the order of their ids; the order of the list does not matter.",
    syntax_example = "link_clusters(links, max_records)",
    sql_example = "```sql\nselect unnest(link_clusters(array_agg(named_struct('left_id', left_id, 'right_id', right_id, 'weight', weight) order by left_id, right_id, weight), 200)) from links group by component;\n```",
    argument(
        name = "links",
        description = "List of structs of `left_id`, `right_id` and `weight`; a weight of NULL keeps the two records apart."
    ),
    argument(
        name = "max_records",
        description = "Records that a cluster has at most, a constant from 1 up."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct LinkClusters {
    signature: Signature,
}

impl Default for LinkClusters {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The fields of an item of the result: a record and the smallest id of its cluster.
fn member_fields() -> Fields {
    nullable_fields(&[("id", DataType::Utf8), ("cluster", DataType::Utf8)])
}

impl ScalarUDFImpl for LinkClusters {
    fn name(&self) -> &str {
        "link_clusters"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["links", "max_records"])?;
        Ok(vec![LINK_TYPE.clone(), DataType::Int64])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Struct(member_fields()), true))))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let most = match args.args.get(1) {
            Some(ColumnarValue::Scalar(ScalarValue::Int64(Some(most)))) if *most > 0 => *most as usize,
            _ => return exec_err!("link_clusters: argument max_records must be a constant from 1 up"),
        };
        evaluate(&args, |rows| {
            let lists = list_column(&args, 0, rows)?;
            let Some(links) = lists.values().as_struct_opt() else {
                return internal_err!("link_clusters reads lists of structs");
            };
            let links = Links::of(links)?;
            let item = Field::new_list_field(DataType::Struct(member_fields()), true);
            let mut clusters =
                ListBuilder::new(StructBuilder::from_fields(member_fields(), 0)).with_field(Arc::new(item));
            for row in 0..rows {
                if lists.is_null(row) {
                    clusters.append_null();
                    continue;
                }
                let first = lists.value_offsets()[row] as usize;
                let range = first..first + lists.value_length(row) as usize;
                for (id, cluster) in links.clusters(range, most)? {
                    let member = clusters.values();
                    for (at, value) in [id, cluster].into_iter().enumerate() {
                        if let Some(column) = member.field_builder::<StringBuilder>(at) {
                            column.append_value(value);
                        }
                    }
                    member.append(true);
                }
                clusters.append(true);
            }
            Ok(Arc::new(clusters.finish()) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Links of all rows.
struct Links<'a> {
    left: &'a arrow::array::StringArray,
    right: &'a arrow::array::StringArray,
    weight: &'a arrow::array::Float64Array,
}

impl<'a> Links<'a> {
    fn of(links: &'a StructArray) -> Result<Self> {
        match (
            links.column(0).as_string_opt::<i32>(),
            links.column(1).as_string_opt::<i32>(),
            links.column(2).as_primitive_opt::<Float64Type>(),
        ) {
            (Some(left), Some(right), Some(weight)) => Ok(Links { left, right, weight }),
            _ => internal_err!("link_clusters reads structs of two texts and a double"),
        }
    }

    /// Each record with the smallest id of its cluster, in the order of ids.
    fn clusters(&self, range: std::ops::Range<usize>, most: usize) -> Result<Vec<(&'a str, &'a str)>> {
        let ids: BTreeSet<&str> =
            range.clone().flat_map(|link| [self.left.value(link), self.right.value(link)]).collect();
        let place: BTreeMap<&str, usize> = ids.iter().copied().zip(0..).collect();
        let (mut links, mut apart) = (Vec::new(), vec![BTreeSet::new(); ids.len()]);
        for link in range {
            if self.left.is_null(link) || self.right.is_null(link) {
                return exec_err!("link_clusters: a link has no id");
            }
            let (a, b) = (place[self.left.value(link)], place[self.right.value(link)]);
            if self.weight.is_valid(link) {
                links.push((self.weight.value(link), a.min(b), a.max(b)));
            } else {
                apart[a].insert(b);
                apart[b].insert(a);
            }
        }
        links.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut cluster: Vec<usize> = (0..ids.len()).collect();
        let mut members: Vec<Vec<usize>> = (0..ids.len()).map(|record| vec![record]).collect();
        for (_, a, b) in links {
            let (keep, join) = (cluster[a].min(cluster[b]), cluster[a].max(cluster[b]));
            let contradicts = |record: &usize| apart[*record].iter().any(|other| cluster[*other] == keep);
            if keep == join
                || members[keep].len() + members[join].len() > most
                || members[join].iter().any(contradicts)
            {
                continue;
            }
            let joined = std::mem::take(&mut members[join]);
            joined.iter().for_each(|record| cluster[*record] = keep);
            members[keep].extend(joined);
        }
        let ids: Vec<&str> = ids.into_iter().collect();
        Ok(ids.iter().zip(&cluster).map(|(id, cluster)| (*id, ids[*cluster])).collect())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};

    use super::*;

    /// Clusters as texts of their members.
    fn clusters(links: &[(&str, &str, Option<f64>)], most: usize) -> Vec<String> {
        let left = StringArray::from_iter_values(links.iter().map(|link| link.0));
        let right = StringArray::from_iter_values(links.iter().map(|link| link.1));
        let weight = Float64Array::from_iter(links.iter().map(|link| link.2));
        let links = Links { left: &left, right: &right, weight: &weight };
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for (id, cluster) in links.clusters(0..left.len(), most).unwrap() {
            found.entry(cluster.to_owned()).or_default().push_str(id);
        }
        assert!(found.iter().all(|(cluster, ids)| ids.starts_with(cluster.as_str())));
        found.into_values().collect()
    }

    #[test]
    fn weak_bridges_are_cut_first() {
        let links =
            [("a", "b", Some(9.0)), ("b", "c", Some(3.0)), ("c", "d", Some(8.0)), ("e", "f", Some(1.0))];
        assert_eq!(clusters(&links, 10), ["abcd", "ef"]);
        let contradicted = [&links[..], &[("a", "d", None)]].concat();
        assert_eq!(clusters(&contradicted, 10), ["ab", "cd", "ef"]);
        let reversed: Vec<_> = contradicted.iter().rev().map(|(a, b, weight)| (*b, *a, *weight)).collect();
        assert_eq!(clusters(&reversed, 10), ["ab", "cd", "ef"]);
        // even a strong link does not tie what is to stay apart
        assert_eq!(clusters(&[("a", "b", Some(99.0)), ("b", "a", None)], 10), ["a", "b"]);
    }

    #[test]
    fn a_cluster_does_not_outgrow_its_bound() {
        let links = [("a", "b", Some(1.0)), ("b", "c", Some(1.0)), ("c", "d", Some(1.0))];
        assert_eq!(clusters(&links, 3), ["abc", "d"]);
        assert_eq!(clusters(&links, 1), ["a", "b", "c", "d"]);
        assert!(clusters(&[], 3).is_empty());
    }
}
