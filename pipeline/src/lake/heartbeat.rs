//! What shows that the holder of a lock lives.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Lake;
use crate::{Context, Error, Result};

/// A thread with a runtime of its own, since those of the engine may all be busy.
#[derive(Debug)]
pub struct Heartbeat {
    /// Dropped without a message: the lock was dropped.
    released: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Heartbeat {
    /// Writes to the file `beats` from now on, every `beat`, and makes the file `done` when it is dropped.
    pub fn start(lake: &Lake, beats: String, done: String, beat: Duration) -> Result<Heartbeat> {
        let lake = lake.detached()?;
        let (released, ended) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(keep_alive(lake, &beats, &done, beat, ended)),
                Err(error) => tracing::error!(%error, "the lock's heartbeat could not be started"),
            }
        };
        let thread = std::thread::Builder::new().name("lock".to_owned()).spawn(run);
        Ok(Heartbeat { released, thread: thread.context("starting the lock's heartbeat")? })
    }

    /// Ends it: no beat is written any more.
    pub async fn stop(self) -> Result<()> {
        let _ = self.released.send(());
        let thread = self.thread;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        ended
            .context("ending the lock's heartbeat")?
            .map_err(|_| Error::other("the lock's heartbeat panicked"))
    }
}

/// Beats until the lock is released. When it is dropped instead, the lake is let go from here.
async fn keep_alive(lake: Lake, beats: &str, done: &str, beat: Duration, mut ended: oneshot::Receiver<()>) {
    let beating = async {
        let mut ticks = tokio::time::interval(beat);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 1_u64.. {
            ticks.tick().await;
            if let Err(error) = lake.put_volatile(beats, number.to_string().into()).await {
                tracing::warn!(%error, "the lock's heartbeat could not be written");
            }
        }
    };
    let released = tokio::select! {
        released = &mut ended => released.is_ok(),
        () = beating => false,
    };
    if !released && let Err(error) = lake.create(done, "{}".into()).await {
        tracing::warn!(%error, "the lock could not be let go");
    }
}
