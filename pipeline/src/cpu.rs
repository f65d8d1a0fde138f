//! CPU time by what it is spent on, while several stages share one process.
//!
//! A [`Meter`] counts the time of the threads that poll its futures and run its closures. What they spawn counts too:
//! DataFusion asks a tracer about each task it starts, and our own threads are given the meter by hand. What the kernel
//! and tokio's file reads take outside of these is in the process's own time only.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};
use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::FutureExt;
use futures::future::BoxFuture;

tokio::task_local! {
    static CURRENT: Meter;
}

/// A sum of CPU time. Clones add to the same sum.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// The meter of the running future or closure; one that nobody reads outside of any.
    pub fn current() -> Meter {
        CURRENT.try_with(Meter::clone).unwrap_or_default()
    }

    /// Runs a future and all it spawns through DataFusion on this meter.
    pub async fn of<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(CURRENT.scope(self.clone(), future));
        poll_fn(|context| self.timed(|| future.as_mut().poll(context))).await
    }

    /// Runs a closure on this meter: on a thread of its own, which nobody counts yet.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), || self.timed(work))
    }

    /// Counts time that was spent elsewhere.
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn spent(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = ThreadTime::now();
        let done = work();
        self.add(before.elapsed());
        done
    }
}

/// CPU time of this process since it started, the kernel's part included.
pub fn of_process() -> Duration {
    ProcessTime::now().as_duration()
}

/// Has DataFusion's tasks counted by the meter of the task that starts them.
pub fn follow_tasks() {
    // Set once a process; a second time changes nothing.
    let _ = set_join_set_tracer(&Follow);
}

struct Follow;

impl JoinSetTracer for Follow {
    fn trace_future(
        &self,
        future: BoxFuture<'static, Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Box<dyn Any + Send>> {
        match CURRENT.try_with(Meter::clone) {
            Ok(meter) => meter.of(future).boxed(),
            Err(_) => future,
        }
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        match CURRENT.try_with(Meter::clone) {
            Ok(meter) => Box::new(move || meter.run(work)),
            Err(_) => work,
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::runtime::SpawnedTask;

    use super::*;

    /// Work that takes so much time of a thread.
    fn spin(time: Duration) {
        let started = ThreadTime::now();
        while started.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_meter_counts_what_its_future_does_and_spawns_and_nothing_else() {
        follow_tasks();
        let (one, other) = (Meter::default(), Meter::default());
        let long = Duration::from_millis(40);
        let work = async move {
            spin(long);
            tokio::task::yield_now().await;
            SpawnedTask::spawn(async move {
                spin(long);
                let meter = Meter::current();
                std::thread::scope(|scope| scope.spawn(|| meter.run(|| spin(long))).join()).unwrap();
            })
            .await
            .unwrap();
            SpawnedTask::spawn_blocking(move || spin(long)).await.unwrap();
        };
        tokio::join!(one.clone().of(work), other.clone().of(async move { spin(long) }));
        assert!(one.spent() >= 4 * long && one.spent() < 6 * long, "{:?}", one.spent());
        assert!(other.spent() >= long && other.spent() < 2 * long, "{:?}", other.spent());
        assert!(of_process() >= one.spent() + other.spent());
    }
}
