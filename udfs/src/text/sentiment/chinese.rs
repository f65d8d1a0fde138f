//! Chinese: words are told apart by jieba, and weighed by a lexicon with degree words, negation and contrast.

use std::borrow::Cow;
use std::sync::LazyLock;

use hashbrown::HashMap;
use jieba_rs::Jieba;

use super::aspects;
use super::data::lines;
use super::language::Language;
use super::reading::{Mark, Reading, score};
use super::vader::{emphasis, emphasized};

/// What a word does.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    valence: Option<f64>,
    /// What it multiplies the word after it by.
    degree: Option<f64>,
    negates: bool,
    excess: bool,
    scale: bool,
    contrast: bool,
    reserve: bool,
}

/// Words with what they do, and the segmenter that knows them all.
struct Chinese {
    words: HashMap<&'static str, Word>,
    segmenter: Jieba,
}

static CHINESE: LazyLock<Chinese> = LazyLock::new(|| {
    let mut words: HashMap<&'static str, Word> = HashMap::new();
    let mut segmenter = Jieba::empty();
    let mut dictionary = include_str!("data/words_zh.txt").as_bytes();
    // the file is part of the program and a test reads it: an error cannot be
    let _ = segmenter.load_dict(&mut dictionary);
    for (kind, argument, entries) in lines(include_str!("data/chinese.txt"), ' ') {
        let number = argument.parse().unwrap_or(0.0);
        let without_number = (argument.parse::<f64>().is_err()).then_some(argument);
        for entry in without_number.into_iter().chain(entries) {
            let word = words.entry(entry).or_default();
            match kind {
                "word" => word.valence = (number != 0.0).then_some(number),
                "degree" => word.degree = Some(number),
                "negation" => word.negates = true,
                "excess" => word.excess = true,
                "scale" => word.scale = true,
                "contrast" => word.contrast = true,
                _ => word.reserve = true,
            }
            add(&mut segmenter, entry);
        }
    }
    for term in aspects::chinese_terms() {
        add(&mut segmenter, term);
    }
    Chinese { words, segmenter }
});

/// Teaches the segmenter a word; one that it has keeps its count.
fn add(segmenter: &mut Jieba, word: &str) {
    if !segmenter.has_word(word) {
        segmenter.add_word(word, None, None);
    }
}

/// How far before a word degree words and negation act on it, in words.
const REACH: usize = 3;
/// What negation does to a valence, as in VADER.
const NEGATED: f64 = -0.74;
/// How measures count of which there is too much.
const EXCESS: f64 = -1.5;
/// What stands before a contrast and what follows it, as in VADER.
const BEFORE_CONTRAST: f64 = 0.5;
const AFTER_CONTRAST: f64 = 1.5;
/// What follows a reservation counts less than what stands before it.
const RESERVED: f64 = 0.5;

fn ends_clause(word: &str) -> bool {
    let ends = |c: char| {
        matches!(
            c,
            '，' | '。'
                | '！'
                | '？'
                | '；'
                | '：'
                | '…'
                | '～'
                | '~'
                | ','
                | '.'
                | '!'
                | '?'
                | ';'
                | ':'
                | '\n'
                | '、'
                | '（'
                | '）'
        )
    };
    word.chars().all(|c| ends(c) || c.is_whitespace())
}

