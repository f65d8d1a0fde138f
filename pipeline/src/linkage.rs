//! Learning how records of one person agree, without labels: the model of Fellegi and Sunter (A Theory for Record
//! Linkage, 1969) by expectation maximisation (Winkler 1988), over counts of patterns of agreement.
//!
//! Pairs come in several sets: random pairs, which are nearly all of strangers, and one set for each blocking rule, where
//! persons meet more often. Each set has its own shares of kinds of pairs; how fields agree is the same in all. A field
//! that a rule makes equal is left out (NULL) in that rule's set, as it says nothing there. How fields of strangers agree
//! is learned from random pairs alone, since blocked pairs that are no match are more alike than others.
//!
//! Members of a household share address, contacts and surname, which no field knows of another: taken each for itself,
//! these would make one person of them. They are a third kind of pairs, which agree on `personal` fields, such as the
//! birth date, only as strangers do. On a `twins` field some agree all the same: twins, and couples whose records bear a
//! date that a form suggested. Their share is learned too, so that an equal birth date proves less within a household than
//! among strangers, and a given name and a gender that contradict each other are heard.

mod household;
mod patterns;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use strata_udfs::model::LinkageModel;

use household::Household;
use patterns::{Pattern, Patterns, patterns};

use crate::{Context, Error, Result};

/// The set of random pairs.
pub const RANDOM: &str = "random";

/// The set of all pairs that any rule makes candidates, each once: their kinds are counted, nothing is learned from them.
pub const CANDIDATES: &str = "candidates";

/// The set whose one row says how many pairs all records make.
pub const ALL: &str = "all";

/// Rounds after which learning ends, settled or not.
const MAX_ROUNDS: usize = 2_000;

/// Probabilities that move less than this have settled.
const SETTLED: f64 = 1e-10;

/// Strangers that a level is said to have been seen in beyond those that were: none is impossible.
const SEEN_BEFORE: f64 = 0.5;

/// What a linkage model stage's header says.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkageSettings {
    /// Fields on which members of a household agree only as strangers do. Header key `personal`, none by default, which
    /// means that households are not told apart.
    pub personal: Vec<String>,
    /// Those of the `personal` fields on which a share of household members agrees all the same, as twins do on their birth
    /// date; the share is learned. Header key `twins`, none by default.
    pub twins: Vec<String>,
}

impl LinkageSettings {
    /// The settings of a header without the keys that are the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key.
    pub fn from_header(header: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(key) = header.keys().find(|key| *key != "personal" && *key != "twins") {
            return Err(Error::Usage(format!(
                "header `{key}`: `kind: linkage` has the keys `personal` and `twins` only"
            )));
        }
        let fields = |key: &str| -> Vec<String> {
            let named = header.get(key).map_or("", String::as_str);
            let fields = named.split(',').map(str::trim).filter(|field| !field.is_empty());
            fields.map(str::to_owned).collect()
        };
        let (personal, twins) = (fields("personal"), fields("twins"));
        if let Some(field) = twins.iter().find(|field| !personal.contains(field)) {
            return Err(Error::Usage(format!("header `twins`: the field `{field}` is not `personal`")));
        }
        Ok(LinkageSettings { personal, twins })
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        let LinkageSettings { personal, twins } = self;
        format!("linkage personal={} twins={}", personal.join(","), twins.join(","))
    }
}

/// Learns a model from rows of patterns: the first column names the set of pairs, the second counts them, each other one
/// is a field with its level of agreement, from 0 for none up; NULL where a field is not compared. The sets `random` and
/// `candidates` must be there, and one row `all` with the number of pairs of all records. The same rows in any order give
/// the same bits. Without a candidate there is nothing to link, and no model.
///
/// # Errors
/// [`Error::Usage`] for columns of other types and settings that name no field; [`Error::Contract`] for rows from which
/// nothing can be learned.
pub async fn train_linkage(
    settings: &LinkageSettings,
    rows: SendableRecordBatchStream,
) -> Result<Option<LinkageModel>> {
    let schema = rows.schema();
    let fields: Vec<String> = schema.fields().iter().skip(2).map(|field| field.name().clone()).collect();
    let batches: Vec<RecordBatch> = rows.try_collect().await.context("read the patterns of agreement")?;
    let patterns = patterns(fields, &batches)?;
    if patterns.candidates.is_empty() {
        return Ok(None);
    }
    learn(settings, &patterns).map(Some)
}

