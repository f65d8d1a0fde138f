//! `latin_name`: a person's name in Latin letters, so that all its forms compare.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use pinyin::ToPinyin;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::normalize_name_into;
use crate::args::{evaluate, expect_arity, map_text, text_column, text_type};

/// Chinese surnames of two characters.
const COMPOUND_SURNAMES: [&str; 20] = [
    "欧阳", "司马", "上官", "诸葛", "司徒", "皇甫", "夏侯", "东方", "尉迟", "公孙", "慕容", "令狐", "宇文",
    "长孙", "司空", "端木", "南宫", "独孤", "轩辕", "百里",
];

/// Characters that sound otherwise in a surname than elsewhere.
const SURNAME_SOUNDS: [(char, &str); 16] = [
    ('曾', "zeng"),
    ('单', "shan"),
    ('解', "xie"),
    ('仇', "qiu"),
    ('任', "ren"),
    ('区', "ou"),
    ('查', "zha"),
    ('朴', "piao"),
    ('覃', "qin"),
    ('翟', "zhai"),
    ('盖', "ge"),
    ('缪', "miao"),
    ('乐', "yue"),
    ('尉', "yu"),
    ('长', "zhang"),
    ('宁', "ning"),
];

#[user_doc(
    doc_section(label = "Text"),
    description = "A person's name in Latin letters, under which its forms in all scripts and orders compare: as `normalize_name` has it, Chinese characters in pinyin without tones (surname and given name a word each, ü as yu), marks on letters left out, hyphens and apostrophes too, and the words in alphabetical order. Scripts other than these stay. NULL when nothing remains.",
    syntax_example = "latin_name(text)",
    sql_example = "```sql\nselect latin_name('王小明'), latin_name('XIAOMING Wang'), latin_name('Smith, John');\n-- 'wang xiaoming', 'wang xiaoming', 'john smith'\n```",
    argument(name = "text", description = "A name as typed; NULL gives NULL."),
    related_udf(name = "normalize_name")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct LatinName {
    signature: Signature,
}

impl Default for LatinName {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LatinName {
    fn name(&self) -> &str {
        "latin_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let (mut folded, mut name) = (String::new(), String::new());
            let names = map_text(&text_column(&args, 0, rows)?, |_, text, out| {
                normalize_name_into(text, &mut folded, &mut name) && latin_name_into(&name, out)
            })?;
            Ok(Arc::new(names))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Writes the Latin form of a name that is in its normal form into `out`; false when nothing remains.
fn latin_name_into(name: &str, out: &mut String) -> bool {
    let mut words: Vec<String> = Vec::new();
    for word in name.split([' ', ',', '·', '.']) {
        let mut latin = String::new();
        // a point parts names of other peoples, which are written by their sounds
        let rest = match surname(word).filter(|_| !name.contains('·')) {
            Some((surname, rest)) => {
                let sound = |c: char| SURNAME_SOUNDS.iter().find(|(known, _)| *known == c);
                for c in surname.chars() {
                    match sound(c) {
                        Some((_, sound)) => latin.push_str(sound),
                        None => push(c, &mut latin),
                    }
                }
                words.push(std::mem::take(&mut latin));
                rest
            }
            None => word,
        };
        rest.chars().for_each(|c| push(c, &mut latin));
        words.push(latin);
    }
    words.retain(|word| !word.is_empty());
    words.sort_unstable();
    out.clear();
    for (place, word) in words.iter().enumerate() {
        if place > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
    !out.is_empty()
}

/// Surname and given name of a word of two to four Chinese characters.
fn surname(word: &str) -> Option<(&str, &str)> {
    let chars = word.chars().count();
    if !(2..=4).contains(&chars) || !word.chars().all(|c| c.to_pinyin().is_some()) {
        return None;
    }
    let compound = chars > 2 && COMPOUND_SURNAMES.iter().any(|surname| word.starts_with(surname));
    let (end, _) = word.char_indices().nth(if compound { 2 } else { 1 })?;
    Some(word.split_at(end))
}

/// Writes a character in Latin letters; what is neither letter nor digit is left out.
fn push(c: char, out: &mut String) {
    if let Some(sound) = c.to_pinyin() {
        let mut before = ' ';
        for letter in sound.plain().chars() {
            match letter {
                'ü' | 'v' if matches!(before, 'l' | 'n') => out.push_str("yu"),
                'ü' | 'v' => out.push('u'),
                letter => out.push(letter),
            }
            before = letter;
        }
    } else if c.is_ascii() {
        out.extend(c.is_ascii_alphanumeric().then_some(c));
    } else {
        out.extend(c.nfd().filter(|c| c.is_alphanumeric() && !is_combining_mark(*c)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latin(text: &str) -> Option<String> {
        let (mut folded, mut name, mut out) = (String::new(), String::new(), String::new());
        (normalize_name_into(text, &mut folded, &mut name) && latin_name_into(&name, &mut out)).then_some(out)
    }

    #[test]
    fn forms_of_one_name_agree() {
        for (forms, expected) in [
            (&["王小明", "王 小明", "Wang Xiaoming", "XIAOMING WANG", "王小明先生"][..], "wang xiaoming"),
            (&["欧阳娜", "Ouyang Na", "na ouyang"], "na ouyang"),
            (&["吕军", "Lyu Jun", "JUN LYU"], "jun lyu"),
            (&["曾强", "Zeng Qiang"], "qiang zeng"),
            (&["John Smith", "Smith, John", "Ｓｍｉｔｈ， ＪＯＨＮ", "Mr. John Smith"], "john smith"),
            (&["José O'Brien-Núñez", "Jose OBrienNunez"], "jose obriennunez"),
            (&["买买提·艾力", "买买提・艾力"], "aili maimaiti"),
        ] {
            for form in forms {
                assert_eq!(latin(form).as_deref(), Some(expected), "{form}");
            }
        }
        assert_eq!(latin(" - "), None);
    }
}
