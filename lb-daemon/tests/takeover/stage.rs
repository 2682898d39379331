//! What the tests have in common: a load balancer, another host and a client on one switch; the takeover, and what it says.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use lb_core::pair::{Input, Memory, Role};
use lb_daemon::config::{HookSettings, VipGroup};
use lb_daemon::takeover::{self, Attaching, Job, Jobs, Settings, Surroundings, Takeover, Trouble};
use lb_lab::{Namespace, Run, connect, wait_for};

/// A test that waits longer than this has failed; none waits by design.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const VIP: &str = "192.0.2.101";
pub const VIP_V6: &str = "2001:db8::101";
const NEVER: Duration = Duration::from_secs(3600);

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `lb`, `other` and `client`, each with an `eth0` on the switch.
pub struct Stage {
    pub lb: Namespace,
    pub other: Namespace,
    pub client: Namespace,
    pub switch: Namespace,
    pub run: Run,
}

impl Stage {
    pub fn new() -> Self {
        let run = Run::start().unwrap();
        let namespace = |what: &str| Namespace::new(&run, what).unwrap();
        let stage = Self {
            lb: namespace("lb"),
            other: namespace("other"),
            client: namespace("client"),
            switch: namespace("switch"),
            run,
        };
        stage.switch.ip("link add name br0 type bridge").unwrap();
        stage.switch.ip("link set dev br0 type bridge mcast_snooping 0").unwrap();
        stage.switch.up("br0").unwrap();
        stage.plug(&stage.lb, "lb", 2);
        stage.plug(&stage.other, "other", 3);
        stage.plug(&stage.client, "client", 10);
        stage
    }

    fn plug(&self, namespace: &Namespace, port: &str, host: u8) {
        connect(namespace, "eth0", &self.switch, port).unwrap();
        self.switch.ip(&format!("link set dev {port} master br0")).unwrap();
        self.switch.up(port).unwrap();
        namespace.up("eth0").unwrap();
        namespace.add_address("eth0", ip(&format!("192.0.2.{host}")), 24).unwrap();
        namespace.add_address("eth0", ip(&format!("2001:db8::{host:x}")), 64).unwrap();
    }

    /// The directory for what outlives a daemon.
    pub fn state_dir(&self) -> PathBuf {
        self.run.dir().join("state")
    }

    /// Waits until the client finds the address at the host's MAC. It sends a packet there first, as a client would.
    pub fn wait_until_client_finds(&self, address: &str, host: &Namespace) {
        let wanted = format!("lladdr {}", mac(host));
        wait_for(&format!("{address} at {wanted}"), PATIENCE, || {
            let shown = self.client.ip(&format!("neighbour show {address} dev eth0"))?;
            Ok(shown.contains(&wanted).then_some(()))
        })
        .unwrap();
    }

    /// Has the client send a packet to the address, so that it looks for it.
    pub fn client_sends_to(&self, address: &str) {
        let to = SocketAddr::new(ip(address), 9);
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        self.client
            .run(|| {
                UdpSocket::bind(any)?.send_to(b"?", to)?;
                Ok(())
            })
            .unwrap();
    }
}

/// The MAC address of a host, as `ip` prints it.
pub fn mac(host: &Namespace) -> String {
    host.mac("eth0").unwrap().map(|byte| format!("{byte:02x}")).join(":")
}

/// Whether a host has an address.
pub fn has(host: &Namespace, address: &str) -> bool {
    host.ip("address show dev eth0").unwrap().contains(&format!("{address}/"))
}

/// The takeover's settings: both VIPs on `eth0`, no hooks, no look for duplicates.
pub fn settings() -> Settings {
    Settings {
        groups: vec![VipGroup {
            name: "front".to_owned(),
            interface: "eth0".to_owned(),
            vips: vec![ip(VIP), ip(VIP_V6)],
        }],
        announce_interval: NEVER,
        duplicate_detection: false,
        hooks: HookSettings { notify: None, fence: None, timeout: NEVER, fence_required: false },
        role: Role::Primary,
        peer: vec![ip("192.0.2.3")],
        program: None,
    }
}

/// A takeover at work in a namespace, and what it says.
pub struct Node {
    pub takeover: Takeover,
    pub jobs: Jobs,
    pub inputs: Receiver<Input>,
    pub troubles: Receiver<Trouble>,
    pub found_nobody: Arc<AtomicBool>,
    pub peer_has_served: Arc<AtomicBool>,
    pub peer_is_undecided: Arc<AtomicBool>,
    pub is_owner: Arc<AtomicBool>,
    pub attached: Receiver<Vec<String>>,
}

