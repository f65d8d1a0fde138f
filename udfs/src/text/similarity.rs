//! `jaro_winkler`, `name_similarity` and `edit_distance`: how alike two texts are.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::args::{evaluate, expect_arity, text_column, text_type};

/// Characters of a text that are compared, as the work grows by the square of their number.
pub(super) const MOST_CHARACTERS: usize = 256;

/// A measure of how alike two texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Similarity {
    /// Jaro's similarity with Winkler's bonus for a common beginning.
    JaroWinkler,
    /// Jaro-Winkler of the words of two names, each with the one most like it.
    Names,
    /// Optimal string alignment distance.
    EditDistance,
}

impl Similarity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::JaroWinkler, Self::Names, Self::EditDistance];

    fn name(self) -> &'static str {
        match self {
            Self::JaroWinkler => "jaro_winkler",
            Self::Names => "name_similarity",
            Self::EditDistance => "edit_distance",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::JaroWinkler => {
                "How alike two texts are, from 0 to 1 for equal ones: Jaro's similarity, raised above .7 by a tenth of what is missing to 1 for each of up to four characters that both begin with (Winkler 1990)."
            }
            Self::Names => {
                "How alike two names are, from 0 to 1, whatever the order of their words: words are paired, those most alike first, and the mean of `jaro_winkler` over the pairs is taken. Words that are left over, as where one system keeps no given name, say nothing (Monge and Elkan 1996)."
            }
            Self::EditDistance => {
                "The least number of characters to insert, delete, replace or swap with their neighbour to turn one text into the other, where no part is edited twice (optimal string alignment)."
            }
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::JaroWinkler => "```sql\nselect jaro_winkler('martha', 'marhta');  -- 0.9611\n```",
            Self::Names => "```sql\nselect name_similarity('wang xiaoming', 'xiaomin wang');  -- 0.9875\n```",
            Self::EditDistance => "```sql\nselect edit_distance('martha', 'marhta');  -- 1\n```",
        }
    }
}

/// The SQL function of one [`Similarity`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SimilarityFunction {
    similarity: Similarity,
    signature: Signature,
    documentation: Documentation,
}

