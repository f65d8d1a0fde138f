//! `split_address`: a postal address in its parts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::fold_width_into;
use super::normalize_name::is_cjk;
use crate::args::{evaluate, expect_arity, nullable_fields, text_column, text_type};

/// Names of the parts, in the order of the result.
const PARTS: [&str; 5] = ["province", "city", "district", "street", "postcode"];

/// Divisions of the first level: the short name and what the full name adds (GB/T 2260).
const PROVINCES: [(&str, &str); 34] = [
    ("北京", "市"),
    ("天津", "市"),
    ("上海", "市"),
    ("重庆", "市"),
    ("河北", "省"),
    ("山西", "省"),
    ("辽宁", "省"),
    ("吉林", "省"),
    ("黑龙江", "省"),
    ("江苏", "省"),
    ("浙江", "省"),
    ("安徽", "省"),
    ("福建", "省"),
    ("江西", "省"),
    ("山东", "省"),
    ("河南", "省"),
    ("湖北", "省"),
    ("湖南", "省"),
    ("广东", "省"),
    ("海南", "省"),
    ("四川", "省"),
    ("贵州", "省"),
    ("云南", "省"),
    ("陕西", "省"),
    ("甘肃", "省"),
    ("青海", "省"),
    ("台湾", "省"),
    ("内蒙古", "自治区"),
    ("广西", "壮族自治区"),
    ("西藏", "自治区"),
    ("宁夏", "回族自治区"),
    ("新疆", "维吾尔自治区"),
    ("香港", "特别行政区"),
    ("澳门", "特别行政区"),
];
/// Divisions of the first level that are cities of their own.
const MUNICIPALITIES: [&str; 4] = ["北京", "天津", "上海", "重庆"];
const COUNTRY: [&str; 2] = ["中华人民共和国", "中国"];
const CITY_ENDS: [&str; 4] = ["自治州", "地区", "盟", "市"];
const DISTRICT_ENDS: [&str; 6] = ["自治县", "自治旗", "区", "县", "旗", "市"];
/// What a name of a city or district does not hold: from here on it is a street.
const STREET_SIGNS: &str = "路街道巷弄号村镇乡里栋楼室屯组0123456789";
/// Quarters that end like districts and are none.
const QUARTERS: [&str; 5] = ["小区", "社区", "园区", "校区", "院区"];
/// The longest name of a city or district, in characters.
const LONGEST_NAME: usize = 12;
/// Beginnings of a piece that names a part of a house.
const UNITS: [&str; 9] = ["apt", "apartment", "unit", "suite", "ste", "flat", "floor", "room", "#"];
/// Last pieces that name a country.
const COUNTRIES: [&str; 14] = [
    "usa",
    "us",
    "u.s.a.",
    "united states",
    "united states of america",
    "uk",
    "u.k.",
    "united kingdom",
    "great britain",
    "australia",
    "canada",
    "germany",
    "france",
    "singapore",
];

#[user_doc(
    doc_section(label = "Text"),
    description = "Splits a postal address into a struct of `province`, `city`, `district`, `street` (the rest, down to the flat) and `postcode`, usual widths. Chinese addresses are read from the front by the names and endings of their divisions, a province by its short name too, and given by its full one; a municipality is province and city. Others are read from the back, at commas: country (left out), state and postcode, city. Parts that are not told apart stay in `street`; parts that are not there are NULL.",
    syntax_example = "split_address(text)",
    sql_example = "```sql\nselect split_address('浙江杭州市西湖区文三路100号')['city'];  -- '杭州市'\nselect split_address('12 Oak Street, Apt 4, Springfield, IL 62701')['postcode'];  -- '62701'\n```",
    argument(name = "text", description = "An address as typed; NULL gives NULL."),
    related_udf(name = "fold_width")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SplitAddress {
    signature: Signature,
}

