//! What a text speaks of, and what it says of that.

use std::sync::LazyLock;

use hashbrown::HashMap;

use super::data::lines;
use super::language::is_han;
use super::reading::{Mark, Polarity, Reading, read, score};
use super::vader::Token;

/// Categories of what is praised or blamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    Quality,
    Price,
    Delivery,
    Service,
    Fit,
    Packaging,
    Effect,
}

impl Aspect {
    /// All of them.
    pub const ALL: [Aspect; 7] = [
        Aspect::Quality,
        Aspect::Price,
        Aspect::Delivery,
        Aspect::Service,
        Aspect::Fit,
        Aspect::Packaging,
        Aspect::Effect,
    ];

    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Aspect::Quality => "quality",
            Aspect::Price => "price",
            Aspect::Delivery => "delivery",
            Aspect::Service => "service",
            Aspect::Fit => "fit",
            Aspect::Packaging => "packaging",
            Aspect::Effect => "effect",
        }
    }
}

/// That a word speaks of an aspect: names it, or only suggests it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub aspect: Aspect,
    pub strong: bool,
}

/// Terms of English by their first word: the words after it, the longest first.
type Phrases = HashMap<&'static str, Vec<(Vec<&'static str>, Term)>>;

struct Terms {
    chinese: HashMap<&'static str, Term>,
    english: Phrases,
}

static TERMS: LazyLock<Terms> = LazyLock::new(|| {
    let mut terms = Terms { chinese: HashMap::new(), english: HashMap::new() };
    let file = include_str!("data/aspects.txt");
    for (name, strength, phrases) in lines(file, '|') {
        let Some(aspect) = Aspect::ALL.into_iter().find(|aspect| aspect.name() == name) else { continue };
        let term = Term { aspect, strong: strength == "strong" };
        for phrase in phrases {
            if phrase.contains(is_han) {
                for word in phrase.split(' ') {
                    terms.chinese.entry(word).or_insert(term);
                }
                continue;
            }
            let mut words = phrase.split(' ');
            let first = words.next().unwrap_or_default();
            terms.english.entry(first).or_default().push((words.collect(), term));
        }
    }
    for phrases in terms.english.values_mut() {
        phrases.sort_by_key(|(rest, _)| std::cmp::Reverse(rest.len()));
    }
    terms
});

pub(super) fn chinese_terms() -> impl Iterator<Item = &'static str> {
    let mut terms: Vec<&str> = TERMS.chinese.keys().copied().collect();
    terms.sort_unstable();
    terms.into_iter()
}

pub(super) fn chinese_term(word: &str) -> Option<Term> {
    TERMS.chinese.get(word).copied()
}

pub(super) fn is_english_term(word: &str) -> bool {
    TERMS.english.contains_key(word)
}

/// The term that begins at each word.
pub(super) fn english_terms(tokens: &[Token]) -> Vec<Option<Term>> {
    let bare = |at: usize| {
        tokens.get(at).map(|token: &Token| token.lower.trim_end_matches([',', '.', '!', '?', ';', ':']))
    };
    let mut found = vec![None; tokens.len()];
    let mut at = 0;
    while at < tokens.len() {
        let phrases = bare(at).and_then(|word| TERMS.english.get(word));
        let fits =
            |rest: &[&str]| rest.iter().enumerate().all(|(place, word)| bare(at + 1 + place) == Some(word));
        let term = phrases.into_iter().flatten().find(|(rest, _)| fits(rest));
        found[at] = term.map(|(_, term)| *term);
        at += 1 + term.map_or(0, |(rest, _)| rest.len());
    }
    found
}

/// What a text says of one aspect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AspectOpinion {
    pub aspect: Aspect,
    pub polarity: Polarity,
    /// -1 to 1, as for whole texts.
    pub score: f64,
}

/// What a text says of which aspect, in the order in which it comes to them, each aspect once.
///
/// An aspect gets the valences of the clauses that name it and of those after them that name none, up to a contrast. A clause
/// that names none but suggests some speaks of what it suggests first. Where one clause names several, words before the first
/// valence share all; otherwise a word speaks of the nearest name before it, or else after it.
pub fn aspect_opinions(text: &str) -> Vec<AspectOpinion> {
    read(text).map_or_else(Vec::new, |reading| of(&reading))
}

