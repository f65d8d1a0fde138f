//! How hard it is to tell who is who.

use std::collections::{BTreeMap, HashMap};

use super::make;
use crate::generate::WorldSettings;

/// Half width, no outer spaces, lower case.
fn plain(text: &str) -> String {
    let half = |c: char| match c {
        '\u{3000}' => ' ',
        '！'..='～' => char::from_u32(c as u32 - 0xfee0).unwrap(),
        _ => c,
    };
    text.chars().map(half).collect::<String>().trim().to_lowercase()
}

fn email(text: &str) -> Option<String> {
    let text = plain(text);
    let (local, domain) = text.split_once('@')?;
    let good = !local.is_empty() && domain.contains('.') && !domain.contains('@') && !text.contains(' ');
    good.then_some(text)
}

fn phone(text: &str) -> Option<String> {
    let text = plain(text);
    if text.chars().any(|c| c.is_alphabetic()) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.strip_prefix("00").unwrap_or(&digits);
    let digits = if digits.len() == 13 { digits.strip_prefix("86").unwrap_or(digits) } else { digits };
    (11..=12).contains(&digits.len()).then(|| digits.to_string())
}

fn find(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

fn pairs(groups: impl Iterator<Item = (usize, usize)>) -> f64 {
    let mut sizes = BTreeMap::<_, u64>::new();
    groups.for_each(|group| *sizes.entry(group).or_default() += 1);
    sizes.values().map(|n| n * (n - 1) / 2).sum::<u64>() as f64
}

/// Pair precision and recall of joining records that share a normalised e-mail or phone; blocks of more than 20
/// accounts are ignored.
async fn exact_matching(seed: u64) -> (f64, f64) {
    let made = make(&WorldSettings { scale: 0.02, days: 60, seed, threads: 4, ..Default::default() }).await;
    let accounts = made.texts("truth/accounts", "account_id").into_iter().flatten();
    let number: HashMap<String, usize> =
        accounts.enumerate().map(|(index, account)| (account, index)).collect();
    let owners = made.longs("truth/accounts", "person_id");
    let ids = made.texts("raw/crm_customers", "account_id");
    let emails =
        made.texts("raw/crm_customers", "email").into_iter().map(|text| text.and_then(|text| email(&text)));
    let phones =
        made.texts("raw/crm_customers", "phone").into_iter().map(|text| text.and_then(|text| phone(&text)));
    let mut blocks = BTreeMap::<String, Vec<usize>>::new();
    for ((id, email), phone) in ids.iter().flatten().zip(emails).zip(phones) {
        for key in [email, phone].into_iter().flatten() {
            blocks.entry(key).or_default().push(number[id]);
        }
    }
    let mut parents: Vec<usize> = (0..owners.len()).collect();
    for block in blocks.values_mut() {
        block.sort_unstable();
        block.dedup();
        for other in &block[1..] {
            if block.len() <= 20 {
                let (a, b) = (find(&mut parents, block[0]), find(&mut parents, *other));
                parents[a] = b;
            }
        }
    }
    let clusters: Vec<usize> = (0..parents.len()).map(|node| find(&mut parents, node)).collect();
    let owner = |index: usize| owners[index] as usize;
    let said = pairs(clusters.iter().map(|cluster| (*cluster, 0)));
    let actual = pairs((0..owners.len()).map(|index| (owner(index), 0)));
    let both = pairs(clusters.iter().enumerate().map(|(index, cluster)| (*cluster, owner(index))));
    (both / said, both / actual)
}

#[tokio::test]
async fn exact_matching_is_neither_hopeless_nor_enough() {
    for seed in [42, 7] {
        let (precision, recall) = exact_matching(seed).await;
        let f1 = 2.0 * precision * recall / (precision + recall);
        assert!((0.62..0.78).contains(&f1), "seed {seed}: precision {precision} recall {recall} F1 {f1}");
        assert!(precision > 0.6 && precision < 0.95, "seed {seed}: precision {precision}");
        assert!(recall > 0.5 && recall < 0.85, "seed {seed}: recall {recall}");
    }
}
