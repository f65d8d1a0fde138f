//! The lock of a lake: numbered epochs, each made by whoever creates its file first.
//!
//! `locks/<epoch>.json` says who took the epoch, `<epoch>.beat` is rewritten while the holder lives, `<epoch>.done`
//! says that it let go. The newest epoch counts. A dead holder's epoch is passed by creating the next one; a holder
//! that was only slow then finds a newer epoch ([`Lock::check`]) and must not commit. Only `create if absent` is
//! needed, the one conditional write that every store has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Lake;
use crate::{Context, Error, Result};

const FOLDER: &str = "locks";

/// How often the holder shows that it lives.
const BEAT: Duration = Duration::from_secs(5);

/// A holder elsewhere that has not shown this for so long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(60);

/// How often taking the lock is tried while others release and clean up.
const ATTEMPTS: usize = 10;

/// Locks held by this process, by owner: a lock that was dropped without release frees the lake for the process.
static HELD_HERE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The right to write to a lake, until it is released, dropped or overtaken.
#[derive(Debug)]
pub struct Lock {
    lake: Lake,
    epoch: u64,
    holder: Holder,
    heartbeat: JoinHandle<()>,
}

/// Who took an epoch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Holder {
    owner: String,
    host: String,
    /// Boot and process namespace: where `pid` means something.
    machine: String,
    pid: u32,
    /// Start of the process in clock ticks since boot, since process ids are used again.
    started: u64,
    created: String,
}

/// The files of one epoch.
#[derive(Debug, Default)]
struct Epoch {
    taken: bool,
    released: bool,
    /// Last sign of life.
    seen: DateTime<Utc>,
    files: Vec<String>,
}

impl Lock {
    /// Takes the lock, or says who holds it: [`Error::Locked`]. Needs a Tokio runtime, which keeps it alive.
    pub async fn acquire(lake: &Lake) -> Result<Lock> {
        Self::acquire_with(lake, BEAT, DEAD_AFTER).await
    }

    async fn acquire_with(lake: &Lake, beat: Duration, dead_after: Duration) -> Result<Lock> {
        for _ in 0..ATTEMPTS {
            let epochs = epochs(lake).await?;
            let newest = epochs.last_key_value();
            if let Some((&number, epoch)) = newest.filter(|(_, epoch)| !epoch.released) {
                let Some(body) = lake.get(&file(number, "json")).await? else {
                    continue; // released and cleaned up in between
                };
                let holder: Holder = serde_json::from_slice(&body).unwrap_or_default();
                if holder.lives(epoch.seen, dead_after) {
                    return Err(holder.refuse(lake));
                }
                tracing::warn!(
                    epoch = number,
                    host = holder.host,
                    pid = holder.pid,
                    "its holder is dead: taking over"
                );
            }
            let number = newest.map_or(0, |(&number, _)| number) + 1;
            if let Some(lock) = Self::try_take(lake, number, beat).await? {
                return Ok(lock);
            }
        }
        Err(Error::Locked(format!(
            "lake {}: other processes keep taking its lock; try again later",
            lake.url()
        )))
    }

