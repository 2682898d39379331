//! nginx, without and with TLS, as a real's web server.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use lb_lab::{Namespace, Process, Run, wait_for};

use crate::certificates::{self, Authority};
use crate::stage::{PATIENCE, REAL, REAL_V6, VIP};

pub const HTTP: u16 = 80;
/// With a certificate for web.example and all addresses of the real.
pub const GOOD: u16 = 443;
/// With a certificate for another name.
pub const OTHER: u16 = 1443;
/// With a certificate that has expired.
pub const EXPIRED: u16 = 2443;
/// With a certificate that vouches for itself.
pub const SELF_SIGNED: u16 = 3443;

/// What is at the end of `/long`, which has 50,000 bytes before it.
pub const LAST: &str = "the end";
/// What `/` says on every port that is asked for `web.example`.
pub const WELL: &str = "web1 is well";

/// A running nginx. Dropped, it is killed.
pub struct Web {
    pub authority: PathBuf,
    _process: Process,
}

impl Web {
    /// Starts it and waits until it listens. `more` are addresses that the good certificate is for, too.
    pub fn start(run: &Run, namespace: &Namespace, more: &[&str]) -> Self {
        let dir = run.dir().join("web");
        fs::create_dir_all(&dir).unwrap();
        let authority = write_certificates(&dir, more);
        fs::write(dir.join("long"), format!("{}{LAST}", "x".repeat(50_000))).unwrap();
        let config = dir.join("nginx.conf");
        fs::write(&config, nginx_config(&dir)).unwrap();
        let mut command = namespace.command("nginx");
        command.arg("-p").arg(&dir).arg("-e").arg(dir.join("error.log")).arg("-c").arg(&config);
        let mut process = Process::spawn(&mut command, &dir.join("nginx.log")).unwrap();
        for port in [HTTP, GOOD, OTHER, EXPIRED, SELF_SIGNED] {
            let open = || match TcpStream::connect(SocketAddr::new([127, 0, 0, 1].into(), port)) {
                Ok(_) => Ok(Some(())),
                Err(_) if process.is_running() => Ok(None),
                Err(_) => panic!("nginx has ended: {}", process.log()),
            };
            namespace.run(|| wait_for("nginx", PATIENCE, open)).unwrap();
        }
        Self { authority, _process: process }
    }
}

fn write_certificates(dir: &Path, more: &[&str]) -> PathBuf {
    let authority = Authority::new();
    let path = dir.join("authority.pem");
    authority.write(&path);
    let good = [&["web.example", REAL, REAL_V6, VIP][..], more].concat();
    authority.issue(dir, "good", &good, 2999);
    authority.issue(dir, "other", &["other.example"], 2999);
    authority.issue(dir, "expired", &good, 2021);
    certificates::self_signed(dir, "self", &good);
    path
}

fn nginx_config(dir: &Path) -> String {
    let dir = dir.display();
    let listen = |port: u16, rest: &str| format!("listen {port} {rest}; listen [::]:{port} {rest};");
    let tls = |port, name: &str| {
        let listen = listen(port, "ssl");
        format!(
            "server {{ {listen} ssl_certificate {dir}/{name}.pem; ssl_certificate_key {dir}/{name}.key;
    location / {{ return 200 \"sni=$ssl_server_name host=$http_host\\n\"; }}
    location /long {{ alias {dir}/long; }} }}"
        )
    };
    format!(
        "user root;
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  default_type text/plain;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ {plain_default} location / {{ return 404 \"no such host\\n\"; }} }}
  server {{ {plain} server_name web.example;
    location / {{ return 200 \"{WELL}\\n\"; }}
    location /sick {{ return 503; }}
    location /away {{ return 302 /; }}
    location /agent {{ return 200 \"$request_method $http_user_agent\\n\"; }}
    location /long {{ alias {dir}/long; }} }}
  {good} {other} {expired} {own}
}}
",
        plain_default = listen(HTTP, "default_server"),
        plain = listen(HTTP, ""),
        good = tls(GOOD, "good"),
        other = tls(OTHER, "other"),
        expired = tls(EXPIRED, "expired"),
        own = tls(SELF_SIGNED, "self"),
    )
}