impl Default for SplitAddress {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn part_fields() -> Fields {
    nullable_fields(&PARTS.map(|name| (name, DataType::Utf8)))
}

impl ScalarUDFImpl for SplitAddress {
    fn name(&self) -> &str {
        "split_address"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(part_fields()))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| Ok(Arc::new(split_addresses(&text_column(&args, 0, rows)?)?) as ArrayRef))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn split_addresses(texts: &StringArray) -> Result<StructArray> {
    let mut columns: [StringBuilder; 5] = std::array::from_fn(|_| StringBuilder::new());
    let mut folded = String::new();
    for text in texts {
        let parts = match text {
            Some(text) => split(text, &mut folded),
            None => Parts::default(),
        };
        let values = [parts.province, parts.city, parts.district, parts.street, parts.postcode];
        for (column, value) in columns.iter_mut().zip(values) {
            column.append_option(Some(value).filter(|value| !value.is_empty()));
        }
    }
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    Ok(StructArray::try_new(part_fields(), columns, texts.nulls().cloned())?)
}

/// The parts of an address; one that is not there is empty.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    province: String,
    city: String,
    district: String,
    street: String,
    postcode: String,
}

fn split(text: &str, folded: &mut String) -> Parts {
    fold_width_into(text, folded);
    if folded.contains(is_cjk) { chinese(folded) } else { western(folded) }
}

fn chinese(text: &str) -> Parts {
    let written: String = text.chars().filter(|c| !matches!(c, ' ' | ',' | '，' | '、' | '-')).collect();
    let (written, postcode) = without_postcode(&written);
    let mut rest = written;
    for country in COUNTRY {
        rest = rest.strip_prefix(country).unwrap_or(rest);
    }
    let mut parts = Parts { postcode, ..Parts::default() };
    if let Some((short, full, after)) = province(rest) {
        parts.province = full;
        rest = after;
        if MUNICIPALITIES.contains(&short) {
            parts.city.clone_from(&parts.province);
            for again in [parts.city.as_str(), "市辖区"] {
                rest = rest.strip_prefix(again).unwrap_or(rest);
            }
        }
    }
    if parts.city.is_empty()
        && let Some((city, after)) = division(rest, &CITY_ENDS)
    {
        (parts.city, rest) = (city.into(), after);
    }
    if let Some((district, after)) = division(rest, &DISTRICT_ENDS) {
        (parts.district, rest) = (district.into(), after);
    }
    parts.street = rest.into();
    parts
}

/// The address without six digits at its end or beginning, and these.
fn without_postcode(text: &str) -> (&str, String) {
    let trimmed = text.trim_end_matches([')', '）']);
    let digits = trimmed.bytes().rev().take_while(u8::is_ascii_digit).count();
    if digits == 6 {
        let (before, postcode) = trimmed.split_at(trimmed.len() - 6);
        let before = before.trim_end_matches(['(', '（', ':', '：']);
        let before = before.strip_suffix("邮编").or(before.strip_suffix("邮政编码")).unwrap_or(before);
        return (before.trim_end_matches(['(', '（']), postcode.into());
    }
    if text.bytes().take_while(u8::is_ascii_digit).count() == 6 {
        return (&text[6..], text[..6].into());
    }
    (text, String::new())
}

/// Short and full name of the province with which a text begins, and what follows.
fn province(text: &str) -> Option<(&'static str, String, &str)> {
    let (short, more) = PROVINCES.iter().find(|(short, _)| text.starts_with(short))?;
    let rest = &text[short.len()..];
    let after =
        rest.strip_prefix(more).or_else(|| rest.strip_prefix(if *more == "市" { "市" } else { "省" }));
    if let Some(after) = after {
        return Some((short, format!("{short}{more}"), after));
    }
    // a short name is that of a street too, as in 北京路 or 南京东路
    let next: String = rest.chars().take(2).collect();
    let street = next.chars().any(|c| "路街道大".contains(c));
    (!street && !rest.is_empty()).then(|| (*short, format!("{short}{more}"), rest))
}

/// The name of a city or district with which a text begins, and what follows: up to the first ending, which is no
/// street's and has something before it.
fn division<'a>(text: &'a str, ends: &[&str]) -> Option<(&'a str, &'a str)> {
    for (place, (at, c)) in text.char_indices().enumerate() {
        if place >= LONGEST_NAME || STREET_SIGNS.contains(c) {
            return None;
        }
        let Some(end) = ends.iter().find(|end| text[at..].starts_with(**end)).filter(|_| place > 0) else {
            continue;
        };
        let (name, rest) = text.split_at(at + end.len());
        if QUARTERS.iter().any(|quarter| name.ends_with(quarter)) {
            return None;
        }
        // 市 may be within a name, as in 沙市区
        if *end == "市" && rest.starts_with(['区', '县']) {
            continue;
        }
        return Some((name, rest));
    }
    None
}

