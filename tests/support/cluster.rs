//! A cluster on this machine: a scheduler and executors, each a process of the binary.

use std::net::TcpStream;

use super::process::{Running, until};
use super::s3::free_ports;

/// A running cluster; its processes are killed when this is dropped.
pub struct Cluster {
    _scheduler: Running,
    pub executors: Vec<Running>,
    port: u16,
}

impl Cluster {
    /// A scheduler with so many executors of one core each.
    pub fn start(executors: usize) -> Cluster {
        let [port] = free_ports();
        let scheduler = Running::start(&["scheduler", "--port", &port.to_string()]);
        until("the scheduler", || TcpStream::connect(("127.0.0.1", port)).ok());
        let mut cluster = Cluster { _scheduler: scheduler, executors: Vec::new(), port };
        for _ in 0..executors {
            cluster.add_executor();
        }
        cluster
    }

    /// Starts one more executor.
    pub fn add_executor(&mut self) {
        let [port, task_port] = free_ports();
        let executor = Running::start(&[
            "executor",
            "--scheduler",
            &format!("127.0.0.1:{}", self.port),
            "--port",
            &port.to_string(),
            "--task-port",
            &task_port.to_string(),
            "--vcores",
            "1",
            "--memory",
            "1GiB",
        ]);
        until("an executor", || TcpStream::connect(("127.0.0.1", port)).ok());
        self.executors.push(executor);
    }

    /// The value of `--engine`.
    pub fn engine(&self) -> String {
        format!("ballista://127.0.0.1:{}", self.port)
    }
}