/// The kinds of pairs.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Strangers,
    Person,
    Household,
}

/// How often each level of each field occurs, and shares of sets: one entry for each [`Kind`].
type OfKinds<T> = [T; 3];

/// Patterns with the places of their levels in a list of all levels of all fields.
struct Placed<'a> {
    patterns: Vec<(&'a Pattern, Vec<usize>)>,
    /// How many levels each field has, and where they begin in the list.
    numbers: &'a [usize],
    firsts: Vec<usize>,
}

impl<'a> Placed<'a> {
    fn new(levels: &'a [usize], patterns: &'a [Pattern]) -> Self {
        let firsts: Vec<usize> =
            levels.iter().scan(0, |first, levels| Some(std::mem::replace(first, *first + levels))).collect();
        let places = |pattern: &Pattern| {
            firsts.iter().zip(&pattern.levels).filter_map(|(first, level)| Some(first + (*level)?)).collect()
        };
        let patterns = patterns.iter().map(|pattern| (pattern, places(pattern))).collect();
        Placed { patterns, numbers: levels, firsts }
    }

    /// The share of each kind in each pattern, given how levels occur and the shares of kinds in each set.
    fn kinds(
        &self,
        by_kind: &OfKinds<Vec<f64>>,
        of_set: impl Fn(usize) -> OfKinds<f64>,
    ) -> Vec<OfKinds<f64>> {
        let of_pattern = |(pattern, places): &(&Pattern, Vec<usize>)| {
            let mut kinds = of_set(pattern.set);
            for (share, by) in kinds.iter_mut().zip(by_kind) {
                *share *= places.iter().map(|place| by[*place]).product::<f64>();
            }
            let sum: f64 = kinds.iter().sum();
            kinds.map(|share| share / sum)
        };
        self.patterns.iter().map(of_pattern).collect()
    }

    /// The share of each level of each field in pairs that are weighed, which are added to those seen before.
    fn levels(&self, levels: &[usize], before: &[f64], weight: impl Fn(usize, &Pattern) -> f64) -> Vec<f64> {
        let mut sums = before.to_vec();
        for (at, (pattern, places)) in self.patterns.iter().enumerate() {
            let weight = weight(at, pattern);
            places.iter().for_each(|place| sums[*place] += weight);
        }
        let mut rest = sums.as_mut_slice();
        for levels in levels {
            let (field, others) = rest.split_at_mut(*levels);
            let sum: f64 = field.iter().sum();
            field.iter_mut().for_each(|share| *share /= sum);
            rest = others;
        }
        sums
    }

    /// The share of each kind in each set.
    fn sets(&self, sets: usize, kinds: &[OfKinds<f64>]) -> Vec<OfKinds<f64>> {
        let mut sums = vec![[0.0; 3]; sets];
        for ((pattern, _), kinds) in self.patterns.iter().zip(kinds) {
            sums[pattern.set].iter_mut().zip(kinds).for_each(|(sum, share)| *sum += pattern.pairs * share);
        }
        sums.iter()
            .map(|of_kinds| {
                let sum: f64 = of_kinds.iter().sum();
                of_kinds.map(|share| share / sum)
            })
            .collect()
    }
}

