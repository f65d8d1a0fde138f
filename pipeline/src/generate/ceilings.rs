//! How well the planted behaviour could be found at best: `truth/ceilings`.
//!
//! For a sample of the persons it is counted what an observer sees who knows every session, order and message of a
//! person. The score of a person is the logarithm of the likelihood ratio of these counts under the laws of the class and
//! of everybody else, the unknown rate being averaged over the rates of that class. By the lemma of Neyman and Pearson no
//! other score of the same counts has a better area under the curve. An observer of the raw tables does not know who is
//! behind anonymous events, so will stay below: `f1_by_logins` is for one who sees only the sessions that raw tables can
//! give to a person. Classes planted for a latent rate of the persona (price, trend, season)
//! have a second measure, `auc_given_persona`, for an observer who also knows the persona.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

use super::holders;
use super::manners::CLASSES;
use super::messages::CHANNELS;
use super::observed::{Observed, Searches, Sight, observe};
use super::persons::persona_name;
use super::texts;
use super::world::{SEASON_LEVELS, World};
use super::write;
use crate::{Context, Result};

/// Most persons looked at: the standard error of an area is then about .01.
const MOST_PERSONS: u32 = 4096;
/// Rates over which the likelihood of a class is averaged: quantiles of its persons' rates.
const LEVELS: usize = 24;
/// Personas.
const PERSONAS: usize = 8;

/// Rows of `truth/ceilings`. `n` is the number of persons (of assignments for uplift, of days for the rising term) that
/// stand behind a value, 0 for one that follows from the laws alone.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn batch(world: &World) -> Result<RecordBatch> {
    let mut searches = vec![(0, 0); world.days() as usize];
    let persons = world.settings.persons().min(MOST_PERSONS);
    let people: Vec<Observed> = (0..persons).map(|person| observe(world, person, &mut searches)).collect();
    let mut rows = Vec::new();
    manners(&people, &mut rows);
    personal_rates(world, &people, &mut rows);
    channels(&people, &mut rows);
    uplift(&people, &mut rows);
    let scale = f64::from(world.settings.persons()) / f64::from(persons);
    let days = days_to_detect(world, &searches, scale);
    rows.push(Row::new("rising_term", "days_to_detect", days.unwrap_or(f64::NAN), world.days() as usize));
    let (holder, events) = holders::ceiling(world, 0..persons / 4 * 4);
    rows.push(Row::new("device_holder", "accuracy_by_logins", holder, events as usize));
    let (sentiment, aspect) = texts::ceilings();
    rows.push(Row::new("text_sentiment", "accuracy_of_words", sentiment, 0));
    rows.push(Row::new("text_aspect", "accuracy_of_words", aspect, 0));
    let texts = |text: fn(&Row) -> &'static str| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        texts(|row| row.label),
        texts(|row| row.measure),
        Arc::new(rows.iter().map(|row| Some(row.value).filter(|v| v.is_finite())).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.n as i64).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(write::schema("truth/ceilings"), columns).context("building truth/ceilings")
}

/// A row of `truth/ceilings`.
#[derive(Debug)]
struct Row {
    label: &'static str,
    measure: &'static str,
    value: f64,
    n: usize,
}

impl Row {
    fn new(label: &'static str, measure: &'static str, value: f64, n: usize) -> Row {
        Row { label, measure, value, n }
    }
}

/// What is known of persons beforehand: one group, or one for each persona.
#[derive(Debug, Clone, Copy)]
enum Known {
    Nothing,
    Persona,
}

impl Known {
    fn group(self, person: &Observed) -> usize {
        match self {
            Known::Nothing => 0,
            Known::Persona => person.persona,
        }
    }
}

/// Logarithm of the mean of exponentials.
fn log_mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let (sum, count) = values.fold((0.0, 0.0), |(sum, n), v| (sum + libm::exp(v - most), n + 1.0));
    most + libm::log(sum / count)
}

/// Quantiles of rates, each standing for an equal share of them.
fn levels(mut rates: Vec<f64>) -> Vec<f64> {
    rates.sort_by(f64::total_cmp);
    let count = rates.len().min(LEVELS);
    (0..count).map(|level| rates[(2 * level + 1) * rates.len() / (2 * count)]).collect()
}

