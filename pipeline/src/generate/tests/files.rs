//! Which files there are, and that their rows never change unnoticed.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{Days, NaiveDate};
use sha2::{Digest, Sha256};

use super::{Made, decode, make};
use crate::generate::WorldSettings;

fn small() -> WorldSettings {
    WorldSettings { scale: 0.002, seed: 42, days: 30, threads: 4, ..Default::default() }
}

/// Number of rows, and the wrapping sum of the first 8 bytes of SHA-256 over each row's text, partition included.
fn checksum(made: &Made, table: &str) -> (u64, u64) {
    let options = FormatOptions::default().with_null("NULL");
    let (mut rows, mut sum) = (0, 0u64);
    for (path, bytes) in made.of(table) {
        let partition = path.split('/').find(|part| part.contains('=')).unwrap_or("");
        for batch in decode(bytes) {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let mut hash = Sha256::new();
                hash.update(partition);
                for column in &columns {
                    hash.update([0]);
                    hash.update(column.value(row).to_string());
                }
                let digest = hash.finalize();
                sum = sum.wrapping_add(u64::from_le_bytes(digest[..8].try_into().unwrap()));
            }
            rows += batch.num_rows() as u64;
        }
    }
    (rows, sum)
}

#[tokio::test]
async fn small_world_has_the_committed_checksums() {
    let expected: [(&str, u64, u64); 25] = [
        ("raw/crm_customers", 424, 10_946_160_437_876_129_497),
        ("raw/devices", 352, 6_552_658_810_924_107_646),
        ("raw/orders", 148, 8_858_801_160_969_921_037),
        ("raw/order_items", 328, 1_253_833_046_311_057_138),
        ("raw/products", 960, 12_320_908_361_206_920_680),
        ("raw/returns", 15, 11_365_408_574_678_808_641),
        ("raw/events", 3243, 5_322_049_690_343_891_134),
        ("raw/consents", 1205, 12_028_174_954_010_222_805),
        ("raw/campaigns", 5, 5_261_936_793_799_244_561),
        ("raw/messages", 204, 15_635_525_813_499_417_461),
        ("raw/social", 102, 12_362_792_342_427_414_115),
        ("raw/texts", 23, 8_886_865_769_238_792_062),
        ("raw/erasure_requests", 3, 11_197_816_584_043_696_039),
        ("raw/weather", 853, 3_666_226_443_914_559_493),
        ("raw/regions", 448, 6_596_370_486_452_429_945),
        ("raw/stores", 68, 6_895_380_979_647_881_029),
        ("truth/persons", 200, 12_598_404_444_192_974_799),
        ("truth/accounts", 421, 10_432_648_288_959_259_040),
        ("truth/devices", 386, 7_512_094_898_091_254_601),
        ("truth/traits", 200, 12_172_288_022_154_506_261),
        ("truth/texts", 23, 13_090_716_783_868_431_637),
        ("truth/shared_sessions", 26, 18_293_179_987_487_352_061),
        ("truth/ceilings", 52, 10_574_549_981_815_612_335),
        ("truth/rising_terms", 1, 8_896_796_181_720_952_481),
        ("truth/mess", 160, 4_685_451_474_618_514_725),
    ];
    let made = make(&small()).await;
    let found = expected.map(|(table, _, _)| {
        let (rows, sum) = checksum(&made, table);
        (table, rows, sum)
    });
    assert_eq!(found, expected, "the world changed: if that is meant, commit the new checksums");
    for (table, rows, _) in found {
        let name = table.strip_prefix("raw/").unwrap_or(table);
        assert_eq!(made.summary.tables[name].rows, rows, "summary of {table}");
    }
    assert_eq!(made.summary.total().files, made.files.len() as u64);
    assert_eq!(made.summary.total().bytes, made.files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
}

#[tokio::test]
async fn other_days_of_the_same_people() {
    let (first, other) = (make(&small()).await, make(&WorldSettings { days_seed: Some(9), ..small() }).await);
    for table in ["raw/products", "raw/stores", "raw/regions", "truth/persons", "truth/traits"] {
        assert_eq!(checksum(&first, table), checksum(&other, table), "{table}");
    }
    for table in ["raw/events", "raw/orders"] {
        assert_ne!(checksum(&first, table), checksum(&other, table), "{table}");
    }
    let same = make(&WorldSettings { days_seed: Some(small().seed), ..small() }).await;
    assert_eq!(checksum(&first, "raw/events"), checksum(&same, "raw/events"));
}

#[tokio::test]
async fn threads_change_nothing() {
    let one = make(&WorldSettings { threads: 1, days: 12, ..small() }).await;
    let five = make(&WorldSettings { threads: 5, days: 12, ..small() }).await;
    assert!(one.files == five.files);
}

#[tokio::test]
async fn arrivals_day_by_day_add_up_to_bulk() {
    let settings = WorldSettings { days: 14, ..small() };
    let bulk = make(&settings).await;
    let mut gathered = BTreeMap::new();
    for ranges in [0..1, 1..2, 2..9, 9..14] {
        let day = |n: u64| settings.start + Days::new(n);
        let arrived = Some(day(ranges.start)..day(ranges.end));
        let part = make(&WorldSettings { arrived, ..settings.clone() }).await;
        for (path, bytes) in part.files {
            let again = gathered.insert(path.clone(), bytes);
            assert!(again.is_none() || path.starts_with("truth/"), "{path} made twice");
        }
    }
    assert!(gathered == bulk.files);
}

#[tokio::test]
async fn rows_are_ingested_on_the_day_their_file_names() {
    let made = make(&small()).await;
    let mut delays = BTreeMap::<i64, u32>::new();
    for (path, bytes) in made.files.iter().filter(|(path, _)| path.starts_with("raw/")) {
        let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap();
        let arrived = date(&path.rsplit_once("arrived-").unwrap().1[..10]);
        for batch in decode(bytes) {
            let ingested =
                batch.column_by_name("ingested_at").unwrap().as_primitive::<TimestampMicrosecondType>();
            let local = |utc: i64| {
                NaiveDate::default()
                    + chrono::TimeDelta::days((utc + 28_800_000_000).div_euclid(86_400_000_000))
            };
            assert!(ingested.values().iter().all(|utc| local(*utc) == arrived), "{path}");
            assert!(ingested.values().is_sorted(), "{path}");
            let Some((_, partition)) = path.split_once("_date=") else { continue };
            let partition = date(&partition[..10]);
            *delays.entry((arrived - partition).num_days()).or_default() += 1;
            for column in ["event_time", "ordered_at", "returned_at", "logged_in_at", "sent_at", "written_at"]
            {
                let Some(times) = batch.column_by_name(column) else { continue };
                for utc in times.as_primitive::<TimestampMicrosecondType>().values() {
                    assert!(local(*utc) == partition || local(*utc) > arrived, "{path} {column}");
                }
            }
        }
    }
    assert_eq!(delays.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 4, 5, 10]);
}

