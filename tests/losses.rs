//! What a loss of power or a careless hand took from a lake: named, and computed again. And who may read
//! what.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::project::{tiny, write};
use crate::support::world::{files, rows};
use crate::support::{fails, ok, run, text};

const RAW: &str = "-- What was sold.\n-- grain: id\n-- event_time: sold_at\n-- clock: true\n\
    create external table raw.sales (\n    id bigint,\n    customer varchar,\n    amount double,\n    pieces int,\n    \
    sold_at timestamp(6),\n    sale_date date\n)\nstored as csv\npartitioned by (sale_date)\nlocation 'raw/sales/'\n";

const STAGING: &str = "-- One row per sale.\n-- grain: sale_date, id\n-- store: daily\n-- day: sale_date\n\
    select\n    sale_date,\n    id,\n    customer,\n    cast(amount as decimal(18, 2)) as amount\nfrom raw.sales\n\
    where pieces < $large and amount * $rate < 1e9\n";

const CUSTOMERS: &str = "-- The customers.\n-- grain: customer\n-- store: table\n\
    select distinct customer from staging.sales\n";

const SPEND: &str = "-- What each customer spent.\n-- grain: as_of, customer\n-- store: table\n\
    select\n    s.customer,\n    $as_of as as_of,\n    sum(s.amount) as amount\nfrom staging.sales as s\n\
    inner join staging.customers as c on s.customer = c.customer\ngroup by s.customer\n";

/// Three days of sales, a stage of days, one that is kept whole, and a published one.
struct Shop {
    project: tempfile::TempDir,
    lake: tempfile::TempDir,
}

impl Shop {
    fn open() -> Shop {
        let project = tiny(&[
            ("raw/sales.sql", RAW),
            ("staging/sales.sql", STAGING),
            ("staging/customers.sql", CUSTOMERS),
            ("segments/spend.sql", SPEND),
        ]);
        let lake = tempfile::tempdir().unwrap();
        for (day, customer) in [("2025-01-01", "ann"), ("2025-01-02", "bob"), ("2025-01-03", "ann")] {
            let sale = format!("id,customer,amount,pieces,sold_at\n1,{customer},10.50,2,{day}T10:00:00\n");
            write(lake.path(), &[(&format!("raw/sales/sale_date={day}/a.csv"), &sale)]);
        }
        Shop { project, lake }
    }

