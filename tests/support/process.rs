//! Runs of the binary beside the test: watched, stopped and killed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::strata;

/// How long something that must come is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// A process of the binary; it is killed when this is dropped.
pub struct Running {
    child: Child,
    /// What it says goes to this file, so that it never waits for a reader.
    said: tempfile::NamedTempFile,
}

impl Running {
    /// Starts the binary.
    pub fn start(args: &[&str]) -> Running {
        let said = tempfile::NamedTempFile::new().expect("a temporary file");
        let stderr = said.reopen().expect("the file can be opened again");
        let child = strata(args).stdout(Stdio::null()).stderr(stderr).spawn().expect("strata starts");
        Running { child, said }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard error so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.said.path()).expect("UTF-8")
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process can be waited for")
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the process can be waited for")
    }

    /// Sends SIGKILL and leaves the dead process unreaped.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
    }

    /// Sends SIGKILL; whether that ended the process.
    pub fn is_killed(&mut self) -> bool {
        self.kill();
        self.wait().signal() == Some(9)
    }

    /// Sends a signal by name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.expect("kill starts").success(), "process {} is gone: {}", self.id(), self.said());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until `look` finds something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The process that took the lock of a lake under `epoch`, once it has.
pub fn holder(lake: &Path, epoch: u64) -> u32 {
    let file = lake.join(format!("locks/{epoch:010}.json"));
    until("the lock", || {
        let lock: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
        lock.get("pid")?.as_u64()?.try_into().ok()
    })
}
