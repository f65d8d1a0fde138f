//! What is read out of a text, in whichever language: words with what they say and what they speak of, in clauses.

use super::aspects::Term;
use super::chinese;
use super::english;
use super::language::{Language, language};
use super::speakers::customer_words;
use super::vader::normalized;

/// A word that praises or blames, or names what a text speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Its place among the words of the text.
    pub at: usize,
    /// Number of its clause, from 0.
    pub clause: usize,
    /// What it adds to a sum of valences.
    pub valence: f64,
    /// What it speaks of.
    pub term: Option<Term>,
}

/// What a text says.
#[derive(Debug)]
pub(super) struct Reading {
    pub language: Language,
    /// In the order of the text.
    pub marks: Vec<Mark>,
    /// Numbers of clauses that begin with a word of contrast, rising.
    pub contrasts: Vec<usize>,
    /// The score of the whole, -1 to 1.
    pub score: f64,
}

/// Reads the customer's words; `None` in a language that has no lexicon here.
pub(super) fn read(text: &str) -> Option<Reading> {
    let words = customer_words(text);
    match language(&words) {
        Language::Chinese => Some(chinese::read(&words)),
        Language::English => Some(english::read(&words)),
        Language::Other => None,
    }
}

/// The language and the score, -1 to 1, of a text; `None` where its language has no lexicon here.
pub fn sentiment(text: &str) -> Option<(Language, f64)> {
    read(text).map(|reading| (reading.language, reading.score))
}

/// Praise, blame or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polarity {
    Positive,
    Neutral,
    Negative,
}

/// From this score on a text is positive, and from its opposite down negative (Hutto and Gilbert).
const DECIDED: f64 = 0.05;

impl Polarity {
    /// Of a score from -1 to 1.
    pub fn of(score: f64) -> Polarity {
        if score >= DECIDED {
            Polarity::Positive
        } else if score <= -DECIDED {
            Polarity::Negative
        } else {
            Polarity::Neutral
        }
    }

    /// `positive`, `neutral` or `negative`.
    pub fn name(self) -> &'static str {
        match self {
            Polarity::Positive => "positive",
            Polarity::Neutral => "neutral",
            Polarity::Negative => "negative",
        }
    }
}

/// A sum of valences as a score with four decimals.
pub(super) fn score(sum: f64) -> f64 {
    // adding 0 makes a negative zero a plain one
    (normalized(sum) * 1e4).round() / 1e4 + 0.0
}
