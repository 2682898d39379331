//! The configuration: pools of reals, and services that share them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// In the block for benchmarks (RFC 2544), as everything here: the address before that of the first real.
const REALS_BEGIN: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// An id has 16 bits, and 0 is no real.
const MAX_REALS: usize = 65_535;
/// What `limits.reals` is where it is not set.
const USUAL_REALS: usize = 4_095;
/// The first two bytes of VIPs.
const VIP_NET: &str = "198.19";
/// Services of a VIP.
const PORTS: usize = 64;
pub const FIRST_PORT: usize = 1_000;
/// Ports of the services that take the place of the first ones.
const OTHER_PORT: usize = 2_000;
const WEIGHT: u32 = 100;

/// How much there is of what.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Pools of reals.
    pub pools: usize,
    /// Services of a pool.
    pub services: usize,
    /// Reals of a pool; the last pool has fewer where there would be more reals than there are ids.
    pub reals: usize,
    /// What `limits.flows` is; none as it is where nobody says.
    pub flows: Option<u32>,
}

/// What is configured.
#[derive(Clone, Debug)]
pub struct Pools {
    size: Size,
    /// The first real of so many pools has twice the weight.
    heavier: usize,
    first_port: usize,
    first_service_lacks_a_real: bool,
    one_service: bool,
    /// More lines at the end.
    more: String,
}

impl Size {
    /// All services.
    pub fn all_services(&self) -> usize {
        self.pools * self.services
    }

    /// All reals.
    pub fn all_reals(&self) -> usize {
        (self.pools * self.reals).min(MAX_REALS)
    }
}

impl Pools {
    /// Pools of this size.
    pub fn new(size: Size) -> Pools {
        Pools {
            size,
            heavier: 0,
            first_port: FIRST_PORT,
            first_service_lacks_a_real: false,
            one_service: false,
            more: String::new(),
        }
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        self.size
    }

    /// With these lines at the end.
    pub fn with(self, more: String) -> Pools {
        Pools { more, ..self }
    }

    /// The first service lists one real less than the others of its pool.
    pub fn without_last_real_of_first_service(self) -> Pools {
        Pools { first_service_lacks_a_real: true, ..self }
    }

    /// The first real of so many pools has twice the weight.
    pub fn heavier(self, pools: usize) -> Pools {
        Pools { heavier: pools, ..self }
    }

    /// Other services, of other names and ports, with the same reals.
    pub fn replaced(self) -> Pools {
        Pools { first_port: OTHER_PORT, ..self }
    }

    /// One of the replaced services only.
    pub fn of_one_service(self) -> Pools {
        Pools { one_service: true, ..self.replaced() }
    }

    /// Addresses of all reals.
    pub fn reals(&self) -> impl Iterator<Item = Ipv4Addr> {
        (0..self.size.all_reals()).map(address)
    }

    /// The file, without the directories.
    pub fn text(&self) -> String {
        let mut text = String::from("interfaces = [\"eth0\"]\n");
        if self.size.all_reals() > USUAL_REALS {
            let _ = writeln!(text, "limits.reals = {}", self.size.all_reals());
        }
        if let Some(flows) = self.size.flows {
            let _ = writeln!(text, "limits.flows = {flows}");
        }
        for pool in 0..self.size.pools {
            for (place, real) in self.reals_of(pool).enumerate() {
                let weight = if place == 0 && pool < self.heavier { 2 * WEIGHT } else { WEIGHT };
                let (name, address) = (name(real), address(real));
                let _ = write!(text, "[[real]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = {weight}\n");
            }
        }
        for service in 0..if self.one_service { 1 } else { self.size.all_services() } {
            self.add_service(&mut text, service);
        }
        text + &self.more
    }

    fn add_service(&self, text: &mut String, service: usize) {
        let mut members: Vec<String> =
            self.reals_of(service / self.size.services).map(|real| format!("\"{}\"", name(real))).collect();
        if self.first_service_lacks_a_real && service == 0 {
            members.pop();
        }
        let (vip, port, members) = (vip(service), self.first_port + service % PORTS, members.join(", "));
        let _ = write!(
            text,
            "[[service]]\nname = \"service-{service}-{port}\"\nvip = \"{vip}\"\nprotocol = \"tcp\"\nport = {port}\nmode = \"dsr\"\nreals = [{members}]\n"
        );
    }

    fn reals_of(&self, pool: usize) -> impl Iterator<Item = usize> {
        let first = pool * self.size.reals;
        first..(first + self.size.reals).min(self.size.all_reals())
    }
}

/// The VIP of a service.
fn vip(service: usize) -> String {
    format!("{VIP_NET}.{}.1", service / PORTS)
}

fn name(real: usize) -> String {
    format!("real-{real}")
}

fn address(real: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(REALS_BEGIN + 1 + real as u32)
}
