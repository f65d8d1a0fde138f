//! The language of a text, by its letters and commonest words.

use std::fmt;
use std::sync::LazyLock;

use hashbrown::HashSet;

use super::aspects::is_english_term;
use super::vader::VADER;

/// A language that texts are read in, or any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Of simplified or traditional characters.
    Chinese,
    English,
    /// Any other, or none that can be told.
    Other,
}

impl Language {
    /// `zh`, `en` or `other`.
    pub fn name(self) -> &'static str {
        match self {
            Language::Chinese => "zh",
            Language::English => "en",
            Language::Other => "other",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The commonest words of English.
const ENGLISH: &str = "the a an and or of to in is it this that was are be for with on as at by i my we they you he she \
    not but so very too from have has had do does did will would can could just than then when what which all no only \
    after before about there here";
/// The commonest words of other languages in Latin letters (Spanish, French, German, Italian, Portuguese, Dutch), without those
/// that English has too.
const OTHERS: &str = "de la el los las un una que y en es muy con por para del se lo le les des est et pas une je il tr\u{e8}s \
    bien au du sur pour avec qui der die das und ist nicht ich ein eine zu den von mit sehr auf f\u{fc}r im di che non per sono \
    molto della n\u{e3}o uma os um muito com het een van niet zeer dat goed ik gut bon mais pero mas ma aber maar sch\u{f6}n";

static WORDS: LazyLock<[HashSet<&'static str>; 2]> =
    LazyLock::new(|| [ENGLISH, OTHERS].map(|words| words.split_whitespace().collect()));

/// Han characters.
pub(super) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Letters of Japanese and Korean that Chinese does not use.
fn is_kana_or_hangul(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{AC00}'..='\u{D7A3}' | '\u{1100}'..='\u{11FF}')
}

/// The language of a text. Chinese: no fewer Han characters than words in Latin letters, and no letters of Japanese or Korean.
/// English: more words that English commonly uses, or that tell of goods and feelings in it, than common ones of other languages
/// or with letters that English lacks. Anything else, and a text without letters, is another.
pub fn language(text: &str) -> Language {
    if text.is_ascii() {
        return latin(text);
    }
    let han = text.chars().filter(|c| is_han(*c)).count();
    if text.chars().any(is_kana_or_hangul) {
        return Language::Other;
    }
    let words = text.split(|c: char| !c.is_alphabetic() || is_han(c)).filter(|word| !word.is_empty()).count();
    if han > 0 && han >= words { Language::Chinese } else { latin(text) }
}

fn latin(text: &str) -> Language {
    let [english, others] = &*WORDS;
    let (mut here, mut there) = (0, 0);
    let mut lower = String::new();
    for word in text.split(|c: char| !c.is_alphabetic() && c != '\'').filter(|word| !word.is_empty()) {
        lower.clear();
        lower.extend(word.chars().flat_map(char::to_lowercase));
        if others.contains(lower.as_str()) || !word.is_ascii() {
            there += 1;
        } else if english.contains(lower.as_str()) || VADER.rates(&lower) || is_english_term(&lower) {
            here += 1;
        }
    }
    if here > there { Language::English } else { Language::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_by_letters_and_words() {
        for (text, expected) in [
            ("质量很好", "zh"),
            ("質量很好，推薦", "zh"),
            ("iPhone 很好用", "zh"),
            ("the quality is fine", "en"),
            ("great price", "en"),
            ("Fits perfectly :)", "en"),
            ("bought at 天猫 and it is fine", "en"),
            ("Customer: Hello, normal price", "en"),
            ("la calidad es muy buena", "other"),
            ("Die Qualität ist nicht gut", "other"),
            ("très bien, je recommande", "other"),
            ("とても良いです", "other"),
            ("좋아요", "other"),
            ("Отлично", "other"),
            ("12345 !!!", "other"),
            ("", "other"),
        ] {
            assert_eq!(language(text).name(), expected, "{text}");
        }
    }
}