/// Expectation maximisation.
fn learn(settings: &LinkageSettings, given: &Patterns) -> Result<LinkageModel> {
    if let Some(unknown) = settings.personal.iter().find(|field| !given.fields.contains(field)) {
        return Err(Error::Usage(format!(
            "header `personal`: there is no field `{unknown}`; the fields are {}",
            given.fields.join(", ")
        )));
    }
    let Some(random) = given.sets.iter().position(|set| set == RANDOM) else {
        return Err(Error::Contract(format!(
            "a linkage model learns from pairs of the set `{RANDOM}`; there are the sets: {}",
            given.sets.join(", ")
        )));
    };
    let candidates: f64 = given.candidates.iter().map(|pattern| pattern.pairs).sum();
    if given.all < candidates {
        return Err(Error::Contract(format!(
            "a linkage model needs a row `{ALL}` with the number of all pairs; it says {} where there are {candidates} \
             candidates",
            given.all
        )));
    }
    let households = !settings.personal.is_empty();
    let placed = Placed::new(&given.levels, &given.patterns);
    let levels = given.levels.as_slice();
    // those of one person and of one household count as one pair that was seen before
    let agreeing: Vec<f64> = levels.iter().flat_map(|levels| start(*levels)).collect();
    let before = vec![SEEN_BEFORE; agreeing.len()];
    let at_random = |pattern: &Pattern| if pattern.set == random { pattern.pairs } else { 0.0 };
    let strangers = placed.levels(levels, &before, |_, pattern| at_random(pattern));
    let mut household = Household::new(settings, given);
    let mut by_kind: OfKinds<Vec<f64>> =
        [strangers.clone(), agreeing.clone(), household.levels(levels, &agreeing, &strangers)];
    let at_start = |set: usize| match (set == random, households) {
        (true, true) => [1.0 - 2e-6, 1e-6, 1e-6],
        (true, false) => [1.0 - 1e-6, 1e-6, 0.0],
        (false, true) => [0.6, 0.2, 0.2],
        (false, false) => [0.8, 0.2, 0.0],
    };
    let mut of_sets: Vec<OfKinds<f64>> = (0..given.sets.len()).map(at_start).collect();
    for _ in 0..MAX_ROUNDS {
        let kinds = placed.kinds(&by_kind, |set| of_sets[set]);
        let share = |at: usize, kind: Kind| kinds[at][kind as usize];
        let strangers =
            placed.levels(levels, &before, |at, pattern| at_random(pattern) * share(at, Kind::Strangers));
        let person = placed.levels(levels, &agreeing, |at, pattern| pattern.pairs * share(at, Kind::Person));
        let of_household = |at: usize, pattern: &Pattern| pattern.pairs * share(at, Kind::Household);
        let shared = placed.levels(levels, &agreeing, of_household);
        household.count_twins(&placed, &by_kind[Kind::Household as usize], of_household);
        let new_household = household.levels(levels, &shared, &strangers);
        let new = [strangers, person, new_household];
        let new_of_sets = placed.sets(given.sets.len(), &kinds);
        let moved = by_kind.iter().flatten().zip(new.iter().flatten());
        let moved = moved.chain(of_sets.iter().flatten().zip(new_of_sets.iter().flatten()));
        let most = moved.map(|(old, new)| (old - new).abs()).fold(0.0, f64::max);
        (by_kind, of_sets) = (new, new_of_sets);
        if most < SETTLED {
            break;
        }
    }
    let [strangers, person, household] = priors(given, &by_kind, households);
    let [u, m, h] = by_kind;
    tracing::debug!(strangers, person, household, "kinds of pairs");
    let (fields, levels) = (given.fields.clone(), given.levels.clone());
    let model = LinkageModel { fields, levels, m, u, h, prior: person, household_prior: household };
    model.validate().context("check the learned linkage model")?;
    Ok(model)
}

/// The share of each kind among all pairs of records, where pairs that are no candidates are strangers.
fn priors(given: &Patterns, by_kind: &OfKinds<Vec<f64>>, households: bool) -> OfKinds<f64> {
    let placed = Placed::new(&given.levels, &given.candidates);
    let least = SEEN_BEFORE / given.all;
    let of = |person: f64, household: f64| {
        let (person, household) = (person.max(least), if households { household.max(least) } else { 0.0 });
        [1.0 - person - household, person, household]
    };
    let mut prior = of(0.0, 0.0);
    for _ in 0..MAX_ROUNDS {
        let kinds = placed.kinds(by_kind, |_| prior);
        let found = |kind: Kind| -> f64 {
            let pairs = given.candidates.iter().zip(&kinds);
            pairs.map(|(pattern, kinds)| pattern.pairs * kinds[kind as usize]).sum()
        };
        let new = of(found(Kind::Person) / given.all, found(Kind::Household) / given.all);
        let settled = prior.iter().zip(new).all(|(old, new)| (old - new).abs() < SETTLED * new);
        prior = new;
        if settled {
            break;
        }
    }
    prior
}

