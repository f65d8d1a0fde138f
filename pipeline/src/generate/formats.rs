//! The forms in which the systems and their users write names, e-mails, phones, dates and cities.

use chrono::NaiveDate;

use super::identity::{Address, Name, Phone};
use super::persons::System;
use super::rng::Draws;

/// ASCII letters, digits and signs as full-width characters; the space as the ideographic space.
pub fn full_width(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' ' => '\u{3000}',
            '!'..='~' => char::from_u32(c as u32 + 0xfee0).unwrap_or(c),
            _ => c,
        })
        .collect()
}

/// A name: Chinese as `王伟`, western as `John Smith`, at the tills `Smith, John`. Variants: spaces inside or around,
/// Latin letters for a Chinese name in either order and case, traditional characters, upper or lower case, full width.
pub fn name(draws: &mut Draws, name: &Name, system: System, western: bool, variant: bool) -> String {
    let (surname, given) = name.latin;
    if western {
        let usual = format!("{given} {surname}");
        return match (variant, system, draws.below(6)) {
            (false, System::Pos, _) | (true, _, 0) => format!("{surname}, {given}"),
            (false, ..) => usual,
            (true, _, 1) => usual.to_uppercase(),
            (true, _, 2) => usual.to_lowercase(),
            (true, _, 3) => format!("{given}  {surname} "),
            (true, _, 4) => full_width(&usual),
            (true, ..) => format!("{surname}, {}", given.to_uppercase()),
        };
    }
    let (family, own) = name.native;
    match (variant, draws.below(7)) {
        (false, _) => format!("{family}{own}"),
        (true, 0) => format!("{family} {own}"),
        (true, 1) => format!("{family}\u{3000}{own}"),
        (true, 2) => format!("{surname} {given}"),
        (true, 3) => format!("{given} {surname}").to_uppercase(),
        (true, 4) => format!(" {family}{own} "),
        (true, 5) => hanconv::s2t(format!("{family}{own}")),
        (true, _) => format!("{} {}", given.to_lowercase(), surname.to_lowercase()),
    }
}

/// A name with one character wrong.
pub fn typo(draws: &mut Draws, name: &str) -> String {
    let mut chars: Vec<char> = name.chars().collect();
    let place = 1 + draws.below(chars.len().saturating_sub(1) as u64) as usize;
    if let Some(c) = chars.get_mut(place) {
        *c = if c.is_ascii() {
            (b'a' + draws.below(26) as u8) as char
        } else {
            ['炜', '莹', '俊', '洋'][place % 4]
        };
    }
    chars.into_iter().collect()
}

/// An e-mail, usually in lower case. Variants: upper case, capitalised, spaces around it, full width.
pub fn email(draws: &mut Draws, email: &str, variant: bool) -> String {
    match (variant, draws.below(4)) {
        (false, _) => email.to_string(),
        (true, 0) => email.to_uppercase(),
        (true, 1) => format!("  {email} "),
        (true, 2) => full_width(email),
        (true, _) => email[..1].to_uppercase() + &email[1..],
    }
}

/// A text in place of an e-mail that is none: no or two at-signs, no name, no domain.
pub fn invalid_email(draws: &mut Draws, email: &str) -> String {
    let (local, domain) = email.split_once('@').unwrap_or((email, ""));
    match draws.below(5) {
        0 => format!("{local}.{domain}"),
        1 => format!("{local}@"),
        2 => format!("@{domain}"),
        3 => format!("{local}@@{domain}"),
        _ => format!("{local} at {domain}"),
    }
}

/// The shortest domain in which a slip can be told from another provider.
const LONG_DOMAIN: usize = "sina.com".len();

/// An address with a slip in its domain, two neighbouring letters swapped or the last one wrong; `None` where the domain
/// is a short one.
pub fn mistyped_email(draws: &mut Draws, email: &str) -> Option<String> {
    let (local, domain) = email.split_once('@').filter(|(_, domain)| domain.len() >= LONG_DOMAIN)?;
    let mut letters: Vec<u8> = domain.bytes().collect();
    match draws.below(2) {
        0 => letters.swap(1, 2),
        _ => *letters.last_mut()? = b'n',
    }
    Some(format!("{local}@{}", String::from_utf8_lossy(&letters)))
}

