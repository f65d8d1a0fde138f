//! The lock of a lake: numbered epochs, each made by whoever creates its file first.
//!
//! `locks/<epoch>.json` says who took the epoch, `<epoch>.beat` changes while the holder lives,
//! `<epoch>.done` says that it let go. The newest epoch counts. Whether its holder lives is seen by watching
//! the beat: when it changes the holder lives, when it does not for as long as the watcher waits the holder
//! is dead, and the watcher creates the next epoch. No clock but the watcher's own decides, and no process
//! table. A holder that was only slow then finds a newer epoch ([`Lock::check`]) and must not commit. Only
//! `create if absent` is needed, the one conditional write that every store has.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::heartbeat::Heartbeat;
use super::{Lake, RUN_MANIFESTS};
use crate::{Context, Error, Result};

const FOLDER: &str = "locks";

/// How often a holder shows that it lives; more often where it would be taken for dead after less than ten
/// beats.
const BEAT: Duration = Duration::from_secs(1);

/// A holder whose beat has not changed for so long is dead, unless the run says otherwise.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(20);

/// Beats that a holder may miss, however short the time that the watcher would wait.
const BEATS_MISSED: u32 = 5;

/// How often taking the lock is tried while others release and clean up.
const ATTEMPTS: usize = 10;

/// The right to write to a lake, until it is released, dropped or overtaken.
#[derive(Debug)]
pub struct Lock {
    lake: Lake,
    epoch: u64,
    holder: Holder,
    heartbeat: Heartbeat,
}

/// Who took an epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Holder {
    /// A number of its own, which no other holder has.
    owner: String,
    host: String,
    pid: u32,
    created: String,
    /// Milliseconds between its beats.
    #[serde(default = "slow_beat_ms")]
    beat_ms: u64,
}

/// What holders that do not say it keep to.
fn slow_beat_ms() -> u64 {
    5000
}

/// The files of one epoch.
#[derive(Debug, Default)]
struct Epoch {
    taken: bool,
    released: bool,
    files: Vec<String>,
}

/// What watching a holder has shown.
#[derive(Debug, PartialEq)]
enum Seen {
    Lives,
    Dead,
    /// It has released the lock, or another one has taken it.
    Gone,
}

impl Lock {
    /// Takes the lock, or says who holds it: [`Error::Locked`]. A holder that shows no life is watched for
    /// [`LOCK_TIMEOUT`].
    pub async fn acquire(lake: &Lake) -> Result<Lock> {
        Self::acquire_within(lake, LOCK_TIMEOUT).await
    }

    /// The same, and a holder is dead when it has shown no life for `timeout`.
    pub async fn acquire_within(lake: &Lake, timeout: Duration) -> Result<Lock> {
        for _ in 0..ATTEMPTS {
            let epochs = epochs(lake).await?;
            let newest = epochs.last_key_value();
            if let Some((&number, _)) = newest.filter(|(_, epoch)| !epoch.released) {
                let Some(body) = lake.get(&file(number, "json")).await? else {
                    continue; // released and cleaned up in between
                };
                let holder = Holder::read(&body);
                match watch(lake, number, &holder, timeout).await? {
                    Seen::Lives => return Err(holder.refuse(lake)),
                    Seen::Gone => continue,
                    Seen::Dead => tracing::warn!(
                        epoch = number,
                        host = holder.host,
                        pid = holder.pid,
                        "its holder is dead: taking over"
                    ),
                }
            }
            let newest = newest.map_or(0, |(&number, _)| number).max(newest_run(lake).await?);
            if let Some(lock) = Self::try_take(lake, newest + 1, timeout).await? {
                return Ok(lock);
            }
        }
        Err(Error::Locked(format!(
            "lake {}: other processes keep taking its lock; try again later",
            lake.url()
        )))
    }