struct Recorder {
    inputs: Sender<Input>,
    troubles: Sender<Trouble>,
    attached: Sender<Vec<String>>,
    found_nobody: Arc<AtomicBool>,
    peer_has_served: Arc<AtomicBool>,
    peer_is_undecided: Arc<AtomicBool>,
    is_owner: Arc<AtomicBool>,
}

impl Surroundings for Recorder {
    fn reply(&self, input: Input) {
        let _ = self.inputs.send(input);
    }

    fn attach(&self, interfaces: Vec<String>) -> Attaching {
        let _ = self.attached.send(interfaces);
        Box::pin(async { Ok(()) })
    }

    fn trouble(&self, trouble: Trouble) {
        let _ = self.troubles.send(trouble);
    }

    fn found_nobody(&self) {
        self.found_nobody.store(true, Ordering::Relaxed);
    }

    fn peer_is_heard(&self) -> bool {
        self.peer_has_served()
    }

    fn peer_is_undecided(&self) -> bool {
        self.peer_is_undecided.load(Ordering::Relaxed)
    }

    fn peer_has_served(&self) -> bool {
        self.peer_has_served.load(Ordering::Relaxed)
    }

    fn is_owner(&self) -> bool {
        self.is_owner.load(Ordering::Relaxed)
    }
}

impl Node {
    pub fn start(stage: &Stage, host: &Namespace, settings: Settings) -> Self {
        Self::start_with(host, settings, &stage.state_dir(), false)
    }

    /// Starts with a state directory of its own, in the place of a predecessor if it resumes.
    pub fn start_with(host: &Namespace, settings: Settings, state_dir: &std::path::Path, resumes: bool) -> Self {
        let (inputs_sender, inputs) = channel();
        let (troubles_sender, troubles) = channel();
        let (attached_sender, attached) = channel();
        let found_nobody = Arc::new(AtomicBool::new(false));
        let peer_has_served = Arc::new(AtomicBool::new(false));
        let peer_is_undecided = Arc::new(AtomicBool::new(false));
        let is_owner = Arc::new(AtomicBool::new(true));
        let recorder = Recorder {
            inputs: inputs_sender,
            troubles: troubles_sender,
            attached: attached_sender,
            found_nobody: found_nobody.clone(),
            peer_has_served: peer_has_served.clone(),
            peer_is_undecided: peer_is_undecided.clone(),
            is_owner: is_owner.clone(),
        };
        let (jobs, queue) = takeover::channel();
        let mut loaded = takeover::load(state_dir, 0);
        if resumes {
            loaded.memory = Memory { resume_until: Some(u64::MAX), ..loaded.memory };
        }
        let takeover =
            host.run(|| Ok(takeover::start(settings, &loaded, state_dir, queue, Arc::new(recorder))?)).unwrap();
        Self { takeover, jobs, inputs, troubles, found_nobody, peer_has_served, peer_is_undecided, is_owner, attached }
    }

    pub fn ask(&self, job: Job) {
        self.jobs.send(job).unwrap();
    }

    /// Takes over and returns what came of it.
    pub fn acquire(&self, fence: bool) -> Result<(), String> {
        self.ask(Job::Acquire { epoch: 1, fence });
        self.acquired()
    }

    pub fn acquired(&self) -> Result<(), String> {
        self.input(|input| match input {
            Input::Acquired(outcome) => Some(outcome),
            _ => None,
        })
    }

    /// What it says next of a kind.
    pub fn input<T>(&self, pick: impl Fn(Input) -> Option<T>) -> T {
        loop {
            let input = self.inputs.recv_timeout(PATIENCE).expect("nothing is said");
            if let Some(picked) = pick(input) {
                return picked;
            }
        }
    }

    pub fn forbidden(&self) -> Option<String> {
        self.input(|input| match input {
            Input::Forbid(reason) => Some(reason),
            _ => None,
        })
    }

    /// The next trouble about a subject.
    pub fn trouble(&self, subject: &str) -> String {
        loop {
            let trouble = self.troubles.recv_timeout(PATIENCE).expect("no trouble is told");
            if let Some(message) = trouble.message.filter(|_| trouble.subject == subject) {
                return message;
            }
        }
    }

    /// Ends it as a daemon that is killed does: the VIPs stay.
    pub fn end(self) {
        drop(self.jobs);
        self.takeover.join();
    }
}

/// Waits until a host has the VIPs, or has not.
pub fn wait_for_vips(host: &Namespace, wanted: bool) {
    let what = if wanted { "the VIPs on the host" } else { "the VIPs off the host" };
    let outcome =
        wait_for(what, PATIENCE, || Ok((has(host, VIP) == wanted && has(host, VIP_V6) == wanted).then_some(())));
    outcome.unwrap();
}
