//! Sentiment of English by the rules of VADER, and the lexicon they read.
//!
//! Hutto, C.J. and Gilbert, E. (2014), "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
//! Text"; rules and words as in the package `vaderSentiment` 3.3.2, whose licence lies beside the words.

use std::sync::LazyLock;

use hashbrown::HashMap;

/// What a word does, each as VADER has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Word {
    /// Mean rating of the word, -4 to 4, if it has one.
    pub valence: Option<f64>,
    /// What it adds to the word after it; 0 for most.
    boost: f64,
    negates: bool,
}

/// A lexicon: words in lower case, and phrases of several words.
#[derive(Debug, Clone, Default)]
pub(super) struct Lexicon {
    words: HashMap<String, Word>,
    /// By first word: the words after it, the longest phrase first, and the valence.
    phrases: HashMap<String, Vec<(Vec<String>, f64)>>,
}

const BOOST: f64 = 0.293;
const CAPITALS: f64 = 0.733;
const NEGATED: f64 = -0.74;
/// The sum of valences at which a score is about 0.7.
const ALPHA: f64 = 15.0;

const NEGATIONS: &str = "aint arent cannot cant couldnt darent didnt doesnt ain't aren't can't couldn't daren't didn't \
    doesn't dont hadnt hasnt havent isnt mightnt mustnt neither don't hadn't hasn't haven't isn't mightn't mustn't neednt \
    needn't never none nope nor not nothing nowhere oughtnt shant shouldnt uhuh wasnt werent oughtn't shan't shouldn't \
    uh-uh wasn't weren't without wont wouldnt won't wouldn't rarely seldom despite";
const BOOSTERS: &str = "absolutely amazingly awfully completely considerable considerably decidedly deeply effing enormous \
    enormously entirely especially exceptional exceptionally extreme extremely fabulously flipping flippin frackin \
    fracking fricking frickin frigging friggin fully fuckin fucking fuggin fugging greatly hella highly hugely incredible \
    incredibly intensely major majorly more most particularly purely quite really remarkably so substantially thoroughly \
    total totally tremendous tremendously uber unbelievably unusually utter utterly very";
const DAMPENERS: &str = "almost barely hardly kinda kindof kind-of less little marginal marginally occasional \
    occasionally partly scarce scarcely slight slightly somewhat sorta sortof sort-of";
const DAMPENING_PAIRS: [(&str, &str); 3] = [("just", "enough"), ("kind", "of"), ("sort", "of")];
/// Idioms whose words say something else than the idiom.
const IDIOMS: [(&[&str], f64); 8] = [
    (&["the", "shit"], 3.0),
    (&["the", "bomb"], 3.0),
    (&["bad", "ass"], 1.5),
    (&["bus", "stop"], 0.0),
    (&["yeah", "right"], -2.0),
    (&["kiss", "of", "death"], -1.5),
    (&["to", "die", "for"], 3.0),
    (&["beating", "heart"], 3.5),
];

static WORDS: &str = include_str!("data/vader_lexicon.txt");
static EMOJI: &str = include_str!("data/emoji.txt");

/// VADER's own lexicon.
pub(super) static VADER: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut lexicon = Lexicon::default();
    for (word, valence) in WORDS.lines().filter_map(|line| line.split_once('\t')) {
        lexicon.entry(word).valence = valence.parse().ok();
    }
    for word in NEGATIONS.split_whitespace() {
        lexicon.entry(word).negates = true;
    }
    for word in BOOSTERS.split_whitespace() {
        lexicon.entry(word).boost = BOOST;
    }
    for word in DAMPENERS.split_whitespace() {
        lexicon.entry(word).boost = -BOOST;
    }
    lexicon
});

static EMOJI_NAMES: LazyLock<HashMap<char, &'static str>> = LazyLock::new(|| {
    let lines = EMOJI.lines().filter_map(|line| line.split_once('\t'));
    lines.filter_map(|(emoji, name)| Some((emoji.chars().next()?, name))).collect()
});

impl Lexicon {
    fn entry(&mut self, word: &str) -> &mut Word {
        self.words.entry(word.to_string()).or_default()
    }

    /// Gives a word, or a phrase of words between blanks, another valence; 0 says that it means nothing.
    pub fn set(&mut self, phrase: &str, valence: f64) {
        match phrase.split_once(' ') {
            None => self.entry(phrase).valence = (valence != 0.0).then_some(valence),
            Some((first, rest)) => {
                let phrases = self.phrases.entry(first.to_string()).or_default();
                let rest: Vec<String> = rest.split(' ').map(str::to_string).collect();
                phrases.retain(|(words, _)| *words != rest);
                phrases.push((rest, valence));
                phrases.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
            }
        }
    }

    /// Whether a word, in lower case, has a valence.
    pub fn rates(&self, word: &str) -> bool {
        self.words.get(word).is_some_and(|word| word.valence.is_some())
    }

    fn get(&self, word: &str) -> Word {
        let mut found = self.words.get(word).copied().unwrap_or_default();
        found.negates |= word.contains("n't");
        found
    }