    async fn try_take(lake: &Lake, epoch: u64, timeout: Duration) -> Result<Option<Lock>> {
        let beat = BEAT.min(timeout / 10).max(Duration::from_millis(1));
        let holder = Holder::this_process(beat);
        let body = serde_json::to_vec_pretty(&holder).context("writing the lock")?;
        if !lake.create(&file(epoch, "json"), body.into()).await? {
            return Ok(None);
        }
        let heartbeat = Heartbeat::start(lake, file(epoch, "beat"), file(epoch, "done"), beat)?;
        let lock = Lock { lake: lake.clone(), epoch, holder, heartbeat };
        // a holder of a later epoch may have cleaned up this number before we created it
        match lock.check().await {
            Ok(()) => Ok(Some(lock)),
            Err(Error::Locked(_)) => {
                lock.heartbeat.stop().await?;
                lake.delete(&file(epoch, "json")).await?;
                lake.delete(&file(epoch, "beat")).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The number of this lock; later holders have higher ones, and so have all runs that follow.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Fails with [`Error::Locked`] if another process has taken over. To be called right before every commit.
    pub async fn check(&self) -> Result<()> {
        let epochs = epochs(&self.lake).await?;
        let newest = epochs.last_key_value().map_or(0, |(&number, _)| number);
        let body = self.lake.get(&file(newest, "json")).await?.unwrap_or_default();
        let holder = Holder::read(&body);
        if holder.owner == self.holder.owner {
            return Ok(());
        }
        let why = match newest < self.epoch {
            true => "the lake's `locks` folder was emptied during this run".to_owned(),
            false => format!(
                "process {} on {} has taken over, since this one showed no life",
                holder.pid, holder.host
            ),
        };
        Err(Error::Locked(format!("lake {}: {why}; nothing more is written", self.lake.url())))
    }

    /// Lets go of the lock and removes what earlier epochs left.
    pub async fn release(self) -> Result<()> {
        self.heartbeat.stop().await?;
        self.lake.create(&file(self.epoch, "done"), "{}".into()).await?;
        for (_, epoch) in epochs(&self.lake).await?.range(..self.epoch) {
            for file in &epoch.files {
                self.lake.delete(file).await?;
            }
        }
        Ok(())
    }
}

impl Holder {
    fn this_process(beat: Duration) -> Holder {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Holder {
            owner: Uuid::new_v4().to_string(),
            host: Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("this host").to_owned(),
            pid: std::process::id(),
            created: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            beat_ms: beat.as_millis() as u64,
        }
    }

    /// A file that lost its content with the power is of an unknown holder.
    fn read(body: &[u8]) -> Holder {
        let unknown = |_| Holder { beat_ms: slow_beat_ms(), ..Holder::default() };
        serde_json::from_slice(body).unwrap_or_else(unknown)
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

/// Watches the holder of an epoch until it shows life, is gone, or has been silent for `timeout`.
async fn watch(lake: &Lake, epoch: u64, holder: &Holder, timeout: Duration) -> Result<Seen> {
    let beat = Duration::from_millis(holder.beat_ms);
    let timeout = timeout.max(beat * BEATS_MISSED);
    let pause = (beat / 2).clamp(Duration::from_millis(1), BEAT / 2);
    let beats = file(epoch, "beat");
    let first = lake.get(&beats).await?;
    let (mut silent, mut looked, mut said) = (Duration::ZERO, Instant::now(), false);
    while silent < timeout {
        tokio::time::sleep(pause).await;
        let epochs = epochs(lake).await?;
        match epochs.last_key_value() {
            Some((&newest, state)) if newest == epoch && !state.released => {}
            _ => return Ok(Seen::Gone),
        }
        if lake.get(&beats).await? != first {
            return Ok(Seen::Lives);
        }
        // where this process was stopped the holder may have been stopped with it
        silent += looked.elapsed().min(pause * 2);
        looked = Instant::now();
        if !said && silent > beat * BEATS_MISSED {
            said = true;
            let (pid, host) = (holder.pid, &holder.host);
            let left = timeout.saturating_sub(silent).as_secs_f64();
            tracing::info!(
                "the lake is held by process {pid} on {host}, which shows no life: taking over in {left:.0} s"
            );
        }
    }
    Ok(Seen::Dead)
}

async fn epochs(lake: &Lake) -> Result<BTreeMap<u64, Epoch>> {
    let mut epochs = BTreeMap::<u64, Epoch>::new();
    for found in lake.list(FOLDER).await? {
        if let Some((number, kind)) = parse(lake, &found, FOLDER) {
            let epoch = epochs.entry(number).or_default();
            epoch.taken |= kind == "json";
            epoch.released |= kind == "done";
            epoch.files.push(file(number, kind));
        }
    }
    // a heartbeat may outlive its lock by one write
    epochs.retain(|_, epoch| epoch.taken);
    Ok(epochs)
}

/// The largest epoch of a run that left a manifest; `locks` may have been removed since.
async fn newest_run(lake: &Lake) -> Result<u64> {
    let runs = lake.list(RUN_MANIFESTS).await?;
    Ok(runs.iter().filter_map(|run| Some(parse(lake, run, RUN_MANIFESTS)?.0)).max().unwrap_or(0))
}

fn parse<'a>(lake: &Lake, found: &'a ObjectMeta, folder: &str) -> Option<(u64, &'a str)> {
    let name = lake.relative(&found.location)?.strip_prefix(folder)?.strip_prefix('/')?;
    let (number, kind) = name.split_once('.')?;
    Some((number.parse().ok()?, kind))
}

fn file(epoch: u64, kind: &str) -> String {
    format!("{FOLDER}/{epoch:010}.{kind}")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::lake::faults::{Answer, Shaky};

    const MOMENT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(3600);

    fn lake() -> (tempfile::TempDir, Lake) {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path().to_str().unwrap()).unwrap();
        (dir, lake)
    }

    fn another() -> Holder {
        Holder { host: "other".into(), ..Holder::this_process(Duration::from_millis(10)) }
    }

    /// Writes an epoch as another process would have.
    async fn plant(lake: &Lake, epoch: u64, holder: &Holder) {
        lake.put(&file(epoch, "json"), serde_json::to_vec(holder).unwrap().into()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_eight_one_wins_and_the_next_follows() {
        let (_dir, lake) = lake();
        for round in 1..=3 {
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
        assert!(left.iter().all(|file| file.location.as_ref().contains("/0000000003.")), "{left:?}");
    }

    /// What decided once: this boot, a process id that nobody has, and the time at which the store wrote the
    /// beat.
    #[tokio::test]
    async fn a_holder_that_beats_lives_whatever_process_tables_and_clocks_say() {
        let (dir, _) = lake();
        let url = url::Url::from_directory_path(dir.path()).unwrap();
        let shaky = Shaky::new(Lake::open(url.as_str()).unwrap().store().clone());
        let behind = Lake::over(url, shaky.behind(Duration::from_secs(3600))).unwrap();
        let held = Lock::acquire_within(&behind, MOMENT).await.unwrap();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
        let here = format!("{} {}", boot.trim(), namespace.display());
        for machine in ["elsewhere", &here] {
            let mut hidden = serde_json::to_value(&held.holder).unwrap();
            hidden["machine"] = machine.into();
            hidden["pid"] = u32::MAX.into();
            hidden["started"] = 1.into();
            behind.put(&file(1, "json"), hidden.to_string().into()).await.unwrap();
            let refused = Lock::acquire_within(&behind, LONG).await.unwrap_err();
            assert_eq!(refused.exit_code(), 75, "{refused}");
            assert!(refused.to_string().contains("is held by process 4294967295 on "), "{refused}");
        }
        held.check().await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_holder_is_dead_after_the_whole_time_and_its_own_beats() {
        let (_dir, lake) = lake();
        plant(&lake, 1, &another()).await;
        lake.put(&file(1, "beat"), "7".into()).await.unwrap();
        let began = Instant::now();
        assert_eq!(Lock::acquire_within(&lake, MOMENT).await.unwrap().epoch(), 2);
        assert!(began.elapsed() >= MOMENT);

        plant(&lake, 5, &Holder { beat_ms: 100, ..another() }).await;
        let began = Instant::now();
        assert_eq!(Lock::acquire_within(&lake, Duration::from_millis(1)).await.unwrap().epoch(), 6);
        assert!(began.elapsed() >= Duration::from_millis(500));
    }

    #[tokio::test]
    async fn a_lock_that_is_released_while_it_is_watched_is_taken() {
        let (_dir, lake) = lake();
        plant(&lake, 1, &another()).await;
        let watcher = tokio::spawn({
            let lake = lake.clone();
            async move { Lock::acquire_within(&lake, LONG).await }
        });
        tokio::task::yield_now().await;
        lake.create(&file(1, "done"), "{}".into()).await.unwrap();
        assert_eq!(watcher.await.unwrap().unwrap().epoch(), 2);
    }

    #[tokio::test]
    async fn a_lock_file_without_content_does_not_stop_a_run() {
        let lake = Lake::open("memory://").unwrap();
        lake.put(&file(3, "json"), "".into()).await.unwrap();
        lake.put(&file(3, "beat"), "7".into()).await.unwrap();
        let holder = Holder::read(b"");
        assert_eq!(holder.beat_ms, slow_beat_ms());
        // as long as a holder of unknown beats is watched; released here, so that the test need not wait
        lake.create(&file(3, "done"), "{}".into()).await.unwrap();
        assert_eq!(Lock::acquire(&lake).await.unwrap().epoch(), 4);
    }

    #[tokio::test]
    async fn an_overtaken_holder_may_not_commit() {
        let (_dir, lake) = lake();
        let slow = Lock::acquire(&lake).await.unwrap();
        slow.check().await.unwrap();
        plant(&lake, 2, &another()).await;
        let fenced = slow.check().await.unwrap_err();
        assert_eq!(fenced.exit_code(), 75);
        assert!(fenced.to_string().contains("on other"), "{fenced}");
    }

    #[tokio::test]
    async fn a_holder_whose_files_were_removed_may_not_commit() {
        let (dir, lake) = lake();
        let held = Lock::acquire(&lake).await.unwrap();
        std::fs::remove_file(dir.path().join(file(1, "json"))).unwrap();
        let fenced = held.check().await.unwrap_err();
        assert_eq!(fenced.exit_code(), 75);
        assert!(fenced.to_string().contains("`locks` folder was emptied"), "{fenced}");
        // and another process took the same number
        plant(&lake, 1, &another()).await;
        let fenced = held.check().await.unwrap_err();
        assert!(fenced.to_string().contains("on other has taken over"), "{fenced}");
    }

    #[tokio::test]
    async fn epochs_follow_those_of_runs_when_the_locks_are_gone() {
        let (_dir, lake) = lake();
        for name in ["0000000009.json", "0000000041.json.broken", "notes.txt"] {
            lake.put(&format!("{RUN_MANIFESTS}/{name}"), "{}".into()).await.unwrap();
        }
        let lock = Lock::acquire(&lake).await.unwrap();
        assert_eq!(lock.epoch(), 42);
        lock.release().await.unwrap();
        assert_eq!(Lock::acquire(&lake).await.unwrap().epoch(), 43);
    }

    /// The runtime of this test has no other thread than the one that is kept busy.
    #[tokio::test]
    async fn the_holder_shows_life_while_its_runtime_is_busy_and_a_dropped_lock_is_free() {
        let (dir, lake) = lake();
        let lock = Lock::acquire_within(&lake, MOMENT).await.unwrap();
        let beat = dir.path().join(file(1, "beat"));
        let began = Instant::now();
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 3 {
            assert!(began.elapsed() < LONG / 60, "no beat was written beside a busy runtime: {seen:?}");
            seen.extend(std::fs::read_to_string(&beat).ok());
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(lock);
        assert_eq!(Lock::acquire_within(&lake, LONG).await.unwrap().epoch(), 2);
    }

    #[tokio::test]
    async fn a_number_that_was_cleaned_up_is_not_taken_below_a_newer_one() {
        let (_dir, lake) = lake();
        plant(&lake, 5, &another()).await;
        assert!(Lock::try_take(&lake, 4, MOMENT).await.unwrap().is_none());
        assert!(lake.get(&file(4, "json")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_lock_whose_answer_was_lost_is_held() {
        for answer in [Answer::Exists, Answer::Failure] {
            let inner = Lake::open("memory://").unwrap();
            let shaky = Shaky::new(inner.store().clone());
            let lake = Lake::over(inner.url().clone(), shaky.clone()).unwrap();
            shaky.lose_next(answer);
            let lock = Lock::acquire(&lake).await.unwrap();
            assert_eq!(lock.epoch(), 1);
            lock.check().await.unwrap();
            assert_eq!(Lock::acquire(&inner).await.unwrap_err().exit_code(), 75);
        }
    }
}
