//! A daemon of a few bytes from a thread, and `lbctl` run against it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub fn ok(body: &str) -> String {
    http("200 OK", body)
}

/// A directory of the test's own, removed when dropped.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("us-ctl-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn socket(&self) -> PathBuf {
        self.0.join("lbd.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Gives each connection the next of the answers. Ends with the requests that came in.
pub struct Server {
    pub directory: Directory,
    pub thread: JoinHandle<Vec<String>>,
}

impl Server {
    pub fn new(answers: &[String]) -> Self {
        let directory = Directory::new();
        let listener = UnixListener::bind(directory.socket()).unwrap();
        let answers = answers.to_vec();
        let thread = std::thread::spawn(move || answers.iter().map(|answer| serve(&listener, answer)).collect());
        Self { directory, thread }
    }

    /// Runs `lbctl` against the server. Gives what it did, and the requests.
    pub fn run(self, arguments: &[&str]) -> (Output, Vec<String>) {
        let output = lbctl(&self.directory.socket(), arguments);
        (output, self.thread.join().unwrap())
    }
}

fn serve(listener: &UnixListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = read_request(&mut stream);
    match stream.write_all(answer.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
        _ => request,
    }
}

/// Reads a request: the head, and as many bytes as it announces.
pub fn read_request(stream: &mut UnixStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).unwrap();
        request += std::str::from_utf8(&buffer[..length]).unwrap();
        let Some((head, body)) = request.split_once("\r\n\r\n") else {
            assert_ne!(length, 0, "a cut-off request: {request}");
            continue;
        };
        let announced =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= announced.unwrap_or(0) {
            return request;
        }
    }
}

pub fn lbctl(socket: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbctl"));
    command.env_remove("UNDERSTUDY_SOCKET").arg("--socket").arg(socket).args(arguments).output().unwrap()
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
pub fn assert_fails(output: &Output, code: i32, parts: &[&str]) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.starts_with("lbctl: "), "{error}");
    assert_eq!(text(&output.stdout), "");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}