    /// A run, and what it said.
    fn run(&self, as_of: &str) -> String {
        let args = ["--project", text(self.project.path()), "--lake", text(self.lake.path())];
        let output = run(&[&["run", "--as-of", as_of], &args[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    fn spend(&self) -> Vec<serde_json::Value> {
        rows(self.lake.path(), "select as_of, customer, amount from spend order by 1, 2")
    }

    /// The last file below a folder of the lake that ends so.
    fn newest(&self, folder: &str, ending: &str) -> PathBuf {
        let found =
            files(&self.lake.path().join(folder)).into_iter().rfind(|file| text(file).ends_with(ending));
        found.unwrap_or_else(|| panic!("no {ending} below {folder}"))
    }

    fn relative<'a>(&self, file: &'a Path) -> &'a str {
        text(file.strip_prefix(self.lake.path()).unwrap())
    }
}

fn cut(file: &Path) {
    let content = std::fs::read(file).unwrap();
    std::fs::write(file, &content[..content.len() / 2]).unwrap();
}

fn empty(file: &Path) {
    std::fs::write(file, "").unwrap();
}

fn remove(file: &Path) {
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_lost_result_is_named_and_computed_again() {
    let shop = Shop::open();
    shop.run("2025-01-04");
    let spend = shop.spend();
    let sales = |shop: &Shop| {
        rows(shop.lake.path(), "select sale_date, customer, amount from staging.sales order by 1")
    };
    let before = sales(&shop);
    assert_eq!((spend.len(), before.len()), (2, 3));
    let results = [
        "staging/sales/manifests",
        "staging/sales/data",
        "staging/customers/manifests",
        "staging/customers/data",
    ];
    let mut damaged: Vec<(String, &str)> = results
        .map(|folder| {
            (format!("stages/{folder}"), if folder.ends_with("data") { ".parquet" } else { ".json" })
        })
        .into();
    damaged.push(("stages/segments/spend/manifests".into(), ".json"));
    damaged.push(("published/spend/data".into(), ".parquet"));
    for (folder, ending) in damaged {
        for damage in [cut, empty, remove] {
            let file = shop.newest(&folder, ending);
            damage(&file);
            let gone = !file.exists() && ending == ".json";
            let said = shop.run("2025-01-04");
            assert!(
                gone || said.contains(shop.relative(&file)),
                "{} is not named in:\n{said}",
                file.display()
            );
            assert_eq!(shop.spend(), spend, "after the loss of {}", file.display());
            assert_eq!(sales(&shop), before, "after the loss of {}", file.display());
            // and it is whole again
            let said = shop.run("2025-01-04");
            assert!(!said.contains("WARN"), "{said}");
        }
    }
}

#[test]
fn a_lost_manifest_of_a_run_stops_no_later_run_and_loses_no_published_row() {
    for damage in [cut, empty, remove] {
        let (shop, undisturbed) = (Shop::open(), Shop::open());
        for day in ["2025-01-02", "2025-01-03", "2025-01-04"] {
            shop.run(day);
            undisturbed.run(day);
        }
        // of the last two runs
        for epoch in [2, 3] {
            damage(&shop.lake.path().join(format!("stages/_runs/{epoch:010}.json")));
        }
        assert_eq!(shop.spend(), undisturbed.spend());
        let said = shop.run("2025-01-05");
        undisturbed.run("2025-01-05");
        assert!(said.contains("the manifest of run") && said.contains("(epoch 3) is lost"), "{said}");
        assert!(said.contains("the models of epoch 1"), "{said}");
        assert_eq!(shop.spend(), undisturbed.spend());
        assert!(!shop.run("2025-01-05").contains("WARN"));
    }
}

#[test]
fn a_lost_commit_is_named_and_hides_no_row_in_silence() {
    let second = "published/spend/_delta_log/00000000000000000001.json";
    let newest = "published/spend/_delta_log/00000000000000000002.json";
    for (damage, commit, lost) in [
        (empty as fn(&Path), second, &["2025-01-03", "2025-01-04"][..]),
        (remove, second, &["2025-01-03", "2025-01-04"]),
        (cut, second, &["2025-01-03", "2025-01-04"]),
        (empty, newest, &["2025-01-04"]),
        (remove, newest, &["2025-01-04"]),
        (cut, newest, &["2025-01-04"]),
    ] {
        let (shop, undisturbed) = (Shop::open(), Shop::open());
        for day in ["2025-01-02", "2025-01-03", "2025-01-04"] {
            shop.run(day);
            undisturbed.run(day);
        }
        // Delta itself takes an empty commit for one of nothing
        damage(&shop.lake.path().join(commit));
        let query = ["sql", "--lake", text(shop.lake.path()), "select count(*) from spend"];
        let said = fails(1, &query);
        assert!(said.contains(commit) && said.contains("help: "), "{said}");
        let gc =
            ["gc", "--lake", text(shop.lake.path()), "--keep-runs", "1", "--grace-hours", "0", "--delete"];
        let output = run(&gc);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains(commit), "{said}");
        let said = shop.run("2025-01-05");
        undisturbed.run("2025-01-05");
        for lost in lost {
            assert!(said.lines().any(|line| line.contains(commit) && line.contains(lost)), "{lost}: {said}");
        }
        let lost_rows = 2 * lost.len();
        assert_eq!(shop.spend().len(), undisturbed.spend().len() - lost_rows, "{commit}: {said}");
        for day in lost {
            let said = shop.run(day);
            assert!(!said.contains("WARN"), "{said}");
            undisturbed.run(day);
        }
        assert_eq!(shop.spend(), undisturbed.spend());
    }
}

#[test]
fn a_table_without_a_readable_version_begins_again() {
    for damage in [cut, empty, remove] {
        for runs in [1, 3] {
            let shop = Shop::open();
            for day in ["2025-01-02", "2025-01-03", "2025-01-04"].iter().take(runs) {
                shop.run(day);
            }
            let commit = "published/spend/_delta_log/00000000000000000000.json";
            damage(&shop.lake.path().join(commit));
            let said = shop.run("2025-01-05");
            assert!(said.contains("published table `spend` is gone"), "{said}");
            let days = rows(shop.lake.path(), "select distinct as_of from spend");
            assert_eq!(days.len(), 1, "{said}");
            assert!(!shop.run("2025-01-06").contains("WARN"));
            assert_eq!(rows(shop.lake.path(), "select distinct as_of from spend").len(), 2);
        }
    }
}

#[test]
fn a_run_whose_row_is_lost_does_not_count_and_stops_no_other() {
    for damage in [cut, empty, remove] {
        let shop = Shop::open();
        for day in ["2025-01-02", "2025-01-03", "2025-01-04"] {
            shop.run(day);
        }
        let commit = "published/runs/_delta_log/00000000000000000001.json";
        damage(&shop.lake.path().join(commit));
        let output = run(&["sql", "--lake", text(shop.lake.path()), "select epoch from runs order by epoch"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(commit) || said.contains("the next `strata run` mends"), "{said}");
        shop.run("2025-01-05");
        let runs = rows(shop.lake.path(), "select epoch from runs order by epoch");
        let epochs: Vec<i64> = runs.iter().map(|run| run["epoch"].as_i64().unwrap()).collect();
        assert_eq!(epochs, [1, 3, 4]);
        assert!(!shop.run("2025-01-06").contains("WARN"));
    }
}

#[test]
fn with_its_locks_removed_a_lake_keeps_all_runs() {
    let shop = Shop::open();
    shop.run("2025-01-03");
    shop.run("2025-01-04");
    std::fs::remove_dir_all(shop.lake.path().join("locks")).unwrap();
    shop.run("2025-01-05");
    let runs = rows(shop.lake.path(), "select epoch from runs order by epoch");
    let epochs: Vec<i64> = runs.iter().map(|run| run["epoch"].as_i64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 3]);
    assert_eq!(files(&shop.lake.path().join("stages/_runs")).len(), 3);
}

/// The permissions of a file or folder for group and others.
fn others(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o077
}

#[test]
fn stage_results_are_their_owners_and_published_tables_are_not() {
    let shop = Shop::open();
    shop.run("2025-01-04");
    assert_eq!(others(&shop.lake.path().join("stages")), 0);
    // whatever the mask of this process leaves to others
    let usual = shop.lake.path().join("usual");
    std::fs::create_dir(&usual).unwrap();
    assert_eq!(others(&shop.lake.path().join("published")), others(&usual));
    write(shop.lake.path(), &[("usual/file", "")]);
    let table = shop.newest("published/spend", ".parquet");
    assert_eq!(others(&table), others(&usual.join("file")));
}

#[test]
fn a_world_is_not_written_over_anything_else() {
    let lake = tempfile::tempdir().unwrap();
    let world = ["generate", "--lake", text(lake.path()), "--scale", "0.0005", "--days", "3"];
    ok(&world);
    assert_eq!(others(&lake.path().join("truth")), 0);
    let made = files(lake.path());
    ok(&world);
    assert_eq!(files(lake.path()), made);
    let said = fails(2, &[&world[..], &["--seed", "8"]].concat());
    assert!(said.contains("seed 42 (not 8)") && said.contains("nothing was written"), "{said}");
    let said = fails(2, &["demo", "--lake", text(lake.path())]);
    assert!(said.contains("days 3 (not 365)") && said.contains("--lake"), "{said}");

    let shop = Shop::open();
    let before = files(shop.lake.path());
    for command in ["generate", "demo"] {
        let said = fails(2, &[command, "--lake", text(shop.lake.path())]);
        assert!(said.contains("raw/sales/sale_date=2025-01-0"), "{said}");
    }
    assert_eq!(files(shop.lake.path()), before);
}
