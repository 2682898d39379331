//! The `lbd` command itself on real interfaces: what it says and does on bad days, and what stays when it ends. Each test has
//! a network namespace and a BPF file system of its own. Needs root and BPF.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_core::api::{Adoption, AttachMode, Reloaded, Status};
use lb_lab::{Lbd, Namespace, Run, connect, tool, wait_for};

const LIMIT: Duration = Duration::from_secs(20);
const LBD: &str = env!("CARGO_BIN_EXE_lbd");

const CONFIG: &str = r#"interfaces = ["us-a"]

[[real]]
name = "web1"
address = "192.0.2.11"

[[service]]
name = "web"
vip = "198.51.100.1"
protocol = "tcp"
port = 80
mode = "dsr"
reals = ["web1"]
"#;

/// A balancer's host, whose interface `us-a` leads to a real's.
struct Bench {
    lbd: Lbd,
    balancer: Namespace,
    real: Namespace,
    run: Run,
}

impl Bench {
    fn new() -> Result<Self> {
        let run = Run::start()?;
        let (balancer, real) = (Namespace::new(&run, "lb")?, Namespace::new(&run, "real")?);
        let mut lbd = Lbd::prepare(&run, &balancer, CONFIG)?;
        lbd.use_program(Path::new(LBD));
        let bench = Self { lbd, balancer, real, run };
        bench.add_interface()?;
        Ok(bench)
    }

    fn add_interface(&self) -> Result<()> {
        connect(&self.balancer, "us-a", &self.real, "us-b")?;
        self.balancer.add_address("us-a", "192.0.2.1".parse()?, 24)?;
        self.balancer.add_address("us-a", "198.51.100.1".parse()?, 32)?;
        self.real.add_address("us-b", "192.0.2.11".parse()?, 24)
    }

    /// Runs `lbd` beside the one that may run, to its end.
    fn run_lbd(&self, words: &[&str]) -> Result<Output> {
        let mut command = tool(LBD);
        command.args(words).arg("--config").arg(self.lbd.config());
        self.balancer.handle().bind(&mut command);
        command.output().context("cannot run lbd")
    }