/// Log likelihood ratio of every person: that of the class to that of everybody else in the group.
fn ratios(
    people: &[Observed],
    known: Known,
    bears: impl Fn(&Observed) -> bool,
    rate: impl Fn(&Observed) -> f64,
    log_likelihood: impl Fn(&Observed, f64) -> f64,
) -> Vec<f64> {
    let of = |group: usize, class: bool| {
        let same = people.iter().filter(|person| known.group(person) == group && bears(person) == class);
        levels(same.map(&rate).collect())
    };
    let groups: Vec<[Vec<f64>; 2]> = (0..PERSONAS).map(|group| [of(group, false), of(group, true)]).collect();
    let ratio = |person: &Observed| match &groups[known.group(person)] {
        [others, _] if others.is_empty() => 30.0,
        [_, bearers] if bearers.is_empty() => -30.0,
        [others, bearers] => {
            let mean = |rates: &[f64]| log_mean(rates.iter().map(|rate| log_likelihood(person, *rate)));
            mean(bearers) - mean(others)
        }
    };
    people.iter().map(ratio).collect()
}

/// Adds to every ratio the logarithm of the odds of the class in the person's group.
fn posterior(
    people: &[Observed],
    known: Known,
    bears: impl Fn(&Observed) -> bool,
    ratios: &[f64],
) -> Vec<f64> {
    let odds = |group: usize| {
        let of = |class: bool| {
            people.iter().filter(|p| known.group(p) == group && bears(p) == class).count() as f64 + 0.5
        };
        libm::log(of(true) / of(false))
    };
    let odds: Vec<f64> = (0..PERSONAS).map(odds).collect();
    people.iter().zip(ratios).map(|(person, ratio)| ratio + odds[known.group(person)]).collect()
}

/// Area under the curve: the probability that a bearer scores higher than another, ties counting a half.
fn area(scores: &[f64], bears: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut won, mut bearers) = (0.0, 0.0, 0.0);
    for tie in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let here = tie.iter().filter(|index| bears[**index]).count() as f64;
        let others = tie.len() as f64 - here;
        won += here * (below + others / 2.0);
        below += others;
        bearers += here;
    }
    won / (bearers * below)
}

/// The best F1 (twice the bearers found, over those taken for bearers and those who are) of any threshold of the scores;
/// persons of equal scores are taken together.
fn best_f1(scores: &[f64], bears: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let bearers = bears.iter().filter(|bears| **bears).count() as f64;
    let (mut taken, mut found, mut best) = (0.0, 0.0, 0.0_f64);
    for tie in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        taken += tie.len() as f64;
        found += tie.iter().filter(|index| bears[**index]).count() as f64;
        best = best.max(2.0 * found / (taken + bearers));
    }
    best
}

/// The classes of [`Manner`]: the classes are independent of everything else, so nothing need be known.
fn manners(people: &[Observed], rows: &mut Vec<Row>) {
    for sight in [Sight::Everything, Sight::Logins] {
        for (class, scores) in manner_ratios(people, sight).into_iter().enumerate() {
            let bears = |person: &Observed| person.manner.classes[class];
            if sight == Sight::Everything {
                judge(people, Known::Nothing, CLASSES[class], bears, &scores, rows);
                continue;
            }
            let scores = posterior(people, Known::Nothing, bears, &scores);
            let truth: Vec<bool> = people.iter().map(bears).collect();
            rows.push(Row::new(CLASSES[class], "f1_by_logins", best_f1(&scores, &truth), people.len()));
        }
    }
}

/// Log likelihood ratios of the classes of [`Manner`], by what an observer sees.
fn manner_ratios(people: &[Observed], sight: Sight) -> [Vec<f64>; 4] {
    let bears = |class: usize| move |person: &Observed| person.manner.classes[class];
    let none = Known::Nothing;
    let parks = ratios(
        people,
        none,
        bears(0),
        |p| f64::from(p.manner.parks),
        // of 256 views 14 end in the cart anyway and 97 are stayed on
        |p, rate| p.traces(sight).carts.log_likelihood((14.0 + 97.0 * rate) / 111.0),
    );
    let revisits = ratios(
        people,
        none,
        bears(0),
        |p| f64::from(p.manner.revisits),
        |p, rate| p.traces(sight).revisits.log_likelihood(rate),
    );
    let impulsive = ratios(
        people,
        none,
        bears(1),
        |p| f64::from(p.manner.rushes),
        |p, rate| p.traces(sight).rushes.log_likelihood(rate),
    );
    let commuter = ratios(
        people,
        none,
        bears(2),
        |p| f64::from(p.manner.commutes),
        // 13 of 256 sessions have no place
        |p, rate| p.traces(sight).commutes.log_likelihood(243.0 / 256.0 * (rate + (1.0 - rate) * p.passes)),
    );
    let rain_lover = ratios(
        people,
        none,
        bears(3),
        |p| f64::from(p.manner.waits),
        |p, rate| p.traces(sight).rainy.log_likelihood(p.rain.0 + p.rain.1 * rate),
    );
    [parks.iter().zip(&revisits).map(|(a, b)| a + b).collect(), impulsive, commuter, rain_lover]
}