    async fn try_take(lake: &Lake, epoch: u64, beat: Duration) -> Result<Option<Lock>> {
        let holder = Holder::this_process();
        let body = serde_json::to_vec_pretty(&holder).context("writing the lock")?;
        held_here().insert(holder.owner.clone());
        let taken = lake.create(&file(epoch, "json"), body.into()).await;
        if !matches!(taken, Ok(true)) {
            held_here().remove(&holder.owner);
            return taken.map(|_| None);
        }
        let heartbeat = tokio::spawn(keep_alive(lake.clone(), epoch, beat));
        let lock = Lock { lake: lake.clone(), epoch, holder, heartbeat };
        // a holder of a later epoch may have cleaned up this number before we created it
        match lock.check().await {
            Ok(()) => Ok(Some(lock)),
            Err(Error::Locked(_)) => {
                lock.heartbeat.abort();
                lake.delete(&file(epoch, "json")).await?;
                lake.delete(&file(epoch, "beat")).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The number of this lock; later holders have higher ones.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Fails with [`Error::Locked`] if another process has taken over. To be called right before every commit.
    pub async fn check(&self) -> Result<()> {
        let epochs = epochs(&self.lake).await?;
        let newest = epochs.last_key_value().map_or(0, |(&number, _)| number);
        if newest == self.epoch {
            return Ok(());
        }
        let body = self.lake.get(&file(newest, "json")).await?.unwrap_or_default();
        let holder: Holder = serde_json::from_slice(&body).unwrap_or_default();
        Err(Error::Locked(format!(
            "lake {}: process {} on {} has taken over, since this one showed no life; nothing more is written",
            self.lake.url(),
            holder.pid,
            holder.host
        )))
    }

    /// Lets go of the lock and removes what earlier epochs left.
    pub async fn release(self) -> Result<()> {
        self.heartbeat.abort();
        self.lake.create(&file(self.epoch, "done"), "{}".into()).await?;
        for (_, epoch) in epochs(&self.lake).await?.range(..self.epoch) {
            for file in &epoch.files {
                self.lake.delete(file).await?;
            }
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.heartbeat.abort();
        held_here().remove(&self.holder.owner);
    }
}

impl Holder {
    fn this_process() -> Holder {
        let pid = std::process::id();
        Holder {
            owner: Uuid::new_v4().to_string(),
            host: read_trimmed("/proc/sys/kernel/hostname").unwrap_or_else(|| "this host".to_owned()),
            machine: machine(),
            pid,
            started: process_start(pid).unwrap_or_default(),
            created: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }

    /// Whether the holder still works, as far as can be told from here.
    fn lives(&self, seen: DateTime<Utc>, dead_after: Duration) -> bool {
        let here = !self.machine.is_empty() && self.machine == machine();
        if here
            && self.pid == std::process::id()
            && self.started == process_start(self.pid).unwrap_or_default()
        {
            return held_here().contains(&self.owner);
        }
        if here {
            return process_start(self.pid) == Some(self.started);
        }
        let silent = Utc::now().signed_duration_since(seen);
        silent.to_std().map_or(true, |silent| silent < dead_after)
    }

    fn refuse(&self, lake: &Lake) -> Error {
        Error::Locked(format!(
            "lake {} is held by process {} on {} since {}; wait for it to end, or end it",
            lake.url(),
            self.pid,
            self.host,
            self.created
        ))
    }
}

async fn keep_alive(lake: Lake, epoch: u64, beat: Duration) {
    let mut ticks = tokio::time::interval(beat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = Utc::now().to_rfc3339();
        if let Err(error) = lake.put(&file(epoch, "beat"), now.into()).await {
            tracing::warn!(%error, "the lock's heartbeat could not be written");
        }
    }
}

async fn epochs(lake: &Lake) -> Result<BTreeMap<u64, Epoch>> {
    let mut epochs = BTreeMap::<u64, Epoch>::new();
    for found in lake.list(FOLDER).await? {
        if let Some((number, kind)) = parse(lake, &found) {
            let epoch = epochs.entry(number).or_default();
            epoch.taken |= kind == "json";
            epoch.released |= kind == "done";
            epoch.seen = epoch.seen.max(found.last_modified);
            epoch.files.push(file(number, kind));
        }
    }
    // a heartbeat may outlive its lock by one write
    epochs.retain(|_, epoch| epoch.taken);
    Ok(epochs)
}

fn parse<'a>(lake: &Lake, found: &'a ObjectMeta) -> Option<(u64, &'a str)> {
    let name = lake.relative(&found.location)?.strip_prefix(FOLDER)?.strip_prefix('/')?;
    let (number, kind) = name.split_once('.')?;
    Some((number.parse().ok()?, kind))
}

fn file(epoch: u64, kind: &str) -> String {
    format!("{FOLDER}/{epoch:010}.{kind}")
}

fn held_here() -> MutexGuard<'static, BTreeSet<String>> {
    HELD_HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This boot of this machine and this process namespace, or nothing where that cannot be told.
fn machine() -> String {
    let boot = read_trimmed("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    match (boot, namespace) {
        (Some(boot), Some(namespace)) => format!("{boot} {}", namespace.display()),
        _ => String::new(),
    }
}

/// Start of a living process in clock ticks since boot (field 22 of `/proc/<pid>/stat`, proc(5)); `None` for one that
/// is gone or only waits to be reaped.
fn process_start(pid: u32) -> Option<u64> {
    let stat = read_trimmed(&format!("/proc/{pid}/stat"))?;
    // the name in parentheses may hold anything; state is field 3
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn read_trimmed(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lake() -> (tempfile::TempDir, Lake) {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path().to_str().unwrap()).unwrap();
        (dir, lake)
    }

    /// Writes an epoch as another process would have.
    async fn plant(lake: &Lake, epoch: u64, holder: &Holder) {
        lake.put(&file(epoch, "json"), serde_json::to_vec(holder).unwrap().into()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_eight_one_wins_and_the_next_follows() {
        let (_dir, lake) = lake();
        for round in 1..=5 {
            let tries: Vec<_> = (0..8)
                .map(|_| {
                    let lake = lake.clone();
                    tokio::spawn(async move { Lock::acquire(&lake).await })
                })
                .collect();
            let mut won = Vec::new();
            for attempt in tries {
                match attempt.await.unwrap() {
                    Ok(lock) => won.push(lock),
                    Err(error) => {
                        assert_eq!(error.exit_code(), 75, "{error}");
                        assert!(
                            error.to_string().contains(&format!("process {}", std::process::id())),
                            "{error}"
                        );
                    }
                }
            }
            assert_eq!(won.len(), 1);
            let lock = won.pop().unwrap();
            assert_eq!(lock.epoch(), round);
            lock.check().await.unwrap();
            lock.release().await.unwrap();
        }
        let left = lake.list(FOLDER).await.unwrap();
        assert!(left.iter().all(|file| file.location.as_ref().contains("/0000000005.")), "{left:?}");
    }

    #[tokio::test]
    async fn a_dead_process_is_overtaken_and_a_living_one_is_not() {
        let (_dir, lake) = lake();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let started = process_start(child.id()).unwrap();
        let holder = Holder { pid: child.id(), started, ..Holder::this_process() };
        plant(&lake, 7, &holder).await;
        assert_eq!(Lock::acquire(&lake).await.unwrap_err().exit_code(), 75);

        // another process got the same id
        plant(&lake, 7, &Holder { started: started + 1, ..holder.clone() }).await;
        assert_eq!(Lock::acquire(&lake).await.unwrap().epoch(), 8);
        lake.delete(&file(8, "json")).await.unwrap();
        plant(&lake, 7, &holder).await;

        // dead but not reaped, as after `kill -9` under a parent that does not wait
        child.kill().unwrap();
        while process_start(child.id()).is_some() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lock = Lock::acquire(&lake).await.unwrap();
        assert_eq!(lock.epoch(), 8);
        child.wait().unwrap();
        assert_eq!(process_start(holder.pid), None);
    }

    #[tokio::test]
    async fn a_silent_holder_elsewhere_is_dead_after_a_while() {
        let (_dir, lake) = lake();
        plant(&lake, 1, &Holder { machine: "elsewhere".into(), ..Holder::this_process() }).await;
        let second = Duration::from_secs(1);
        assert_eq!(Lock::acquire(&lake).await.unwrap_err().exit_code(), 75);
        tokio::time::sleep(second / 2).await;
        lake.put(&file(1, "beat"), "1".into()).await.unwrap();
        tokio::time::sleep(second * 7 / 10).await;
        assert_eq!(Lock::acquire_with(&lake, second, second).await.unwrap_err().exit_code(), 75);
        tokio::time::sleep(second / 2).await;
        assert_eq!(Lock::acquire_with(&lake, second, second).await.unwrap().epoch(), 2);
    }

    #[tokio::test]
    async fn an_overtaken_holder_may_not_commit() {
        let (_dir, lake) = lake();
        let slow = Lock::acquire(&lake).await.unwrap();
        slow.check().await.unwrap();
        plant(&lake, 2, &Holder { host: "other".into(), ..Holder::this_process() }).await;
        let fenced = slow.check().await.unwrap_err();
        assert_eq!(fenced.exit_code(), 75);
        assert!(fenced.to_string().contains("on other"), "{fenced}");
    }

    #[tokio::test]
    async fn the_holder_shows_life_and_a_dropped_lock_is_free() {
        let (_dir, lake) = lake();
        let beat = Duration::from_millis(20);
        let lock = Lock::acquire_with(&lake, beat, DEAD_AFTER).await.unwrap();
        tokio::time::sleep(beat * 3).await;
        let first = lake.get(&file(1, "beat")).await.unwrap().unwrap();
        tokio::time::sleep(beat * 3).await;
        assert_ne!(lake.get(&file(1, "beat")).await.unwrap().unwrap(), first);
        drop(lock);
        assert_eq!(Lock::acquire(&lake).await.unwrap().epoch(), 2);
    }

    #[tokio::test]
    async fn a_number_that_was_cleaned_up_is_not_taken_below_a_newer_one() {
        let (_dir, lake) = lake();
        plant(&lake, 5, &Holder::this_process()).await;
        assert!(Lock::try_take(&lake, 4, BEAT).await.unwrap().is_none());
        assert!(lake.get(&file(4, "json")).await.unwrap().is_none());
    }
}
