//! Who a person is: name, birth date, e-mails, phones, address; and what a household shares.

use chrono::{Days, NaiveDate};

use super::names::{
    CITIES, DOMAINS, GIVEN, REGIONS, ROADS, STREETS, SURNAMES, WESTERN_CITIES, WESTERN_GIVEN,
    WESTERN_SURNAMES,
};
use super::persons::household;
use super::rng::{Draws, Topic};
use super::sessions::home_city;

/// A name in its own script and in Latin letters; for western people the two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Surname and given name as written at home.
    pub native: (&'static str, &'static str),
    /// Surname and given name in Latin letters.
    pub latin: (&'static str, &'static str),
}

/// A phone number that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// `86`, `1` or `44`.
    pub country: &'static str,
    /// Digits after the country code: 11 in China, else 10.
    pub national: String,
}

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Street, house and flat.
    pub street: String,
    /// City in its own script.
    pub city: &'static str,
    /// City in English.
    pub city_english: &'static str,
    /// Region in Chinese.
    pub region: &'static str,
    /// Region in English.
    pub region_english: &'static str,
}

/// What is true about a person.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Whether the name is western; then phones and address are, too.
    pub western: bool,
    /// Man or woman.
    pub male: bool,
    /// The name.
    pub name: Name,
    /// The birth date.
    pub birth: NaiveDate,
    /// First and second e-mail address, lower case.
    pub emails: [String; 2],
    /// First and second phone.
    pub phones: [Phone; 2],
    /// Present and former address.
    pub addresses: [Address; 2],
}

impl Identity {
    /// The identity of a person: a function of seed and number.
    pub fn draw(seed: u64, person: u32) -> Identity {
        let home = household(seed, person);
        let city = home_city(seed, home.head);
        let western = usize::from(city) >= CITIES.len();
        let mut draws = Draws::new(seed, Topic::Identity, u64::from(person), 0);
        let mut family = Draws::new(seed, Topic::Household, u64::from(home.head), 3);
        let male = draws.chance(0.5);
        let (inherited, own) = (family.next_u64(), draws.next_u64());
        let surname = if draws.chance(0.75) { inherited } else { own };
        let name = name(western, male, surname, draws.next_u64());
        let birth = NaiveDate::from_ymd_opt(1950, 1, 1).unwrap_or_default() + Days::new(draws.below(21_000));
        let emails = [email(&mut draws, &name, birth), email(&mut draws, &name, birth)];
        let phones = [phone(&mut draws, western), phone(&mut draws, western)];
        let other = if western { city } else { draws.below(CITIES.len() as u64) as u16 };
        let addresses = [address(&mut family, city), address(&mut draws, other)];
        Identity { western, male, name, birth, emails, phones, addresses }
    }
}

fn name(western: bool, male: bool, surname: u64, given: u64) -> Name {
    if western {
        let half = WESTERN_GIVEN.len() / 2;
        let given = WESTERN_GIVEN[given as usize % half + if male { 0 } else { half }];
        let name = (WESTERN_SURNAMES[surname as usize % WESTERN_SURNAMES.len()], given);
        return Name { native: name, latin: name };
    }
    let half = GIVEN.len() / 2;
    let given = GIVEN[given as usize % half + if male { 0 } else { half }];
    // the first surnames are by far the most frequent
    let unit = (surname >> 11) as f64 / (1u64 << 53) as f64;
    let surname = SURNAMES[(unit * unit * SURNAMES.len() as f64) as usize];
    Name { native: (surname.0, given.0), latin: (surname.1, given.1) }
}

/// The letters of a name that may stand in an e-mail address.
fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

fn email(draws: &mut Draws, name: &Name, birth: NaiveDate) -> String {
    let (surname, given) = (letters(name.latin.0), letters(name.latin.1));
    let digits = draws.below(90_000) + 10_000;
    let domain = draws.pick(&DOMAINS);
    match draws.below(5) {
        0 => format!("{given}.{surname}{digits}@{domain}"),
        1 => format!("{surname}{given}{digits}@{domain}"),
        2 => format!("{}{surname}{}_{}@{domain}", &given[..1], birth.format("%y%m%d"), digits % 100),
        3 => format!("{surname}_{given}{digits}@{domain}"),
        _ => format!("{}{digits}@{domain}", draws.below(90_000) + 10_000),
    }
}

/// First digits of Chinese mobile numbers.
const MOBILES: [&str; 12] =
    ["135", "136", "138", "139", "150", "158", "159", "176", "186", "187", "188", "199"];

fn phone(draws: &mut Draws, western: bool) -> Phone {
    if !western {
        let lead = draws.pick(&MOBILES);
        return Phone { country: "86", national: format!("{lead}{:08}", draws.below(100_000_000)) };
    }
    if draws.chance(0.4) {
        return Phone { country: "44", national: format!("73{:08}", draws.below(100_000_000)) };
    }
    let area = [212, 310, 415, 503, 617, 702, 808, 917][draws.below(8) as usize];
    Phone { country: "1", national: format!("{area}{:03}{:04}", 200 + draws.below(800), draws.below(10_000)) }
}

fn address(draws: &mut Draws, city: u16) -> Address {
    let (road, house, flat) = (draws.next_u64() as usize, 1 + draws.below(900), 101 + draws.below(2000));
    if let Some((city, city_english, region, districts)) = CITIES.get(usize::from(city)) {
        let district = districts[flat as usize % 2];
        let block = 1 + house % 20;
        let street = format!("{district}{}{house}号{block}栋{flat}室", ROADS[road % ROADS.len()]);
        let region_english =
            REGIONS.iter().find(|(name, _)| name == region).map_or("", |(_, english)| english);
        return Address { street, city, city_english, region, region_english };
    }
    let city = WESTERN_CITIES[(usize::from(city) - CITIES.len()) % WESTERN_CITIES.len()];
    let street = format!("{house} {}, Apt {flat}", STREETS[road % STREETS.len()]);
    let (region, region_english) = REGIONS[REGIONS.len() - 1];
    Address { street, city, city_english: city, region, region_english }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn contacts_are_personal_and_addresses_shared() {
        let people: Vec<Identity> = (0..2000).map(|person| Identity::draw(3, person)).collect();
        let emails: HashSet<&String> = people.iter().flat_map(|p| &p.emails).collect();
        assert!(emails.len() > 3990, "{}", emails.len());
        for (person, identity) in people.iter().enumerate() {
            let head = household(3, person as u32).head as usize;
            assert_eq!(identity.addresses[0], people[head].addresses[0]);
            assert_eq!(identity.western, people[head].western);
            assert_eq!(
                identity.phones[0].national.len(),
                if identity.phones[0].country == "86" { 11 } else { 10 }
            );
        }
    }
}