    fn request<T: serde::de::DeserializeOwned>(&self, request: &str) -> Result<T> {
        let mut stream = UnixStream::connect(self.lbd.socket())?;
        write!(stream, "{request} HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        serde_json::from_str(body).with_context(|| body.to_owned())
    }

    /// Waits for a status of which this is true.
    fn wait(&mut self, what: &str, mut is_so: impl FnMut(&Status) -> bool) -> Result<Status> {
        let outcome = wait_for(what, LIMIT, || {
            ensure!(self.lbd.is_running(), "lbd has ended");
            Ok(self.request::<Status>("GET /v1/status").ok().filter(|status| is_so(status)))
        });
        outcome.with_context(|| self.lbd.log())
    }

    fn start(&mut self) -> Result<Status> {
        self.lbd.start_again()?;
        let pid = self.lbd.running()?.pid();
        self.wait("lbd to be attached", |status| status.pid == pid && status.interfaces[0].mode.is_some())
    }

    /// The id of the XDP program on `us-a`.
    fn program(&self) -> Result<Option<u64>> {
        let shown: serde_json::Value = serde_json::from_str(&self.balancer.ip("-json -details link show dev us-a")?)?;
        Ok(shown[0]["xdp"]["prog"]["id"].as_u64())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_killed_lbd_leaves_the_program_and_its_successor_replaces_it() -> Result<()> {
    let mut bench = Bench::new()?;
    let first = bench.start()?;
    assert_eq!(first.adoption, Adoption::Fresh);
    assert_eq!(first.interfaces[0].mode, Some(AttachMode::Driver));
    let before = bench.program()?.context("no program")?;
    bench.lbd.kill()?;
    assert_eq!(bench.program()?, Some(before));
    let second = bench.start()?;
    assert_eq!(second.adoption, Adoption::Adopted);
    let after = bench.program()?.context("no program")?;
    assert_ne!(after, before);
    bench.lbd.stop()?;
    assert_eq!(bench.program()?, Some(after));
    assert!(bench.lbd.log().contains("the XDP program stays attached"));
    Ok(())
}

#[test]
fn detach_takes_everything_off_unless_lbd_runs() -> Result<()> {
    let mut bench = Bench::new()?;
    bench.start()?;
    let refused = bench.run_lbd(&["detach"])?;
    let expected = format!("lbd: cannot detach: another lbd (pid {}) uses", bench.lbd.running()?.pid());
    assert!(text(&refused.stderr).starts_with(&expected), "{}", text(&refused.stderr));
    assert_eq!(refused.status.code(), Some(1));
    bench.lbd.stop()?;
    let done = bench.run_lbd(&["detach"])?;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("removed attachment to interface us-a in driver mode\n"));
    assert_eq!(bench.program()?, None);
    assert!(!bench.lbd.bpf_dir().exists());
    let again = bench.run_lbd(&["detach"])?;
    assert_eq!(text(&again.stdout), format!("nothing to remove: there is no {}\n", bench.lbd.bpf_dir().display()));
    Ok(())
}

#[test]
fn a_second_lbd_is_refused_and_a_killed_one_is_in_nobodys_way() -> Result<()> {
    let mut bench = Bench::new()?;
    bench.start()?;
    let pid = bench.lbd.running()?.pid();
    let second = bench.run_lbd(&["run"])?;
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    let line = format!(
        "lbd: another lbd (pid {pid}) uses {}/run: stop it first, or give this one a `run_dir` of its own",
        bench.run.dir().display()
    );
    assert_eq!(said.lines().last(), Some(line.as_str()), "{said}");
    bench.lbd.kill()?;
    bench.start()?;
    Ok(())
}

#[test]
fn an_interface_may_be_missing_come_go_and_come_again() -> Result<()> {
    let mut bench = Bench::new()?;
    bench.balancer.ip("link del us-a")?;
    bench.lbd.start_again()?;
    let status = bench.wait("lbd to miss the interface", |status| status.interfaces[0].error.is_some())?;
    assert!(status.degraded);
    let error = status.interfaces[0].error.clone().unwrap_or_default();
    assert!(error.starts_with("does not exist; lbd attaches to it when it appears"), "{error}");
    for round in ["first", "second"] {
        bench.add_interface()?;
        bench.wait(&format!("the {round} attachment"), |status| status.interfaces[0].mode.is_some())?;
        assert!(bench.program()?.is_some());
        bench.balancer.ip("link del us-a")?;
        bench.wait("lbd to miss the interface again", |status| status.interfaces[0].mode.is_none())?;
    }
    Ok(())
}

#[test]
fn another_program_on_the_interface_is_named_and_left_alone() -> Result<()> {
    let mut bench = Bench::new()?;
    bench.balancer.attach_xdp("us-a", &lb_lab::lab_object()?, "pass_all")?;
    let other = bench.program()?;
    bench.lbd.start_again()?;
    let status = bench.wait("lbd to be refused", |status| status.interfaces[0].error.is_some())?;
    assert!(status.degraded);
    let error = status.interfaces[0].error.clone().unwrap_or_default();
    assert!(error.contains("has another XDP program already"), "{error}");
    assert!(error.contains("`ip link set dev us-a xdp off`"), "{error}");
    assert_eq!(bench.program()?, other);
    Ok(())
}

#[test]
fn a_reload_by_signal_of_a_wrong_file_is_refused_and_of_a_right_one_taken_over() -> Result<()> {
    let mut bench = Bench::new()?;
    bench.start()?;
    bench.lbd.write_config(&CONFIG.replace("port = 80", "prot = 80"))?;
    bench.lbd.running()?.signal(libc::SIGHUP)?;
    wait_for("the refusal", LIMIT, || Ok(bench.lbd.log().contains("reload refused").then_some(())))?;
    assert!(bench.lbd.log().contains("did you mean `port`?"));
    bench.lbd.write_config(&CONFIG.replace("port = 80", "port = 81"))?;
    bench.lbd.running()?.signal(libc::SIGHUP)?;
    wait_for("the reload", LIMIT, || Ok(bench.lbd.log().contains("INFO reloaded ").then_some(())))?;
    let again: Reloaded = bench.request("POST /v1/reload")?;
    assert!(!again.changed);
    Ok(())
}

#[test]
fn maps_of_another_size_are_replaced_and_said_to_be() -> Result<()> {
    let mut bench = Bench::new()?;
    bench.start()?;
    bench.lbd.stop()?;
    bench.lbd.write_config(&format!("limits.flows = 2048\n{CONFIG}"))?;
    let status = bench.start()?;
    assert_eq!(status.adoption, Adoption::Replaced);
    assert!(status.adoption_reason.is_some_and(|reason| reason.contains("flows")));
    assert!(bench.lbd.log().contains("counters begin at zero"));
    Ok(())
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_warning() -> Result<()> {
    let mut bench = Bench::new()?;
    fs::write(bench.run.dir().join("state"), "a file where a directory should be")?;
    bench.start()?;
    let status = bench.wait("the warning", |status| !status.state.saved)?;
    let warning = status.warnings.iter().find(|warning| warning.subject == "state").context("no warning")?;
    assert!(warning.message.contains("a restart of lbd forgets the newest changes"), "{}", warning.message);
    assert!(bench.program()?.is_some(), "traffic goes on");
    Ok(())
}

#[test]
fn check_says_ok_or_everything_that_is_wrong() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("lbd.toml");
    let check = |text: &str| {
        fs::write(&path, text)?;
        Command::new(LBD).args(["check", "--config"]).arg(&path).output().context("cannot run lbd")
    };
    let good = check(CONFIG)?;
    let told = text(&good.stdout);
    assert!(
        told.starts_with(&format!("{}: ok (services: 1, reals: 1)\nmemory: the maps take ", path.display())),
        "{told}"
    );
    assert_eq!(good.status.code(), Some(0));
    let bad = check(&CONFIG.replace("us-a", "us/a").replace("dsr", "gre"))?;
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("lbd.toml:1:15") && text(&bad.stderr).ends_with("2 errors\n"));
    let unfit = check(&CONFIG.replace("[[real]]", "[reports]\nkey_file = \"/nowhere/keys\"\n[[real]]"))?;
    assert_eq!(unfit.status.code(), Some(1));
    let said = text(&unfit.stderr);
    assert!(
        said.starts_with("error: cannot use the key file /nowhere/keys: ") && said.ends_with("\n1 error\n"),
        "{said}"
    );
    let usage = Command::new(LBD).arg("check").output()?;
    assert_eq!(usage.status.code(), Some(2));
    Ok(())
}

#[test]
fn without_privileges_the_missing_ones_are_named() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("lbd.toml");
    fs::write(&path, CONFIG)?;
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", LBD, "run", "--config"]).arg(&path);
    let output = command.output().context("cannot run setpriv")?;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let line = "lbd: not permitted: CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF missing; \
                run lbd as root, or give it CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON";
    assert_eq!(said.lines().last(), Some(line), "{said}");
    Ok(())
}