    /// Makes one word of each phrase: the first of its words gets the valence, the others say nothing any more.
    fn join(&self, tokens: &mut [Token]) {
        if self.phrases.is_empty() {
            return;
        }
        let mut at = 0;
        while at < tokens.len() {
            let phrases = self.phrases.get(&tokens[at].lower);
            let follows = |rest: &[String]| {
                tokens
                    .get(at + 1..at + 1 + rest.len())
                    .is_some_and(|next| next.iter().zip(rest).all(|(t, word)| t.lower == *word))
            };
            let phrase = phrases.into_iter().flatten().find(|(rest, _)| follows(rest));
            if let Some((rest, valence)) = phrase {
                tokens[at].word = Word { valence: Some(*valence), ..Word::default() };
                for token in &mut tokens[at + 1..=at + rest.len()] {
                    token.word = Word::default();
                }
                at += rest.len();
            }
            at += 1;
        }
    }
}

/// A word of a text and what the lexicon says of it.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// As written, without punctuation around it.
    pub text: &'a str,
    /// In lower case.
    pub lower: String,
    /// Where it begins in the text that was read, in bytes, punctuation left out.
    pub start: usize,
    word: Word,
    capitals: bool,
}

/// Whether all letters, of which there are some, are capitals.
fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)
}

/// Splits at blanks and takes punctuation off; what would keep two characters or fewer is likely an emoticon and stays.
pub(super) fn tokens<'a>(text: &'a str, lexicon: &Lexicon) -> Vec<Token<'a>> {
    let mut tokens: Vec<Token> = text
        .split_whitespace()
        .map(|written| {
            let stripped = written.trim_matches(|c: char| c.is_ascii_punctuation());
            let word = if stripped.chars().nth(2).is_none() { written } else { stripped };
            let lower = word.to_lowercase();
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            Token { text: word, start, word: lexicon.get(&lower), capitals: is_upper(word), lower }
        })
        .collect();
    lexicon.join(&mut tokens);
    tokens
}

/// What each word adds to the sum of a text, before contrast and punctuation are looked at.
pub(super) fn valences(tokens: &[Token]) -> Vec<f64> {
    let capitals = tokens.iter().filter(|token| token.capitals).count();
    let mixed = capitals > 0 && capitals < tokens.len();
    (0..tokens.len()).map(|at| valence(tokens, at, mixed)).collect()
}

fn valence(tokens: &[Token], at: usize, mixed: bool) -> f64 {
    let token = &tokens[at];
    let before = |words: usize| at.checked_sub(words).map(|at| &tokens[at]);
    let next = tokens.get(at + 1);
    let kind_of = token.lower == "kind" && next.is_some_and(|next| next.lower == "of");
    if token.word.boost != 0.0 || kind_of {
        return 0.0;
    }
    let Some(rating) = token.word.valence else { return 0.0 };
    let mut valence = rating;
    if token.lower == "no" && next.is_some_and(|next| next.word.valence.is_some()) {
        valence = 0.0;
    }
    let is = |words: usize, word: &str| before(words).is_some_and(|token| token.lower == word);
    if is(1, "no") || is(2, "no") || (is(3, "no") && (is(1, "or") || is(1, "nor"))) {
        valence = rating * NEGATED;
    }
    if token.capitals && mixed {
        valence += if valence > 0.0 { CAPITALS } else { -CAPITALS };
    }
    modified(tokens, at, valence, mixed)
}

/// A valence after what the three words before it do.
fn modified(tokens: &[Token], at: usize, mut valence: f64, mixed: bool) -> f64 {
    let is = |words: usize, word: &str| at.checked_sub(words).is_some_and(|at| tokens[at].lower == word);
    for (distance, share) in [(1, 1.0), (2, 0.95), (3, 0.9)] {
        let Some(before) = at.checked_sub(distance).map(|at| &tokens[at]) else { break };
        if before.word.valence.is_some() {
            continue;
        }
        valence += boost(before, valence, mixed) * share;
        let so_or_this = |words: usize| is(words, "so") || is(words, "this");
        let (stressed, doubtless) = match distance {
            1 => (false, false),
            2 => (is(2, "never") && so_or_this(1), is(2, "without") && is(1, "doubt")),
            _ => (
                (is(3, "never") && so_or_this(2)) || so_or_this(1),
                is(3, "without") && (is(2, "doubt") || is(1, "doubt")),
            ),
        };
        if stressed {
            valence *= 1.25;
        } else if !doubtless && before.word.negates {
            valence *= NEGATED;
        }
        if distance == 3 {
            valence = idioms(tokens, at, valence);
        }
    }
    let least = at > 0 && tokens[at - 1].lower == "least" && tokens[at - 1].word.valence.is_none();
    if least && !is(2, "at") && !is(2, "very") {
        valence *= NEGATED;
    }
    valence
}

fn boost(before: &Token, valence: f64, mixed: bool) -> f64 {
    let mut boost = before.word.boost;
    if boost == 0.0 {
        return 0.0;
    }
    if valence < 0.0 {
        boost = -boost;
    }
    if before.capitals && mixed {
        boost += if valence > 0.0 { CAPITALS } else { -CAPITALS };
    }
    boost
}