/// Where learning starts: three in four at the last level, each level before it half as often as the next.
fn start(levels: usize) -> Vec<f64> {
    let others = f64::from(2u32.pow(levels as u32 - 1) - 1);
    (0..levels - 1).map(|level| 0.25 * 2f64.powi(level as i32) / others).chain([0.75]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often four fields agree for strangers, for records of one person and for members of a household: of 3, 3, 2
    /// and 2 levels, of which the second and the third are personal.
    const KINDS: OfKinds<[&[f64]; 4]> = [
        [&[0.9, 0.08, 0.02], &[0.93, 0.05, 0.02], &[0.5, 0.5], &[0.98, 0.02]],
        [&[0.05, 0.1, 0.85], &[0.05, 0.15, 0.8], &[0.02, 0.98], &[0.3, 0.7]],
        [&[0.3, 0.6, 0.1], &[0.93, 0.05, 0.02], &[0.5, 0.5], &[0.1, 0.9]],
    ];

    /// As many pairs of each pattern as those probabilities let expect, of a set with such shares of each kind, where the
    /// field `blocked` is not compared.
    fn expected(
        kinds: OfKinds<[&[f64]; 4]>,
        set: usize,
        pairs: f64,
        shares: OfKinds<f64>,
        blocked: Option<usize>,
    ) -> Vec<Pattern> {
        let mut patterns = vec![(Vec::new(), shares)];
        for field in 0..kinds[0].len() {
            let levels: Vec<Option<usize>> = match blocked == Some(field) {
                true => vec![None],
                false => (0..kinds[0][field].len()).map(Some).collect(),
            };
            let grown =
                patterns.into_iter().flat_map(|(before, shares): (Vec<Option<usize>>, OfKinds<f64>)| {
                    let with = move |level: &Option<usize>| {
                        let mut shares = shares;
                        if let Some(level) = level {
                            shares.iter_mut().zip(kinds).for_each(|(share, by)| *share *= by[field][*level]);
                        }
                        (before.iter().copied().chain([*level]).collect(), shares)
                    };
                    levels.iter().map(with).collect::<Vec<_>>()
                });
            patterns = grown.collect();
        }
        let pattern = |(levels, shares): (Vec<Option<usize>>, OfKinds<f64>)| Pattern {
            set,
            levels,
            pairs: (pairs * shares.iter().sum::<f64>()).round(),
        };
        patterns.into_iter().map(pattern).collect()
    }

    fn world(kinds: OfKinds<[&[f64]; 4]>) -> Patterns {
        let mut patterns = expected(kinds, 0, 400_000.0, [0.5, 0.3, 0.2], None);
        patterns.extend(expected(kinds, 1, 600_000.0, [0.1, 0.3, 0.6], Some(3)));
        patterns.extend(expected(kinds, 2, 9_000_000.0, [1.0 - 2e-5, 1e-5, 1e-5], None));
        Patterns {
            fields: ["name", "birth", "gender", "street"].map(str::to_owned).to_vec(),
            levels: vec![3, 3, 2, 2],
            sets: vec!["phone".into(), "street".into(), RANDOM.into()],
            patterns,
            candidates: expected(kinds, 3, 1_000_000.0, [0.26, 0.3, 0.44], None),
            all: 1_000_010.0,
        }
    }

    fn personal(fields: &str) -> LinkageSettings {
        LinkageSettings::from_header(&BTreeMap::from([("personal".to_owned(), fields.to_owned())])).unwrap()
    }

    #[test]
    fn what_made_the_pairs_is_learned_from_their_counts() {
        let model = learn(&personal("birth, gender"), &world(KINDS)).unwrap();
        for (found, made) in [&model.u, &model.m, &model.h].into_iter().zip(KINDS) {
            let made = made.concat();
            assert!(found.iter().zip(&made).all(|(f, m)| (f - m).abs() < 0.01), "{found:?} {made:?}");
        }
        assert!((model.prior - 0.3).abs() < 0.01, "{}", model.prior);
        assert!((model.household_prior - 0.44).abs() < 0.01, "{}", model.household_prior);
    }

    #[test]
    fn how_many_of_a_household_agree_as_twins_do_is_learned() {
        let mut kinds = KINDS;
        // one pair in ten, the others as strangers
        kinds[Kind::Household as usize][1] = &[0.837, 0.045, 0.118];
        let header = [("personal", "birth, gender"), ("twins", "birth")];
        let header = header.map(|(key, fields)| (key.to_owned(), fields.to_owned()));
        let settings = LinkageSettings::from_header(&header.into()).unwrap();
        let twins = learn(&settings, &world(kinds)).unwrap();
        for (found, made) in [&twins.u, &twins.m, &twins.h].into_iter().zip(kinds) {
            let made = made.concat();
            assert!(found.iter().zip(&made).all(|(f, m)| (f - m).abs() < 0.01), "{found:?} {made:?}");
        }
        // without the header they are taken for strangers there, and an equal birth date proves too much
        let strangers = learn(&personal("birth, gender"), &world(kinds)).unwrap();
        assert!(strangers.h[5] < 0.03 && twins.h[5] > 0.1, "{strangers:?} {twins:?}");
        let header = BTreeMap::from([("twins".to_owned(), "birth".to_owned())]);
        let error = LinkageSettings::from_header(&header).unwrap_err().to_string();
        assert!(error.contains("the field `birth` is not `personal`"), "{error}");
    }

    #[test]
    fn households_that_are_not_told_apart_are_taken_for_persons() {
        let model = learn(&personal(""), &world(KINDS)).unwrap();
        assert_eq!(model.household_prior, 0.0);
        assert!(model.prior > 0.5, "{}", model.prior);
        let error = learn(&personal("age"), &world(KINDS)).unwrap_err().to_string();
        assert!(error.contains("no field `age`; the fields are name, birth, gender, street"), "{error}");
    }

    fn batch(rows: &[(&str, i64, Option<i32>)]) -> RecordBatch {
        use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
        use std::sync::Arc;
        let sets: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
        let pairs: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
        let levels: ArrayRef = Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.2)));
        RecordBatch::try_from_iter(vec![("set", sets), ("pairs", pairs), ("name", levels)]).unwrap()
    }

    #[test]
    fn rows_count_whatever_their_order() {
        let rows = [
            ("random", 90, Some(0)),
            ("random", 10, Some(1)),
            ("all", 500, None),
            ("mail", 7, Some(1)),
            ("candidates", 7, Some(1)),
        ];
        let one = patterns(vec!["name".into()], &[batch(&rows)]).unwrap();
        let reversed: Vec<_> = rows.iter().rev().copied().chain([("mail", 0, Some(5))]).collect();
        let other = patterns(vec!["name".into()], &[batch(&reversed[..2]), batch(&reversed[2..])]).unwrap();
        assert_eq!(one, other);
        assert_eq!((one.all, &one.levels, one.candidates.len()), (500.0, &vec![2], 1));
        assert_eq!(learn(&personal(""), &one).unwrap(), learn(&personal(""), &other).unwrap());
    }

    #[test]
    fn rows_that_teach_nothing_are_refused() {
        let told = |rows: &[(&str, i64, Option<i32>)]| {
            let found = patterns(vec!["name".into()], &[batch(rows)]);
            found.and_then(|found| learn(&personal(""), &found)).unwrap_err().to_string()
        };
        let said = told(&[("mail", 5, Some(0)), ("candidates", 5, Some(0)), ("all", 9, None)]);
        assert!(said.contains("pairs of the set `random`; there are the sets: mail"), "{said}");
        let said = told(&[("random", 5, Some(0)), ("candidates", 5, Some(0))]);
        assert!(said.contains("says 0 where there are 5 candidates"), "{said}");
        assert!(told(&[("mail", 5, Some(-1))]).contains("column `name`: a level of agreement is -1"));
        assert!(told(&[("mail", -5, Some(1))]).contains("no number of pairs"));
        assert!(matches!(patterns(Vec::new(), &[]), Err(Error::Usage(_))));
        let known = LinkageSettings::from_header(&BTreeMap::from([("k".to_owned(), "2".to_owned())]));
        assert!(known.unwrap_err().to_string().contains("header `k`"));
    }
}
