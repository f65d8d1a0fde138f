//! A cluster of processes on this machine, stopped when it is dropped.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::process::{Usage, look};
use crate::{Context, Error, Result};

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(20);

/// A scheduler and executors of one core each.
pub struct Cluster {
    processes: Vec<Child>,
    scheduler: String,
}

impl Cluster {
    /// Starts the processes for runs on `lake`; `memory` is what each executor may take, in bytes.
    pub fn start(strata: &Path, executors: usize, memory: usize, lake: &str) -> Result<Cluster> {
        let (port, memory) = (free_port()?, memory.to_string());
        let scheduler = format!("127.0.0.1:{port}");
        let mut cluster = Cluster { processes: Vec::new(), scheduler: scheduler.clone() };
        cluster.spawn(strata, &["scheduler", "--port", &port.to_string()], port)?;
        for _ in 0..executors {
            let (port, task_port) = (free_port()?, free_port()?);
            let (text, task_text) = (port.to_string(), task_port.to_string());
            let executor = ["executor", "--scheduler", &scheduler, "--vcores", "1", "--memory", &memory];
            let rest = ["--port", &text, "--task-port", &task_text, "--lake", lake];
            cluster.spawn(strata, &[&executor[..], &rest].concat(), port)?;
        }
        Ok(cluster)
    }

    fn spawn(&mut self, strata: &Path, arguments: &[&str], port: u16) -> Result<()> {
        let mut quiet = Command::new(strata);
        quiet.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let quiet = quiet.spawn().context(format!("start strata {arguments:?}"))?;
        self.processes.push(quiet);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if began.elapsed() > START {
                return Err(Error::other(format!("strata {arguments:?} does not listen at port {port}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The value of `--engine`.
    pub fn engine(&self) -> String {
        format!("ballista://{}", self.scheduler)
    }

    /// What all processes have taken so far: CPU seconds summed, the highest of their peaks.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for (cpu_seconds, peak_bytes) in self.processes.iter().map(|process| look(process.id())) {
            usage.cpu_seconds += cpu_seconds;
            usage.peak_bytes = usage.peak_bytes.max(peak_bytes);
        }
        usage
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(listener.context("find a free port")?.port())
}
