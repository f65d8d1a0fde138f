//! A cluster on this machine: a scheduler and executors, each a process of the binary.

use std::net::TcpStream;

use super::process::{Running, until};
use super::s3::free_ports;
use super::text;

/// A running cluster; its processes are killed when this is dropped.
pub struct Cluster {
    _scheduler: Running,
    pub executors: Vec<Running>,
    /// Where each executor hands out rows, and where it is given tasks.
    pub ports: Vec<[u16; 2]>,
    port: u16,
    lakes: Vec<String>,
}

impl Cluster {
    /// A scheduler with so many executors of one core each, for all lakes of tests.
    pub fn start(executors: usize) -> Cluster {
        Cluster::for_lakes(executors, &[text(&std::env::temp_dir()), "s3://lake"])
    }

    /// The same for some lakes.
    pub fn for_lakes(executors: usize, lakes: &[&str]) -> Cluster {
        let [port] = free_ports();
        let scheduler = Running::start(&["scheduler", "--port", &port.to_string()]);
        until("the scheduler", || TcpStream::connect(("127.0.0.1", port)).ok());
        let lakes = lakes.iter().map(|lake| (*lake).to_owned()).collect();
        let mut cluster =
            Cluster { _scheduler: scheduler, executors: Vec::new(), ports: Vec::new(), port, lakes };
        for _ in 0..executors {
            cluster.add_executor();
        }
        cluster
    }

    /// Starts one more executor.
    pub fn add_executor(&mut self) {
        let [port, task_port] = free_ports();
        let (scheduler, row_port) = (self.address(), port.to_string());
        let task_port_text = task_port.to_string();
        let mut args = vec!["executor", "--scheduler", &scheduler, "--port", &row_port];
        args.extend(["--task-port", &task_port_text, "--vcores", "1", "--memory", "1GiB"]);
        args.extend(self.lakes.iter().flat_map(|lake| ["--lake", lake]));
        let executor = Running::start(&args);
        until("an executor", || TcpStream::connect(("127.0.0.1", port)).ok());
        self.executors.push(executor);
        self.ports.push([port, task_port]);
    }

    /// Where the scheduler listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The value of `--engine`.
    pub fn engine(&self) -> String {
        format!("ballista://{}", self.address())
    }
}