/// Area, accuracy of the best decision, F1 of the best threshold, and share of a class.
fn judge(
    people: &[Observed],
    known: Known,
    label: &'static str,
    bears: impl Fn(&Observed) -> bool + Copy,
    ratios: &[f64],
    rows: &mut Vec<Row>,
) {
    let scores = posterior(people, known, bears, ratios);
    let truth: Vec<bool> = people.iter().map(bears).collect();
    let n = people.len();
    if matches!(known, Known::Persona) {
        rows.push(Row::new(label, "auc_given_persona", area(&scores, &truth), n));
        return;
    }
    let right = scores.iter().zip(&truth).filter(|(score, bears)| (**score > 0.0) == **bears).count();
    let share = truth.iter().filter(|bears| **bears).count();
    rows.push(Row::new(label, "auc", area(&scores, &truth), n));
    rows.push(Row::new(label, "accuracy", right as f64 / n as f64, n));
    rows.push(Row::new(label, "f1", best_f1(&scores, &truth), n));
    rows.push(Row::new(label, "share", share as f64 / n as f64, n));
}

/// The classes that follow from latent rates of the persona.
fn personal_rates(world: &World, people: &[Observed], rows: &mut Vec<Row>) {
    let logs: Vec<Vec<f64>> = (0..world.days())
        .map(|day| world.activity(day).iter().map(|activity| libm::log(f64::from(*activity))).collect())
        .collect();
    let came = |person: &Observed, class: usize| -> f64 {
        person.session_days.iter().map(|day| logs[*day as usize][class]).sum()
    };
    for known in [Known::Nothing, Known::Persona] {
        let bears = |person: &Observed| person.labels.price_sensitive;
        let price = ratios(people, known, bears, |p| p.discount, |p, rate| p.discounted.log_likelihood(rate));
        judge(people, known, "price_sensitive", bears, &price, rows);
        let bears = |person: &Observed| person.labels.churned;
        let trend = |p: &Observed| (p.class / SEASON_LEVELS) as f64;
        let churned = ratios(people, known, bears, trend, |p, trend| {
            came(p, trend as usize * SEASON_LEVELS + p.class % SEASON_LEVELS)
        });
        judge(people, known, "churned", bears, &churned, rows);
        let bears = |person: &Observed| person.labels.seasonal;
        let season = |p: &Observed| (p.class % SEASON_LEVELS) as f64;
        let seasonal = ratios(people, known, bears, season, |p, season| {
            came(p, p.class - p.class % SEASON_LEVELS + season as usize)
        });
        judge(people, known, "seasonal", bears, &seasonal, rows);
    }
}

/// Which channel a person reads: one of four.
fn channels(people: &[Observed], rows: &mut Vec<Row>) {
    let rates = |favourite: bool| {
        let of = |p: &Observed| {
            let reads = |at: &usize| (usize::from(p.manner.channel) == *at) == favourite;
            (0..CHANNELS.len()).filter(reads).map(|at| f64::from(p.manner.opens[at])).collect::<Vec<_>>()
        };
        levels(people.iter().flat_map(of).collect())
    };
    let (reads, others) = (rates(true), rates(false));
    let (mut right, mut reached, mut right_of_reached) = (0.0, 0, 0.0);
    // by channel: readers, those taken for readers and those found, of the persons reached
    let (mut readers, mut taken, mut found) = ([0.0; 4], [0.0; 4], [0.0; 4]);
    for person in people {
        let scores = person.opened.map(|count| {
            let mean = |rates: &[f64]| log_mean(rates.iter().map(|rate| count.log_likelihood(*rate)));
            mean(&reads) - mean(&others)
        });
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ties = scores.iter().filter(|score| **score == best).count() as f64;
        let hit = if scores[usize::from(person.manner.channel)] == best { 1.0 / ties } else { 0.0 };
        right += hit;
        if person.opened.iter().any(|count| count.trials > 0) {
            reached += 1;
            right_of_reached += hit;
            let reads = usize::from(person.manner.channel);
            readers[reads] += 1.0;
            found[reads] += hit;
            for (taken, score) in taken.iter_mut().zip(scores) {
                *taken += if score == best { 1.0 / ties } else { 0.0 };
            }
        }
    }
    let n = people.len();
    rows.push(Row::new("channel", "accuracy", right / n as f64, n));
    rows.push(Row::new(
        "channel",
        "accuracy_of_reached",
        right_of_reached / f64::from(reached.max(1)),
        reached as usize,
    ));
    let f1 = (0..CHANNELS.len()).map(|at| 2.0 * found[at] / f64::max(1.0, taken[at] + readers[at]));
    rows.push(Row::new(
        "channel",
        "f1_of_reached",
        f1.sum::<f64>() / CHANNELS.len() as f64,
        reached as usize,
    ));
}

