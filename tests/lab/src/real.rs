//! A real server: nginx in a namespace, answering every request with the real's name.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cgroup::SlowMachine;
use crate::http::Connection;
use crate::namespace::Namespace;
use crate::process::{Process, wait_for};
use crate::run::Run;

const START_LIMIT: Duration = Duration::from_secs(10);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Connections that one real server holds at once.
const CONNECTIONS: u32 = 30_000;

/// A running web server. Dropped, it is killed.
#[derive(Debug)]
pub struct WebServer {
    name: String,
    files: PathBuf,
    process: Process,
}

impl WebServer {
    /// Starts nginx in `namespace` on all its addresses and these ports, and waits until it answers on each.
    ///
    /// `GET /` answers with `name` and a line end; `/files/NAME` serves a file of [`WebServer::files`]; `/status` is nginx's
    /// `stub_status`.
    pub fn start(run: &Run, namespace: &Namespace, name: &str, ports: &[u16]) -> Result<WebServer> {
        WebServer::start_everywhere(run, namespace, name, ports, None)
    }

    /// As [`WebServer::start`], on a slow machine.
    pub fn start_on(
        machine: &SlowMachine,
        run: &Run,
        namespace: &Namespace,
        name: &str,
        ports: &[u16],
    ) -> Result<WebServer> {
        WebServer::start_everywhere(run, namespace, name, ports, Some(machine))
    }

    /// As [`WebServer::start`], on one address and port alone: for the others there is a kernel without a server.
    pub fn start_at(run: &Run, namespace: &Namespace, name: &str, address: SocketAddr) -> Result<WebServer> {
        let mut server = WebServer::spawn(run, namespace, name, &[address.to_string()], None)?;
        server.wait_until_it_answers(namespace, address)?;
        Ok(server)
    }

    fn start_everywhere(
        run: &Run,
        namespace: &Namespace,
        name: &str,
        ports: &[u16],
        machine: Option<&SlowMachine>,
    ) -> Result<WebServer> {
        let any = ports.iter().flat_map(|port| [format!("{port}"), format!("[::]:{port}")]);
        let mut server = WebServer::spawn(run, namespace, name, &any.collect::<Vec<_>>(), machine)?;
        for port in ports {
            server.wait_until_it_answers(namespace, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port))?;
        }
        Ok(server)
    }

    fn spawn(
        run: &Run,
        namespace: &Namespace,
        name: &str,
        listen: &[String],
        machine: Option<&SlowMachine>,
    ) -> Result<WebServer> {
        let dir = run.dir().join(name);
        let files = dir.join("files");
        fs::create_dir_all(&files).with_context(|| format!("cannot create {}", files.display()))?;
        let config = dir.join("nginx.conf");
        fs::write(&config, nginx_config(&dir, name, listen))
            .with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = namespace.command("nginx");
        command.arg("-p").arg(&dir).arg("-e").arg(dir.join("error.log")).arg("-c").arg(&config);
        if let Some(machine) = machine {
            machine.bind(&mut command)?;
        }
        let process = Process::spawn(&mut command, &dir.join("nginx.log"))?;
        Ok(WebServer { name: name.to_string(), files, process })
    }

    /// The name that it answers with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory whose files it serves below `/files/`.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// Ends the server at once: open connections are reset or fall silent.
    pub fn stop(mut self) -> Result<()> {
        self.process.terminate(STOP_LIMIT).map(drop)
    }

    /// Kills the server with all its processes (SIGKILL): its kernel refuses new connections and resets those that were open.
    pub fn kill(self) {
        // The processes of the group go when their owner does.
        drop(self);
    }

    fn wait_until_it_answers(&mut self, namespace: &Namespace, address: SocketAddr) -> Result<()> {
        wait_for(&format!("nginx of {} on {address}", self.name), START_LIMIT, || {
            if !self.process.is_running() {
                bail!("nginx of {} has ended: {}", self.name, self.process.log().trim());
            }
            let answer = Connection::open(&namespace.handle(), address).and_then(|mut to| to.get("/"));
            Ok(answer.ok().map(drop))
        })
    }
}

fn nginx_config(dir: &Path, name: &str, addresses: &[String]) -> String {
    let dir = dir.display();
    let mut listen = String::new();
    for address in addresses {
        let _ = writeln!(listen, "    listen {address} backlog=4096;");
    }
    format!(
        "user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections {CONNECTIONS}; }}
http {{
  access_log off;
  default_type text/plain;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000;
  client_header_timeout 600s;
  client_max_body_size 0;
  server {{
{listen}    location / {{ return 200 \"{name}\\n\"; }}
    location = /status {{ stub_status; }}
    location /files/ {{ alias {dir}/files/; }}
  }}
}}
",
        files = CONNECTIONS * 2
    )
}