/// A phone: eleven digits on the web, dashes at the tills, `+86 138 0013 8000` in the app; foreign numbers always with
/// their country code. Variants: `+86`, `0086`, `(86)`, dashes, spaces, full width.
pub fn phone(draws: &mut Draws, phone: &Phone, system: System, variant: bool) -> String {
    let Phone { country, national } = phone;
    let cut = if *country == "86" { [3, 7] } else { [3, 6] };
    let (a, b, c) = (&national[..cut[0]], &national[cut[0]..cut[1]], &national[cut[1]..]);
    let usual = match (*country, system) {
        ("86", System::Web) => national.clone(),
        ("86", System::Pos) => format!("{a}-{b}-{c}"),
        (_, System::Web) => format!("+{country}{national}"),
        (_, System::Pos) => format!("00{country} {national}"),
        (_, System::App) => format!("+{country} {a} {b} {c}"),
    };
    match (variant, draws.below(6)) {
        (false, _) => usual,
        (true, 0) => format!("+{country}-{national}"),
        (true, 1) => format!("00{country}{national}"),
        (true, 2) => format!("(+{country}) {a} {b} {c}"),
        (true, 3) => full_width(&usual),
        (true, 4) => format!(" +{country} {a}-{b}-{c}"),
        (true, _) => format!("{usual} "),
    }
}

/// A text in place of a phone that is none: too short, too long, or with letters.
pub fn invalid_phone(draws: &mut Draws, phone: &Phone) -> String {
    match draws.below(5) {
        0 => "123".into(),
        1 => "0000000".into(),
        2 => phone.national[..6].into(),
        3 => format!("{}xx{}", &phone.national[..3], &phone.national[5..]),
        _ => format!("{0}{0}", phone.national),
    }
}

/// A date: `1985-03-12` on the web, `1985/03/12` at the tills, `1985年3月12日` in the app. Variants: `19850312`,
/// `1985.03.12`, `1985-3-12`, `Mar 12, 1985`, `12 March 1985`, full width. All can be told apart.
pub fn date(draws: &mut Draws, date: NaiveDate, system: System, variant: bool) -> String {
    let form = match (variant, system, draws.below(6)) {
        (false, System::Web, _) => "%Y-%m-%d",
        (false, System::Pos, _) => "%Y/%m/%d",
        (false, System::App, _) => "%Y年%-m月%-d日",
        (true, _, 0) => "%Y%m%d",
        (true, _, 1) => "%Y.%m.%d",
        (true, _, 2) => "%Y-%-m-%-d",
        (true, _, 3) => "%b %-d, %Y",
        (true, _, 4) => "%-d %B %Y",
        (true, ..) => return full_width(&date.format("%Y-%m-%d").to_string()),
    };
    date.format(form).to_string()
}

/// A text in place of a birth date that is none.
pub fn invalid_date(draws: &mut Draws, date: NaiveDate) -> String {
    match draws.below(5) {
        0 => "0000-00-00".into(),
        1 => date.format("%Y-13-%d").to_string(),
        2 => date.format("%Y-02-30").to_string(),
        3 => "unknown".into(),
        _ => date.format("%Y-%m-").to_string(),
    }
}

/// Man or woman, each system in its own code; variants use another system's.
pub fn gender(draws: &mut Draws, male: bool, system: System, variant: bool) -> &'static str {
    let code = if variant { draws.below(5) as usize } else { system as usize };
    let (man, woman) = [("M", "F"), ("男", "女"), ("male", "female"), ("Male", "Female"), ("m", "f")][code];
    if male { man } else { woman }
}

/// City and region, in Chinese on the web and at the tills, in English in the app; variants add `市` or change case.
pub fn city(draws: &mut Draws, address: &Address, system: System, variant: bool) -> (String, &'static str) {
    let native = address.city != address.city_english;
    let city = match (variant, draws.below(3)) {
        (false, _) if system == System::App => address.city_english.into(),
        (false, _) => address.city.into(),
        (true, 0) if native => format!("{}市", address.city),
        (true, 1) => address.city_english.to_uppercase(),
        (true, _) => format!(" {}", address.city_english),
    };
    (city, if system == System::App { address.region_english } else { address.region })
}

#[cfg(test)]
mod tests {
    use super::super::rng::Topic;
    use super::*;

    #[test]
    fn every_form_keeps_its_content() {
        let chinese = Phone { country: "86", national: "13800138000".into() };
        let born = NaiveDate::from_ymd_opt(1985, 3, 12).unwrap();
        for counter in 0..200 {
            let mut draws = Draws::new(1, Topic::Account, counter, 0);
            for system in [System::Web, System::Pos, System::App] {
                let digits: String = phone(&mut draws, &chinese, system, true)
                    .chars()
                    .map(|c| if ('０'..='９').contains(&c) { (c as u32 - 0xfee0) as u8 as char } else { c })
                    .filter(char::is_ascii_digit)
                    .collect();
                assert!(digits.ends_with("13800138000"), "{digits}");
                let text = date(&mut draws, born, system, true);
                assert!(text.contains("1985") || text.contains("１９８５"), "{text}");
                assert!(!invalid_email(&mut draws, "a@b.cn").is_empty());
            }
        }
        assert_eq!(full_width("a@1 b"), "ａ＠１\u{3000}ｂ");
    }
}