/// Orders that a message adds, by persona and over all, and how exactly an experiment of this size can tell.
fn uplift(people: &[Observed], rows: &mut Vec<Row>) {
    let over = |chosen: &dyn Fn(&Observed) -> bool| {
        people.iter().filter(|person| chosen(person)).fold((0, 0.0, 0.0), |(n, control, treated), person| {
            (n + person.assignments as usize, control + person.expected.0, treated + person.expected.1)
        })
    };
    for persona in 0..PERSONAS {
        let (n, control, treated) = over(&|person| person.persona == persona);
        rows.push(Row::new("uplift", persona_name(persona), (treated - control) / n.max(1) as f64, n));
    }
    let (n, control, treated) = over(&|_| true);
    let assignments = n.max(1) as f64;
    rows.push(Row::new("uplift", "all", (treated - control) / assignments, n));
    // orders are Poisson; arms as they are drawn
    let holdout = super::messages::HOLDOUT;
    let variance = treated / assignments / (1.0 - holdout) + control / assignments / holdout;
    rows.push(Row::new("uplift", "standard_error", libm::sqrt(variance / assignments), n));
}

/// Days from the first on which the term rises until the searches so far are a thousand times likelier with the rise than
/// without, in expectation; searches of the sample are `scale` times fewer than all.
fn days_to_detect(world: &World, searches: &Searches, scale: f64) -> Option<f64> {
    let first = world.rising.first as usize;
    let (before, after) = searches.split_at(first.min(searches.len()));
    let (all, risen) = before
        .iter()
        .fold((1.0, 0.5), |(all, risen), day| (all + f64::from(day.0), risen + f64::from(day.1)));
    let usual: f64 = risen / all;
    let mut evidence = 0.0;
    for (since, (day, count)) in (world.rising.first..).zip(after).enumerate() {
        let share = usual + (1.0 - usual) * f64::from(world.rising.share(day));
        let gain =
            share * libm::log(share / usual) + (1.0 - share) * libm::log((1.0 - share) / (1.0 - usual));
        evidence += scale * f64::from(count.0) * gain;
        if evidence >= libm::log(1000.0) {
            return Some(since as f64 + 1.0);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::settings::WorldSettings;
    use super::*;

    #[test]
    fn areas_count_ties_by_halves() {
        assert_eq!(area(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, true]), 1.0);
        assert_eq!(area(&[1.0, 1.0, 1.0, 1.0], &[false, true, false, true]), 0.5);
        assert_eq!(area(&[1.0, 2.0, 2.0, 3.0], &[false, true, false, true]), 0.875);
    }

    #[test]
    fn the_best_f1_takes_equal_scores_together() {
        assert_eq!(best_f1(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, true]), 1.0);
        // all are taken: 2 found of 4 taken
        assert_eq!(best_f1(&[1.0, 1.0, 1.0, 1.0], &[false, true, false, true]), 4.0 / 6.0);
        // taking the first: 2 / (1 + 2); the first three: 4 / (3 + 2)
        assert_eq!(best_f1(&[1.0, 2.0, 2.0, 3.0], &[false, true, false, true]), 0.8);
        // taking the first: 2 / (1 + 2); all: 4 / (4 + 2)
        assert_eq!(best_f1(&[4.0, 3.0, 2.0, 1.0], &[true, false, false, true]), 2.0 / 3.0);
        assert_eq!(best_f1(&[1.0, 2.0], &[false, false]), 0.0);
    }

    #[test]
    fn planted_behaviour_can_be_found_but_not_exactly() {
        let world = World::new(&WorldSettings { scale: 0.02, ..Default::default() }).unwrap();
        let batch = batch(&world).unwrap();
        let text = |column: usize| {
            let column = arrow::array::AsArray::as_string::<i32>(batch.column(column));
            column.iter().map(|value| value.unwrap().to_string()).collect::<Vec<_>>()
        };
        let values = arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(batch.column(2));
        let (labels, measures) = (text(0), text(1));
        for row in 0..batch.num_rows() {
            let value = values.value(row);
            println!("{} {} {value:.3}", labels[row], measures[row]);
            match measures[row].as_str() {
                "auc" => assert!((0.7..0.995).contains(&value), "{}: {value}", labels[row]),
                "accuracy" | "accuracy_of_reached" | "f1" | "f1_of_reached" => {
                    assert!((0.4..0.99).contains(&value), "{}: {value}", labels[row])
                }
                _ => {}
            }
        }
    }
}
