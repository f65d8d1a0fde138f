//! Tells the crate the locked versions of packages that decide results and do not name their version
//! themselves.

const PACKAGES: [&str; 6] =
    ["hanconv", "jieba-rs", "parquet", "pinyin", "rlibphonenumber", "unicode-normalization"];

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=../Cargo.lock");
    println!("cargo:rerun-if-changed=../sql");
    let lock = std::fs::read_to_string("../Cargo.lock")?;
    let value = |block: &str, key: &str| {
        let line =
            block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ").map(str::to_string));
        line.map(|quoted| quoted.trim_matches('"').to_string()).unwrap_or_default()
    };
    let mut locked: Vec<String> = lock
        .split("[[package]]")
        .map(|block| (value(block, "name"), value(block, "version")))
        .filter(|(name, _)| PACKAGES.contains(&name.as_str()))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    locked.sort();
    println!("cargo:rustc-env=STRATA_LOCKED={}", locked.join(","));
    Ok(())
}
