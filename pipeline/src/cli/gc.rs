//! `strata gc`: removes what no kept run needs.

use std::fmt::Write;

use chrono::{Duration, Utc};

use super::LakeArgs;
use super::print::print;
use super::run::LockArgs;
use crate::engine::{Engine, EngineOptions};
use crate::lake::Lock;
use crate::run::{Garbage, Retention};
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct GcArgs {
    #[command(flatten)]
    lake: LakeArgs,
    /// Keep this many of the newest runs.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    keep_runs: u32,
    /// Keep every run that finished within this many days, too.
    #[arg(long)]
    keep_days: Option<u32>,
    /// Remove nothing that is younger than this many hours, or that a reader may need who began to read within them.
    #[arg(long, default_value_t = 24)]
    grace_hours: u32,
    /// Remove what was found. Without it, only say what would be removed.
    #[arg(long, conflicts_with = "dry_run")]
    delete: bool,
    /// Only say what would be removed: the default.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    lock: LockArgs,
}

pub async fn gc(args: GcArgs) -> Result<()> {
    let lake = args.lake.connect().await?;
    if !lake.is_claimed().await? {
        return Err(Error::Usage(format!("nothing has ever run on lake {}", lake.url())));
    }
    let keep = Retention {
        runs: args.keep_runs as usize,
        age: args.keep_days.map(|days| Duration::days(days.into())),
        grace: Duration::hours(args.grace_hours.into()),
    };
    let engine = Engine::local(&lake, EngineOptions::default())?;
    if !args.delete {
        let garbage = Garbage::find(&lake, &engine, &keep, Utc::now()).await?;
        return print(format_args!(
            "{}nothing was removed: add --delete to remove it\n",
            describe(&garbage, "would remove")
        ));
    }
    let fence = Lock::acquire_within(&lake, args.lock.timeout()).await?;
    let removed = async {
        let garbage = Garbage::find(&lake, &engine, &keep, Utc::now()).await?;
        garbage.remove(&lake, &fence).await?;
        Ok::<_, Error>(garbage)
    };
    let removed = removed.await;
    let released = fence.release().await;
    let removed = removed?;
    released?;
    print(describe(&removed, "removed"))
}

fn describe(garbage: &Garbage, verb: &str) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} runs are kept", garbage.kept_runs.len());
    for (kind, files) in garbage.kinds() {
        let bytes: u64 = files.iter().map(|file| file.size).sum();
        let _ = writeln!(out, "{kind:32} {:>8} files {:>10.1} MiB", files.len(), mib(bytes));
    }
    let _ = writeln!(out, "{verb} {:.1} MiB", mib(garbage.bytes()));
    out
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
