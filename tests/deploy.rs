//! What `deploy/` holds: the script starts a cluster, runs the demo on it and stops it; the container files say what the
//! binary understands.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::support::world::PUBLISHED;
use crate::support::{python, repository, s3, strata_bin, text};

#[test]
fn the_local_cluster_runs_the_demo_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (s3_port, scheduler_port) = (free_block(4), free_block(22));
    let tools = s3::weed();
    let path = format!("{}:{}", text(tools.parent().unwrap()), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .arg(repository().join("deploy/local.sh"))
        .env("STRATA", strata_bin())
        .env("WORK", folder.path())
        .env("S3_PORT", s3_port.to_string())
        .env("SCHEDULER_PORT", scheduler_port.to_string())
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let published = format!("published {} tables", PUBLISHED.len());
    assert!(said.contains(&published) && said.contains("| segment_name "), "{said}");
    for port in [s3_port, s3_port + 3, scheduler_port, scheduler_port + 10, scheduler_port + 20] {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "someone still listens at {port}");
    }
}

/// The first of so many free ports in a row, whose neighbours 10000 above are free too.
fn free_block(ports: u16) -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let first = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let fits = first < u16::MAX - 10_000 - ports;
        if fits && (first..first + ports).all(|port| is_free(port) && is_free(port + 10_000)) {
            return first;
        }
    }
}

const CONTAINERS: &str = r#"
import subprocess, sys
import yaml
from dockerfile_parse import DockerfileParser

deploy, strata = sys.argv[1:]
services = yaml.safe_load(open(f"{deploy}/compose.yaml"))["services"]
assert "ports" not in services["s3"] and "secretKey\": \"${" in str(services) + open(f"{deploy}/compose.yaml").read()
ours = {name: service for name, service in services.items() if service["image"] == "strata"}
assert set(ours) == {"scheduler", "executor-1", "executor-2", "demo"}, sorted(ours)
for name, service in ours.items():
    assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}, name
    assert service["environment"]["AWS_ENDPOINT_URL"] == "http://s3:8333", name
    for secret in ("AWS_SECRET_ACCESS_KEY", "STRATA_CLUSTER_SECRET"):
        assert service["environment"][secret].startswith("${STRATA_"), f"{name}: {secret} has a default"
    assert "ports" not in service, f"{name} is open to the host's network"
    assert set(service.get("depends_on", [])) <= set(services), name
    command, *words = service["command"].split()
    known = subprocess.run([strata, command, "--help"], capture_output=True, text=True, check=True).stdout
    for word in words:
        assert not word.startswith("--") or f"{word} <" in known, f"{name}: {word}"
        host = word.removeprefix("ballista://").partition(":")
        assert host[2] != "50050" or host[0] in services, f"{name}: {word}"

with open(f"{deploy}/Dockerfile", "rb") as file:
    parsed = DockerfileParser(fileobj=__import__("io").BytesIO(file.read()))
steps = [(step["instruction"], step["value"]) for step in parsed.structure if step["instruction"] != "COMMENT"]
assert {name for name, _ in steps} <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}, steps
assert ("ENTRYPOINT", '["strata"]') in steps and any(value.startswith("--from=build ") for _, value in steps)
print(len(steps))
"#;

#[test]
fn the_container_files_name_what_there_is() {
    let deploy = repository().join("deploy");
    let steps = python::script(CONTAINERS, &[text(&deploy), text(strata_bin())]);
    assert!(steps.trim().parse::<usize>().unwrap() >= 10, "{steps}");
}
