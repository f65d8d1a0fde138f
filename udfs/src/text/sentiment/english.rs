//! English: VADER's rules with words about goods and shops.

use std::sync::LazyLock;

use super::aspects;
use super::data::lines;
use super::language::Language;
use super::reading::{Mark, Reading, score};
use super::vader::{self, Lexicon, Token, VADER, emphasis, emphasized, tokens, valences, weigh_contrast};

static GOODS: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut lexicon = VADER.clone();
    for (_, valence, phrases) in lines(include_str!("data/english.txt"), '|') {
        for (phrase, valence) in phrases.into_iter().zip(std::iter::repeat(valence.parse().unwrap_or(0.0))) {
            lexicon.set(phrase, valence);
        }
    }
    lexicon
});

/// Words that begin a clause; those of contrast first.
const CONTRASTS: [&str; 5] = ["but", "however", "although", "though", "yet"];
const JOINTS: [&str; 4] = ["and", "while", "whereas", "because"];

/// Numbers of clauses by word: they end at punctuation and line ends, and before a word that joins.
fn clauses(text: &str, tokens: &[Token], contrasts: &mut Vec<usize>) -> Vec<usize> {
    let mut clause = 0;
    let mut numbers: Vec<usize> = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let contrast = CONTRASTS.contains(&token.lower.as_str());
        let ended = at > 0 && {
            let before = &tokens[at - 1];
            let gap = &text[before.start + before.text.len()..token.start];
            let ends = |c: char| matches!(c, ',' | '.' | ';' | ':' | '!' | '?' | '\n' | '(' | ')');
            gap.contains(ends) || before.text.ends_with(ends)
        };
        if at > 0 && (ended || contrast || JOINTS.contains(&token.lower.as_str())) {
            clause += 1;
        }
        if contrast && contrasts.last() != Some(&clause) {
            contrasts.push(clause);
        }
        numbers.push(clause);
    }
    numbers
}

/// Reads an English text.
pub(super) fn read(text: &str) -> Reading {
    let text = vader::without_emoji(text);
    let tokens = tokens(&text, &GOODS);
    let mut contrasts = Vec::new();
    let clauses = clauses(&text, &tokens, &mut contrasts);
    let mut values = valences(&tokens);
    for at in 0..tokens.len() {
        // "Well, " opens what is said and praises nothing
        let alone = (at == 0 || clauses[at - 1] != clauses[at]) && clauses.get(at + 1) != Some(&clauses[at]);
        if alone && tokens[at].lower == "well" {
            values[at] = 0.0;
        }
    }
    let terms = aspects::english_terms(&tokens);
    // a smile is of the text, not of what it speaks of
    let spoken = |at: usize| if tokens[at].text.contains(char::is_alphanumeric) { values[at] } else { 0.0 };
    let marks = (0..tokens.len()).filter(|at| spoken(*at) != 0.0 || terms[*at].is_some());
    let marks =
        marks.map(|at| Mark { at, clause: clauses[at], valence: spoken(at), term: terms[at] }).collect();
    weigh_contrast(&tokens, &mut values);
    let sum = emphasized(values.iter().sum(), emphasis(&text));
    Reading { language: Language::English, marks, contrasts, score: score(sum) }
}

#[cfg(test)]
mod tests {
    use super::super::reading::Polarity;
    use super::*;

    #[test]
    fn words_of_shops_are_read_by_the_rules_of_vader() {
        for (text, expected) in [
            ("it broke after two days", "negative"),
            ("it was not broken", "positive"),
            ("far too small", "negative"),
            ("Well, it is average", "neutral"),
            ("well packed", "positive"),
            ("asked support, they told me to wait", "neutral"),
            ("poor value for money", "negative"),
            ("great value for money!!!", "positive"),
            ("great price but it leaks", "negative"),
            ("nobody ever replies", "negative"),
        ] {
            let score = read(text).score;
            assert_eq!(Polarity::of(score).name(), expected, "{text}: {score}");
        }
    }

    #[test]
    fn no_phrase_is_valued_twice() {
        let mut seen = hashbrown::HashSet::new();
        for (_, valence, phrases) in lines(include_str!("data/english.txt"), '|') {
            assert!(valence.parse::<f64>().is_ok_and(|valence| valence.abs() <= 4.0), "{valence}");
            assert!(
                phrases.iter().all(|phrase| *phrase == phrase.to_lowercase() && seen.insert(*phrase)),
                "{phrases:?}"
            );
        }
    }
}