impl SimilarityFunction {
    /// The SQL function that measures `similarity`.
    pub fn new(similarity: Similarity) -> Self {
        let section = DocSection { include: true, label: "Text", description: None };
        let syntax = format!("{}(left, right)", similarity.name());
        let documentation = Documentation::builder(section, similarity.description(), syntax)
            .with_sql_example(similarity.example())
            .with_argument(
                "left",
                "Any text, of which the first 256 characters are compared; NULL gives NULL.",
            )
            .with_argument("right", "As `left`.")
            .build();
        Self { similarity, signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl ScalarUDFImpl for SimilarityFunction {
    fn name(&self) -> &str {
        self.similarity.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["left", "right"])?;
        ["left", "right"].iter().zip(types).map(|(name, given)| text_type(self.name(), name, given)).collect()
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.similarity {
            Similarity::JaroWinkler | Similarity::Names => DataType::Float64,
            Similarity::EditDistance => DataType::Int32,
        })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let (left, right) = (text_column(&args, 0, rows)?, text_column(&args, 1, rows)?);
            let mut pairs = Pairs::default();
            Ok(match self.similarity {
                Similarity::JaroWinkler => {
                    Arc::new(Float64Array::from_iter(each(&left, &right, |a, b| pairs.jaro_winkler(a, b))))
                        as ArrayRef
                }
                Similarity::Names => {
                    Arc::new(Float64Array::from_iter(each(&left, &right, |a, b| pairs.of_names(a, b))))
                }
                Similarity::EditDistance => {
                    let distance = |a: &str, b: &str| pairs.edit_distance(a, b) as i32;
                    Arc::new(Int32Array::from_iter(each(&left, &right, distance)))
                }
            })
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn each<T>(
    left: &StringArray,
    right: &StringArray,
    mut measure: impl FnMut(&str, &str) -> T,
) -> impl Iterator<Item = Option<T>> {
    left.iter().zip(right).map(move |pair| match pair {
        (Some(a), Some(b)) => Some(measure(a, b)),
        _ => None,
    })
}

/// Measures pair after pair, in space that is made once. Characters are Unicode scalar values.
#[derive(Debug, Default)]
pub struct Pairs {
    left: Vec<char>,
    right: Vec<char>,
    /// Characters of each side that have a match.
    matched: [Vec<bool>; 2],
    /// Where each character of the shorter text stands in it, as bits.
    places: Vec<(char, u64)>,
    /// Distances of the last three rows of the table of edits.
    rows: [Vec<usize>; 3],
    /// How alike words of two names are, with their places.
    words: Vec<(f64, usize, usize)>,
}

impl Pairs {
    fn take(&mut self, left: &str, right: &str) {
        self.left.clear();
        self.right.clear();
        self.left.extend(start(left).chars());
        self.right.extend(start(right).chars());
    }

    /// Jaro's similarity with Winkler's bonus (W. E. Winkler: String Comparator Metrics and Enhanced Decision Rules in
    /// the Fellegi-Sunter Model of Record Linkage, 1990; prefix weight .1, at most four characters, above .7).
    pub fn jaro_winkler(&mut self, left: &str, right: &str) -> f64 {
        if left == right {
            return 1.0;
        }
        self.take(left, right);
        let jaro = self.jaro();
        if jaro <= 0.7 {
            return jaro;
        }
        let prefix = self.left.iter().zip(&self.right).take(4).take_while(|(a, b)| a == b).count();
        jaro + prefix as f64 * 0.1 * (1.0 - jaro)
    }

    /// The mean similarity of words that are paired, those most alike first (A. Monge, C. Elkan: The Field Matching
    /// Problem, 1996, with each word used once). 0 where either name has no word.
    pub fn of_names(&mut self, left: &str, right: &str) -> f64 {
        if left == right {
            return 1.0;
        }
        let mut words = std::mem::take(&mut self.words);
        words.clear();
        for (i, a) in start(left).split_whitespace().enumerate() {
            for (j, b) in start(right).split_whitespace().enumerate() {
                words.push((self.jaro_winkler(a, b), i, j));
            }
        }
        words.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let (mut sum, mut pairs) = (0.0, 0.0);
        while let Some((alike, i, j)) = words.first().copied() {
            sum += alike;
            pairs += 1.0;
            words.retain(|(_, a, b)| *a != i && *b != j);
        }
        self.words = words;
        if pairs > 0.0 { sum / pairs } else { 0.0 }
    }

    fn jaro(&mut self) -> f64 {
        let (a, b) = (&self.left, &self.right);
        if a.is_empty() || b.is_empty() {
            return 0.0;
        }
        let window = (a.len().max(b.len()) / 2).saturating_sub(1);
        let [in_a, in_b] = &mut self.matched;
        in_a.clear();
        in_a.resize(a.len(), false);
        in_b.clear();
        in_b.resize(b.len(), false);
        let mut matches = 0;
        for (i, c) in a.iter().enumerate() {
            let near = i.saturating_sub(window)..(i + window + 1).min(b.len());
            if let Some(j) = near.into_iter().find(|j| !in_b[*j] && b[*j] == *c) {
                (in_a[i], in_b[j]) = (true, true);
                matches += 1;
            }
        }
        if matches == 0 {
            return 0.0;
        }
        let of_a = a.iter().zip(in_a.iter()).filter(|(_, matched)| **matched);
        let of_b = b.iter().zip(in_b.iter()).filter(|(_, matched)| **matched);
        let swapped = of_a.zip(of_b).filter(|((a, _), (b, _))| a != b).count() / 2;
        let matches = f64::from(matches);
        (matches / a.len() as f64 + matches / b.len() as f64 + (matches - swapped as f64) / matches) / 3.0
    }

    /// Optimal string alignment distance (restricted Damerau-Levenshtein); 1 at least of texts that are not equal.
    pub fn edit_distance(&mut self, left: &str, right: &str) -> usize {
        if left == right {
            return 0;
        }
        self.take(left, right);
        let (mut a, mut b) = (self.left.as_slice(), self.right.as_slice());
        let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        (a, b) = (&a[same..], &b[same..]);
        let same = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
        (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
        if a.is_empty() || b.is_empty() {
            return (a.len() + b.len()).max(1);
        }
        if a.len() > b.len() {
            std::mem::swap(&mut a, &mut b);
        }
        if a.len() <= 64 {
            bits_distance(&mut self.places, a, b)
        } else {
            table_distance(&mut self.rows, a, b)
        }
    }
}

/// The part of a text that is compared.
fn start(text: &str) -> &str {
    text.char_indices().nth(MOST_CHARACTERS).map_or(text, |(end, _)| &text[..end])
}

/// The distance of texts of which the shorter one, `a`, has 1 to 64 characters: a column of the table of edits as bits
/// of words (H. Hyyro: A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances, 2003).
fn bits_distance(places: &mut Vec<(char, u64)>, a: &[char], b: &[char]) -> usize {
    places.clear();
    for (at, c) in a.iter().enumerate() {
        match places.iter_mut().find(|(known, _)| known == c) {
            Some((_, bits)) => *bits |= 1 << at,
            None => places.push((*c, 1 << at)),
        }
    }
    let last = 1u64 << (a.len() - 1);
    let (mut rises, mut falls, mut same, mut here_before) = (u64::MAX, 0u64, 0u64, 0u64);
    let mut distance = a.len();
    for c in b {
        let here = places.iter().find(|(known, _)| known == c).map_or(0, |(_, bits)| *bits);
        let swapped = ((!same & here) << 1) & here_before;
        same = ((here & rises).wrapping_add(rises) ^ rises) | here | falls | swapped;
        let mut up = falls | !(same | rises);
        let mut down = same & rises;
        distance += usize::from(up & last != 0);
        distance -= usize::from(down & last != 0);
        up = (up << 1) | 1;
        down <<= 1;
        rises = down | !(same | up);
        falls = up & same;
        here_before = here;
    }
    distance
}

/// The distance by the table of edits, of which three rows are kept.
fn table_distance(rows: &mut [Vec<usize>; 3], a: &[char], b: &[char]) -> usize {
    let [before, last, row] = rows;
    for values in [&mut *before, &mut *row] {
        values.clear();
        values.resize(b.len() + 1, 0);
    }
    last.clear();
    last.extend(0..=b.len());
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row[j] = least;
        }
        std::mem::swap(before, last);
        std::mem::swap(last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_similarities() {
        let mut pairs = Pairs::default();
        // Winkler 1990, table of examples
        for (a, b, expected) in [
            ("martha", "marhta", 0.9611),
            ("dwayne", "duane", 0.84),
            ("dixon", "dicksonx", 0.8133),
            ("abroms", "abrams", 0.9222),
            ("jon", "jan", 0.8),
            ("shackleford", "shackelford", 0.9818),
            ("王小明", "王小名", 0.8222),
        ] {
            let found = pairs.jaro_winkler(a, b);
            assert!((found - expected).abs() < 6e-5, "{a} {b} {found}");
            assert_eq!(found, pairs.jaro_winkler(b, a));
        }
        assert_eq!(pairs.jaro_winkler("", ""), 1.0);
        assert_eq!(pairs.jaro_winkler("a", ""), 0.0);
        assert_eq!(pairs.jaro_winkler("abc", "xyz"), 0.0);
    }

    #[test]
    fn names_agree_word_by_word() {
        let mut pairs = Pairs::default();
        for (a, b, expected) in [
            ("wang xiaoming", "xiaomin wang", 0.9875),
            ("erin zimmermann", "zimmermann", 1.0),
            ("gitchell mark", "mark mitchell", (1.0 + 11.0 / 12.0) / 2.0),
            ("", "", 1.0),
            ("ann", "", 0.0),
        ] {
            let found = pairs.of_names(a, b);
            assert!((found - expected).abs() < 6e-5, "{a} {b} {found}");
            assert_eq!(found, pairs.of_names(b, a));
        }
    }

    #[test]
    fn distances_against_all_paths() {
        /// The definition, without a table.
        fn slow(a: &[char], b: &[char]) -> usize {
            match (a, b) {
                ([], rest) | (rest, []) => rest.len(),
                ([a0, a_rest @ ..], [b0, b_rest @ ..]) => {
                    let replaced = slow(a_rest, b_rest) + usize::from(a0 != b0);
                    let mut least = replaced.min(slow(a_rest, b) + 1).min(slow(a, b_rest) + 1);
                    if let ([_, a1, a_more @ ..], [_, b1, b_more @ ..]) = (a, b)
                        && a0 == b1
                        && a1 == b0
                    {
                        least = least.min(slow(a_more, b_more) + 1);
                    }
                    least
                }
            }
        }
        let texts: Vec<String> = (0..243u32)
            .map(|n| (0..n % 6).map(|place| ['a', 'b', '王'][(n / 3u32.pow(place) % 3) as usize]).collect())
            .collect();
        let mut pairs = Pairs::default();
        for (a, b) in texts.iter().flat_map(|a| texts.iter().step_by(7).map(move |b| (a, b))) {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(pairs.edit_distance(a, b), slow(&chars(a), &chars(b)), "{a} {b}");
        }
        assert_eq!(pairs.edit_distance("ca", "abc"), 3);
    }

    #[test]
    fn bits_say_what_the_table_says() {
        let text = |seed: u64, length: u64| -> Vec<char> {
            let letter =
                |at| "abc王".chars().nth((seed * 31 + at * at * (seed + 7) / 5) as usize % 4).unwrap();
            (0..length).map(letter).collect()
        };
        for seed in 0..400 {
            let (a, b) = (text(seed, 1 + seed % 64), text(seed + 3, seed % 90));
            let found = bits_distance(&mut Vec::new(), &a, &b);
            assert_eq!(found, table_distance(&mut Default::default(), &a, &b), "{a:?} {b:?}");
        }
        let long = "abcdefghij".repeat(9);
        assert_eq!(Pairs::default().edit_distance(&format!("x{long}y"), &format!("z{long}")), 2);
    }

    #[test]
    fn long_texts_are_compared_by_their_start() {
        let mut pairs = Pairs::default();
        let long = "lóng ".repeat(200_000);
        let (other, later) = (format!("x{long}"), format!("{long}x"));
        assert_eq!(pairs.edit_distance(&long, &long), 0);
        assert_eq!(pairs.edit_distance(&long, &later), 1);
        assert_eq!(pairs.edit_distance(&long, &other), 2);
        assert_eq!(pairs.jaro_winkler(&long, &later), 1.0);
        assert_eq!(pairs.of_names(&long, &later), 1.0);
        assert!(pairs.of_names(&long, &other) > 0.9);
    }
}