/// Idioms around a word that has three before it, and pairs that dampen like one word.
fn idioms(tokens: &[Token], at: usize, mut valence: f64) -> f64 {
    let is = |from: usize, words: &[&str]| {
        words
            .iter()
            .enumerate()
            .all(|(place, word)| tokens.get(from + place).is_some_and(|t| t.lower == *word))
    };
    let known = |from: usize, length: usize| {
        IDIOMS.iter().find(|(words, _)| words.len() == length && is(from, words)).map(|(_, valence)| *valence)
    };
    let before = [(at - 1, 2), (at - 2, 3), (at - 2, 2), (at - 3, 3), (at - 3, 2)];
    if let Some(found) = before.into_iter().find_map(|(from, length)| known(from, length)) {
        valence = found;
    }
    for length in [2, 3] {
        if let Some(found) = known(at, length) {
            valence = found;
        }
    }
    for from in [at - 3, at - 2] {
        if DAMPENING_PAIRS.iter().any(|(first, second)| is(from, &[first, second])) {
            valence -= BOOST;
        }
    }
    valence
}

/// Weighs what stands before `but` half and what stands after it one and a half times. As VADER does it: a valence counts for
/// the place where the same number stands first.
pub(super) fn weigh_contrast(tokens: &[Token], valences: &mut [f64]) {
    let Some(but) = tokens.iter().position(|token| token.lower == "but") else { return };
    for at in 0..valences.len() {
        let valence = valences[at];
        let first = valences.iter().position(|other| *other == valence).unwrap_or(at);
        match first.cmp(&but) {
            std::cmp::Ordering::Less => valences[first] = valence * 0.5,
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => valences[first] = valence * 1.5,
        }
    }
}

/// What exclamation and question marks add to the size of a sum.
pub(super) fn emphasis(text: &str) -> f64 {
    let count = |mark: u8| text.bytes().filter(|byte| *byte == mark).count();
    let asked = match count(b'?') {
        0 | 1 => 0.0,
        marks @ (2 | 3) => marks as f64 * 0.18,
        _ => 0.96,
    };
    count(b'!').min(4) as f64 * 0.292 + asked
}

/// Brings a sum of valences between -1 and 1.
pub(super) fn normalized(sum: f64) -> f64 {
    sum / (sum * sum + ALPHA).sqrt()
}

/// The sum of valences with the emphasis added to its size.
pub(super) fn emphasized(sum: f64, emphasis: f64) -> f64 {
    if sum > 0.0 {
        sum + emphasis
    } else if sum < 0.0 {
        sum - emphasis
    } else {
        sum
    }
}

/// A text with emoji replaced by their names.
pub(super) fn without_emoji(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_ascii() || !text.chars().any(|c| EMOJI_NAMES.contains_key(&c)) {
        return text.trim().into();
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut blank = true;
    for c in text.chars() {
        match EMOJI_NAMES.get(&c) {
            Some(name) => {
                if !blank {
                    out.push(' ');
                }
                out.push_str(name);
                blank = false;
            }
            None => {
                out.push(c);
                blank = c == ' ';
            }
        }
    }
    out.trim().to_string().into()
}

/// VADER's compound score of an English text, -1 to 1: the sum of its words' valences, normalized, four decimals.
pub fn compound(text: &str) -> f64 {
    let text = without_emoji(text);
    let tokens = tokens(&text, &VADER);
    let mut valences = valences(&tokens);
    weigh_contrast(&tokens, &mut valences);
    let sum = emphasized(valences.iter().sum(), emphasis(&text));
    (normalized(sum) * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the package, with the compound scores that its 3.3.2 gives.
    #[test]
    fn the_examples_of_the_package() {
        for (text, expected) in [
            ("VADER is smart, handsome, and funny.", 0.8316),
            ("VADER is smart, handsome, and funny!", 0.8439),
            ("VADER is very smart, handsome, and funny.", 0.8545),
            ("VADER is VERY SMART, handsome, and FUNNY.", 0.9227),
            ("VADER is VERY SMART, handsome, and FUNNY!!!", 0.9342),
            ("VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!", 0.9469),
            ("VADER is not smart, handsome, nor funny.", -0.7424),
            ("The book was good.", 0.4404),
            ("At least it isn't a horrible book.", 0.431),
            ("The book was only kind of good.", 0.3832),
            ("The plot was good, but the characters are uncompelling and the dialog is not great.", -0.7042),
            ("Today SUX!", -0.5461),
            ("Today only kinda sux! But I'll get by, lol", 0.5249),
            ("Make sure you :) or :D today!", 0.8633),
            ("Catch utf-8 emoji such as 💘 and 💋 and 😁", 0.875),
            ("Not bad at all", 0.431),
            ("", 0.0),
        ] {
            assert!((compound(text) - expected).abs() < 1e-9, "{text}: {}", compound(text));
        }
    }

    #[test]
    fn every_line_of_the_data_is_read() {
        assert_eq!(WORDS.lines().count(), VADER.words.values().filter(|word| word.valence.is_some()).count());
        assert_eq!(EMOJI.lines().count(), EMOJI_NAMES.len());
    }
}