fn western(text: &str) -> Parts {
    let mut pieces: Vec<&str> =
        text.split([',', ';', '\n']).map(str::trim).filter(|p| !p.is_empty()).collect();
    let mut parts = Parts::default();
    if pieces.len() > 1 && pieces.last().is_some_and(|p| COUNTRIES.contains(&p.to_lowercase().as_str())) {
        pieces.pop();
    }
    if pieces.len() > 1
        && let Some(last) = pieces.pop_if(|last| !is_unit(last))
    {
        let (before, postcode) = postcode_behind(last);
        let (after, leading) = if postcode.is_empty() { postcode_before(last) } else { (last, "") };
        if !postcode.is_empty() {
            parts.postcode = postcode.into();
            match before {
                "" => {}
                before if is_state(before) => parts.province = before.into(),
                before => parts.city = before.into(),
            }
        } else if !leading.is_empty() {
            (parts.postcode, parts.city) = (leading.into(), after.into());
        } else if is_state(last) && pieces.len() > 1 {
            parts.province = last.into();
        } else {
            pieces.push(last);
        }
    }
    // where the last piece was the postcode alone, the state may stand before it
    if parts.province.is_empty() && pieces.len() > 2 && pieces.last().is_some_and(|piece| is_state(piece)) {
        parts.province = pieces.pop().unwrap_or_default().into();
    }
    let names_city = |piece: &&str| !piece.bytes().any(|b| b.is_ascii_digit()) && !is_unit(piece);
    if parts.city.is_empty() && pieces.len() > 1 && pieces.last().is_some_and(names_city) {
        parts.city = pieces.pop().unwrap_or_default().into();
    }
    parts.street = pieces.join(", ");
    parts
}

/// Two or three capitals, as states and provinces are written.
fn is_state(piece: &str) -> bool {
    (2..=3).contains(&piece.len()) && piece.bytes().all(|b| b.is_ascii_uppercase())
}

fn is_unit(piece: &str) -> bool {
    let lower = piece.to_lowercase();
    let begins =
        |unit: &str| lower.strip_prefix(unit).is_some_and(|rest| !rest.starts_with(char::is_alphabetic));
    UNITS.into_iter().any(begins)
}