/// Reads a Chinese text, of traditional characters too.
pub(super) fn read(text: &str) -> Reading {
    let text: Cow<str> = hanconv::t2s(text).into();
    let chinese = &*CHINESE;
    let tokens = chinese.segmenter.cut(&text, false);
    let words: Vec<Word> =
        tokens.iter().map(|token| chinese.words.get(token.word).copied().unwrap_or_default()).collect();
    let mut marks = Vec::new();
    let (mut contrasts, mut reserves) = (Vec::new(), Vec::new());
    let (mut clause, mut from) = (0, 0);
    for at in 0..tokens.len() {
        if ends_clause(tokens[at].word) {
            (clause, from) = (clause + 1, at + 1);
            continue;
        }
        if words[at].contrast || (words[at].reserve && at == from) {
            (clause, from) = (clause + 1, at + 1);
            if words[at].contrast { &mut contrasts } else { &mut reserves }.push(clause);
            continue;
        }
        let following = words.get(at + 1).and_then(|word| word.valence);
        let valence = valence(&words[from..=at], tokens[at].word, following.is_some());
        let term = aspects::chinese_term(tokens[at].word);
        if valence != 0.0 || term.is_some() {
            marks.push(Mark { at, clause, valence, term });
        }
    }
    let weight = |clause: usize| {
        let contrast = match contrasts.first() {
            None => 1.0,
            Some(first) if clause < *first => BEFORE_CONTRAST,
            Some(_) => AFTER_CONTRAST,
        };
        let reserve = if reserves.first().is_some_and(|first| clause >= *first) { RESERVED } else { 1.0 };
        contrast * reserve
    };
    let sum: f64 = marks.iter().map(|mark| mark.valence * weight(mark.clause)).sum();
    let marks_of_emphasis =
        if text.contains('！') { emphasis(&text.replace('！', "!")) } else { emphasis(&text) };
    let score = score(emphasized(sum, marks_of_emphasis));
    contrasts.extend(reserves);
    contrasts.sort_unstable();
    Reading { language: Language::Chinese, marks, contrasts, score }
}

/// What the last of these words adds, the words of its clause up to it; whether a word with a valence follows.
fn valence(words: &[Word], text: &str, follows: bool) -> f64 {
    let Some((word, before)) = words.split_last() else { return 0.0 };
    let excess = word.scale && before.last().is_some_and(|before| before.excess);
    let mut valence = match word.valence {
        _ if excess => return EXCESS,
        // 好贵: very expensive
        Some(_) if text == "好" && follows => return 0.0,
        Some(valence) => valence,
        None => return 0.0,
    };
    for before in before.iter().rev().take(REACH) {
        if before.valence.is_some() && before.degree.is_none() && !before.negates {
            break;
        }
        if before.negates {
            valence *= NEGATED;
        } else if let Some(degree) = before.degree {
            valence *= degree;
        }
    }
    valence
}

#[cfg(test)]
mod tests {
    use super::super::reading::Polarity;
    use super::*;

    fn polarity(text: &str) -> &'static str {
        Polarity::of(read(text).score).name()
    }

    #[test]
    fn degrees_negation_contrast_and_measures() {
        for (text, expected) in [
            ("很满意", "positive"),
            ("不太满意", "negative"),
            ("一点都不差", "positive"),
            ("没有任何毛病", "positive"),
            ("不是不好看", "positive"),
            ("好贵", "negative"),
            ("太大了", "negative"),
            ("有点薄", "negative"),
            ("大小都有", "neutral"),
            ("今天收到了", "neutral"),
            ("质量很好，但是客服太差", "negative"),
            ("质量很好，不过客服太差", "positive"),
            ("質量很差，後悔買了", "negative"),
            ("👍👍", "positive"),
        ] {
            assert_eq!(polarity(text), expected, "{text}: {}", read(text).score);
        }
        assert!(read("非常好").score > read("好").score);
        assert!(read("好！！").score > read("好").score);
        assert!(read("比较好").score < read("好").score);
    }

    #[test]
    fn every_word_of_the_data_is_known_to_the_segmenter() {
        let dictionary = include_str!("data/words_zh.txt");
        assert_eq!(dictionary.lines().count(), 52_178);
        let words = dictionary.lines().filter_map(|line| line.split_once(' '));
        assert!(
            words.clone().count() == 52_178
                && words.map(|(word, _)| word).all(|word| CHINESE.segmenter.has_word(word))
        );
        assert!(CHINESE.words.keys().all(|word| CHINESE.segmenter.has_word(word)));
    }

    #[test]
    fn no_word_is_valued_twice() {
        let mut seen = hashbrown::HashSet::new();
        for (kind, argument, words) in lines(include_str!("data/chinese.txt"), ' ') {
            assert!(
                kind != "word" || argument.parse::<f64>().is_ok_and(|valence| valence.abs() <= 4.0),
                "{argument}"
            );
            assert!(
                ["word", "degree", "negation", "excess", "scale", "contrast", "reserve"].contains(&kind),
                "{kind}"
            );
            for word in words {
                assert!(kind != "word" || seen.insert(word), "{word} twice");
            }
        }
    }
}