fn of(reading: &Reading) -> Vec<AspectOpinion> {
    let mut sums: Vec<(Aspect, f64)> = Vec::new();
    let mut current: Vec<Aspect> = Vec::new();
    let mut clause_before = None;
    for marks in reading.marks.chunk_by(|left, right| left.clause == right.clause) {
        let clause = marks[0].clause;
        let contrasted = reading.contrasts.iter().any(|at| clause_before < Some(*at) && *at <= clause);
        clause_before = Some(clause);
        let named = named(marks);
        if contrasted && named.is_empty() {
            current.clear();
        }
        if !named.is_empty() {
            current.clear();
            for (_, aspect) in &named {
                if !current.contains(aspect) {
                    current.push(*aspect);
                }
                if !sums.iter().any(|(known, _)| known == aspect) {
                    sums.push((*aspect, 0.0));
                }
            }
        }
        let mut add = |aspect: Aspect, valence: f64| {
            for (_, sum) in sums.iter_mut().filter(|(known, _)| *known == aspect) {
                *sum += valence;
            }
        };
        let valued = || marks.iter().filter(|mark| mark.valence != 0.0);
        let first = valued().next().map_or(usize::MAX, |mark| mark.at);
        let shared = current.len() < 2 || named.is_empty() || named.iter().all(|(at, _)| *at < first);
        for mark in valued() {
            if shared {
                current.iter().for_each(|aspect| add(*aspect, mark.valence));
            } else {
                let before = named.iter().rev().find(|(at, _)| *at <= mark.at);
                if let Some((_, aspect)) = before.or(named.first()) {
                    add(*aspect, mark.valence);
                }
            }
        }
    }
    let opinion = |(aspect, sum)| {
        let score = score(sum);
        AspectOpinion { aspect, polarity: Polarity::of(score), score }
    };
    sums.into_iter().map(opinion).collect()
}

/// The aspects that a clause speaks of, with the place of each word.
fn named(marks: &[Mark]) -> Vec<(usize, Aspect)> {
    let terms = || marks.iter().filter_map(|mark| Some((mark.at, mark.term?)));
    let strong: Vec<_> =
        terms().filter(|(_, term)| term.strong).map(|(at, term)| (at, term.aspect)).collect();
    if !strong.is_empty() {
        return strong;
    }
    terms().take(1).map(|(at, term)| (at, term.aspect)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<(&'static str, &'static str)> {
        aspect_opinions(text).iter().map(|opinion| (opinion.aspect.name(), opinion.polarity.name())).collect()
    }

    #[test]
    fn clauses_speak_of_what_they_name() {
        const GOOD: &str = "positive";
        const BAD: &str = "negative";
        const PLAIN: &str = "neutral";
        for (text, expected) in [
            ("质量很好", vec![("quality", GOOD)]),
            ("价格太贵了，后悔", vec![("price", BAD)]),
            ("物流很慢，但是客服态度很好", vec![("delivery", BAD), ("service", GOOD)]),
            ("包装很普通，不过很喜欢", vec![("packaging", PLAIN)]),
            ("质量和价格都很好", vec![("quality", GOOD), ("price", GOOD)]),
            ("质量不错价格太贵", vec![("quality", GOOD), ("price", BAD)]),
            ("效果不明显，尺码偏小", vec![("effect", PLAIN), ("fit", BAD)]),
            ("用了两天就坏了", vec![("quality", BAD)]),
            ("今天天气好", vec![]),
            ("客户：包装破了\n客服：价格优惠，质量很好", vec![("packaging", BAD)]),
            ("great price, but the delivery was slow", vec![("price", GOOD), ("delivery", BAD)]),
            ("customer service was rude", vec![("service", BAD)]),
            ("nobody ever replies", vec![("service", BAD)]),
            ("Customer: the box was torn\nAgent: great service, lovely price", vec![("packaging", BAD)]),
            ("the fabric is soft and the size is right", vec![("quality", GOOD), ("fit", PLAIN)]),
            ("la calidad es buena", vec![]),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn every_line_of_the_data_is_read() {
        for (aspect, strength, terms) in lines(include_str!("data/aspects.txt"), '|') {
            assert!(Aspect::ALL.iter().any(|known| known.name() == aspect), "{aspect}");
            assert!(
                ["strong", "weak"].contains(&strength) && terms.iter().all(|term| !term.is_empty()),
                "{terms:?}"
            );
        }
    }
}