/// A piece before its postcode, and that: one or two last words, such as `62701`, `62701-1234`, `SW1A 1AA`, `K1A 0B1`.
fn postcode_behind(piece: &str) -> (&str, &str) {
    let word_from = |end: usize| piece[..end].trim_end().rfind(' ').map_or(0, |space| space + 1);
    let last = word_from(piece.len());
    let is_zip = |word: &str| {
        let digits = word.replace('-', "");
        (4..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    };
    if is_zip(&piece[last..]) {
        return (piece[..last].trim_end(), &piece[last..]);
    }
    let two = if last == 0 { 0 } else { word_from(last) };
    for start in [two, last] {
        let code = &piece[start..];
        let letters = code.bytes().filter(u8::is_ascii_uppercase).count();
        let digits = code.bytes().filter(u8::is_ascii_digit).count();
        let inward = code.len() > 3 && code.ends_with(|c: char| c.is_ascii_alphanumeric());
        if inward && letters >= 2 && digits >= 2 && letters + digits + 1 >= code.len() && code.len() <= 8 {
            return (piece[..start].trim_end(), code);
        }
    }
    (piece, "")
}

/// A piece behind its postcode, and that: `10115 Berlin`.
fn postcode_before(piece: &str) -> (&str, &str) {
    match piece.split_once(' ') {
        Some((code, rest))
            if (4..=6).contains(&code.len())
                && code.bytes().all(|b| b.is_ascii_digit())
                && !rest.bytes().any(|b| b.is_ascii_digit())
                && !["street", "st", "road", "rd", "avenue", "ave"]
                    .contains(&rest.rsplit(' ').next().unwrap_or_default().to_lowercase().as_str()) =>
        {
            (rest.trim(), code)
        }
        _ => (piece, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> [String; 5] {
        let Parts { province, city, district, street, postcode } = split(text, &mut String::new());
        [province, city, district, street, postcode]
    }

    #[test]
    fn chinese_addresses() {
        for (text, expected) in [
            (
                "浙江省杭州市西湖区文三路100号3栋501室",
                ["浙江省", "杭州市", "西湖区", "文三路100号3栋501室", ""],
            ),
            ("中国 浙江 杭州市 西湖区 文三路１００号", ["浙江省", "杭州市", "西湖区", "文三路100号", ""]),
            ("北京市朝阳区建国路93号 100022", ["北京市", "北京市", "朝阳区", "建国路93号", "100022"]),
            ("上海市上海市浦东新区世纪大道1号", ["上海市", "上海市", "浦东新区", "世纪大道1号", ""]),
            ("200120 上海浦东新区世纪大道1号", ["上海市", "上海市", "浦东新区", "世纪大道1号", "200120"]),
            ("重庆市市辖区渝中区中山路5号", ["重庆市", "重庆市", "渝中区", "中山路5号", ""]),
            ("广西壮族自治区桂林市阳朔县西街8号", ["广西壮族自治区", "桂林市", "阳朔县", "西街8号", ""]),
            ("内蒙古呼和浩特市新城区", ["内蒙古自治区", "呼和浩特市", "新城区", "", ""]),
            ("云南省大理白族自治州大理市复兴路", ["云南省", "大理白族自治州", "大理市", "复兴路", ""]),
            ("湖北省荆州市沙市区北京路12号", ["湖北省", "荆州市", "沙市区", "北京路12号", ""]),
            ("浦东新区世纪大道12号3栋505室", ["", "", "浦东新区", "世纪大道12号3栋505室", ""]),
            ("江苏省昆山市前进路2号", ["江苏省", "昆山市", "", "前进路2号", ""]),
            ("北京路100号", ["", "", "", "北京路100号", ""]),
            ("南京东路3号", ["", "", "", "南京东路3号", ""]),
            ("阳光小区5栋", ["", "", "", "阳光小区5栋", ""]),
            ("深圳市南山区科技园 (邮编:518057)", ["", "深圳市", "南山区", "科技园", "518057"]),
        ] {
            assert_eq!(parts(text), expected.map(str::to_string), "{text}");
        }
    }

    #[test]
    fn western_addresses() {
        for (text, expected) in [
            (
                "12 Oak Street, Apt 4, Springfield, IL 62701",
                ["IL", "Springfield", "", "12 Oak Street, Apt 4", "62701"],
            ),
            (
                "12 Oak Street, Springfield, IL 62701-1234, USA",
                ["IL", "Springfield", "", "12 Oak Street", "62701-1234"],
            ),
            ("10 Downing Street, London SW1A 2AA, UK", ["", "London", "", "10 Downing Street", "SW1A 2AA"]),
            ("10 Downing Street, London, SW1A 2AA", ["", "London", "", "10 Downing Street", "SW1A 2AA"]),
            ("Friedrichstr. 100, 10117 Berlin", ["", "Berlin", "", "Friedrichstr. 100", "10117"]),
            ("111 Wellington St, Ottawa, ON K1A 0A9", ["ON", "Ottawa", "", "111 Wellington St", "K1A 0A9"]),
            ("5 George Street, Sydney, NSW, 2000", ["NSW", "Sydney", "", "5 George Street", "2000"]),
            ("33 High Street, Apt 505", ["", "", "", "33 High Street, Apt 505", ""]),
            ("33 High Street, Apt 1505", ["", "", "", "33 High Street, Apt 1505", ""]),
            ("33 High Street", ["", "", "", "33 High Street", ""]),
            ("1600 Main Street", ["", "", "", "1600 Main Street", ""]),
            ("", ["", "", "", "", ""]),
            (" , ;", ["", "", "", "", ""]),
        ] {
            assert_eq!(parts(text), expected.map(str::to_string), "{text}");
        }
    }

    #[test]
    fn odd_texts_lose_nothing_and_do_not_panic() {
        for text in
            ["市", "区县市", "省省省", "é, 12345", "12345", "A1 2B, ", "北京", "北京市", "，，", "中国"]
        {
            parts(text);
        }
        assert_eq!(parts("北京"), ["", "", "", "北京", ""].map(str::to_string));
    }
}
