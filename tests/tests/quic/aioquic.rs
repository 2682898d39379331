//! Servers and clients by aioquic, in processes of their own that follow orders (`control.py`).

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lb_lab::{Aioquic, Namespace, NamespaceHandle, tool};
use lb_tests::quic_lb::hex;
use lb_tests::stage::real_name;
use serde_json::{Value, json};

use super::{ANSWER_LIMIT, Answer, Encoding, NAME, Tls};

/// From the package's directory.
const SCRIPTS: &str = "tests/quic";
/// A process says itself when an order takes longer than [`ANSWER_LIMIT`]. The first words come when all is imported.
const LIMIT: Duration = ANSWER_LIMIT.saturating_mul(4);
/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// The certificate and its key, as aioquic reads them.
pub struct Files {
    directory: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    pub fn write(directory: &Path, certificate: &[u8], key: &[u8]) -> Result<Files> {
        let write = |name: &str, label: &str, bytes: &[u8]| {
            let path = directory.join(name);
            fs::write(&path, pem(label, bytes)).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(path)
        };
        let certificate = write("quic-certificate.pem", "CERTIFICATE", certificate)?;
        let key = write("quic-certificate-key.pem", "PRIVATE KEY", key)?;
        Ok(Files { directory: directory.to_owned(), certificate, key })
    }
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: String = text.as_bytes().chunks(PEM_LINE).map(|line| String::from_utf8_lossy(line) + "\n").collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

/// A server in a process. Dropped, it goes away.
pub struct Server {
    process: Process,
}

impl Server {
    pub fn start(
        tls: &Tls,
        namespace: &Namespace,
        number: u8,
        address: SocketAddr,
        encoding: Encoding,
    ) -> Result<Server> {
        let name = real_name(number);
        let mut command = script("server.py")?;
        command.arg(&name).arg(address.ip().to_string()).arg(address.port().to_string());
        command.arg("--certificate").arg(&tls.files.certificate).arg("--private-key").arg(&tls.files.key);
        command.args(encoding.arguments(number));
        let log = tls.files.directory.join(format!("aioquic-{name}-{}.log", address.port()));
        Ok(Server { process: Process::start(command, &namespace.handle(), log)? })
    }

    fn ids(&self, which: &str) -> Result<HashSet<Vec<u8>>> {
        let lists = self.process.order(&json!({ "order": "list" }))?;
        let ids = lists[which].as_array().with_context(|| format!("no connection ids in {lists}"))?;
        Ok(ids.iter().filter_map(Value::as_str).map(hex).collect())
    }
}

impl super::Server for Server {
    fn issued(&self) -> Result<HashSet<Vec<u8>>> {
        self.ids("issued")
    }

    fn unknown(&self) -> Result<HashSet<Vec<u8>>> {
        self.ids("unknown")
    }
}

/// A client with all of its connections in one process. Dropped, it goes away.
pub struct Client {
    process: Process,
}

impl Client {
    pub fn start(tls: &Tls, namespace: &NamespaceHandle, service: SocketAddr) -> Result<Client> {
        let mut command = script("client.py")?;
        command.arg(service.ip().to_string()).arg(service.port().to_string());
        command.arg("--name").arg(NAME).arg("--certificate").arg(&tls.files.certificate);
        let log = tls.files.directory.join(format!("aioquic-client-{}.log", service.port()));
        Ok(Client { process: Process::start(command, namespace, log)? })
    }
}

impl super::Client for Client {
    fn connect(&self, from: SocketAddr) -> Result<Box<dyn super::Connection + '_>> {
        let order = json!({ "order": "connect", "host": from.ip().to_string(), "port": from.port() });
        let answer = self.process.order(&order).with_context(|| format!("no connection from {from}"))?;
        let local = SocketAddr::new(from.ip(), port(&answer)?);
        Ok(Box::new(Open { client: self, number: answer["connection"].clone(), local, moves: 0 }))
    }
}

fn port(answer: &Value) -> Result<u16> {
    let port = answer["port"].as_u64().and_then(|port| port.try_into().ok());
    port.with_context(|| format!("no port in {answer}"))
}

struct Open<'a> {
    client: &'a Client,
    number: Value,
    local: SocketAddr,
    moves: u8,
}

impl Open<'_> {
    fn order(&self, order: &str) -> Result<Value> {
        self.client.process.order(&json!({ "order": order, "connection": self.number }))
    }
}

impl super::Connection for Open<'_> {
    fn local(&self) -> SocketAddr {
        self.local
    }

    /// With the same connection id, as behind a NAT that forgets it, and with another one in turn.
    fn move_to(&mut self, to: SocketAddr) -> Result<()> {
        let same_id = self.moves.is_multiple_of(2);
        let (host, port) = (to.ip().to_string(), to.port());
        let order =
            json!({ "order": "move", "connection": self.number, "host": host, "port": port, "same_id": same_id });
        let answer = self.client.process.order(&order).with_context(|| format!("cannot move to {to}"))?;
        self.local = SocketAddr::new(to.ip(), self::port(&answer)?);
        self.moves += 1;
        Ok(())
    }

    fn ask(&self) -> Result<Answer> {
        let answer = self.order("ask")?;
        Answer::parse(answer["said"].as_str().with_context(|| format!("nothing said in {answer}"))?)
    }

    fn ask_in_vain(&self) -> Result<()> {
        self.order("ask_in_vain").map(drop)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.order("close").map(drop)
    }
}

fn script(name: &str) -> Result<Command> {
    let mut command = tool(Aioquic::default().python()?);
    // No compiled files beside the sources.
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPTS).join(name));
    Ok(command)
}

/// A script that runs. Dropped, it is killed.
struct Process {
    child: Child,
    pipes: Mutex<(ChildStdin, Receiver<String>)>,
    log: PathBuf,
}

impl Process {
    /// Starts it, and waits until it takes orders.
    fn start(mut command: Command, namespace: &NamespaceHandle, log: PathBuf) -> Result<Process> {
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        namespace.bind(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().context("cannot start aioquic")?;
        let input = child.stdin.take().context("no pipe to aioquic")?;
        let output = BufReader::new(child.stdout.take().context("no pipe from aioquic")?);
        let (to, answers) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        let process = Process { child, pipes: Mutex::new((input, answers)), log };
        let first = process.answer(&process.pipes.lock().unwrap_or_else(PoisonError::into_inner).1)?;
        if first != json!({ "ready": true }) {
            bail!("aioquic says {first} before it takes orders");
        }
        Ok(process)
    }

    fn order(&self, order: &Value) -> Result<Value> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.0, "{order}").with_context(|| self.said())?;
        let answer = self.answer(&pipes.1).with_context(|| format!("asked to {order}"))?;
        match answer["error"].as_str() {
            Some(error) => bail!("asked to {order} aioquic says: {error}. {}", self.said()),
            None => Ok(answer),
        }
    }

    fn answer(&self, answers: &Receiver<String>) -> Result<Value> {
        let line = answers.recv_timeout(LIMIT).with_context(|| format!("no answer; {}", self.said()))?;
        serde_json::from_str(&line).with_context(|| format!("{line:?} is no answer"))
    }

    fn said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("aioquic's log: {}", log.trim())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