#[tokio::test]
async fn size_follows_scale_and_days() {
    let made = make(&WorldSettings { scale: 0.01, days: 365, threads: 4, ..Default::default() }).await;
    let rows = |table: &str| made.summary.tables[table].rows as f64 / 1000.0;
    assert!((rows("events") - 200.0).abs() < 20.0, "events a person-year {}", rows("events"));
    assert!((rows("orders") - 10.0).abs() < 1.0, "orders a person-year {}", rows("orders"));
    assert!((1.9..2.6).contains(&(rows("order_items") / rows("orders"))), "lines {}", rows("order_items"));
    assert!((0.04..0.15).contains(&(rows("returns") / rows("orders"))), "returns {}", rows("returns"));
    assert!((1.6..2.4).contains(&rows("crm_customers")), "accounts a person {}", rows("crm_customers"));
}

#[tokio::test]
async fn large_worlds_come_in_chunks_of_persons() {
    let made = make(&WorldSettings { scale: 2.7, days: 1, threads: 4, ..Default::default() }).await;
    assert_eq!(made.summary.tables["truth/persons"].rows, 270_000);
    let paths: Vec<&str> = made.of("raw/events").map(|(path, _)| path).collect();
    let folder = "raw/events/event_date=2025-01-01/arrived-2025-01-01";
    assert_eq!(paths, [format!("{folder}-0000.parquet"), format!("{folder}-0001.parquet")]);
    assert_eq!(made.of("raw/products").count(), 1);
    let mut ids = made.longs("raw/orders", "order_id");
    let rows = ids.len();
    ids.sort_unstable();
    ids.dedup();
    let planted = made
        .texts("truth/mess", "kind")
        .iter()
        .filter(|kind| kind.as_deref() == Some("duplicate_order"))
        .count();
    assert_eq!(ids.len() + planted, rows);
}
