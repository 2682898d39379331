//! The configuration: pools of reals, and services that share them.

use std::fmt::Write as _;

/// Services of a pool.
pub const SERVICES: usize = 64;
/// Reals of a pool.
pub const REALS: usize = 16;
/// In the block for benchmarks (RFC 2544): the first two bytes of reals.
const REAL_NET: &str = "198.18";
/// The first two bytes of VIPs: a VIP for each pool.
const VIP_NET: &str = "198.19";
const FIRST_PORT: usize = 1_000;
/// Ports of the services that take the place of the first ones.
const OTHER_PORT: usize = 2_000;
const WEIGHT: u32 = 100;

/// What is configured.
#[derive(Clone, Debug)]
pub struct Pools {
    count: usize,
    /// The first real of so many pools has twice the weight.
    heavier: usize,
    first_port: usize,
    first_service_lacks_a_real: bool,
    one_service: bool,
}

impl Pools {
    /// So many pools.
    pub fn new(count: usize) -> Pools {
        Pools { count, heavier: 0, first_port: FIRST_PORT, first_service_lacks_a_real: false, one_service: false }
    }

    /// How many pools there are.
    pub fn count(&self) -> usize {
        self.count
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
    pub fn reals(&self) -> impl Iterator<Item = String> {
        (0..self.count).flat_map(|pool| (0..REALS).map(move |real| address(pool, real)))
    }

    /// The file, without the directories.
    pub fn text(&self) -> String {
        let mut text = String::from("interfaces = [\"eth0\"]\n");
        for pool in 0..self.count {
            for real in 0..REALS {
                let weight = if real == 0 && pool < self.heavier { 2 * WEIGHT } else { WEIGHT };
                let (name, address) = (name(pool, real), address(pool, real));
                let _ = write!(text, "[[real]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = {weight}\n");
            }
        }
        for pool in 0..self.count {
            for service in 0..SERVICES {
                self.add_service(&mut text, pool, service);
            }
        }
        text
    }

    fn add_service(&self, text: &mut String, pool: usize, service: usize) {
        if self.one_service && (pool, service) != (0, 0) {
            return;
        }
        let lacks_one = self.first_service_lacks_a_real && (pool, service) == (0, 0);
        let reals = if lacks_one { REALS - 1 } else { REALS };
        let members: Vec<String> = (0..reals).map(|real| format!("\"{}\"", name(pool, real))).collect();
        let (port, members) = (self.first_port + service, members.join(", "));
        let _ = write!(
            text,
            "[[service]]\nname = \"pool-{pool}-{port}\"\nvip = \"{VIP_NET}.{pool}.1\"\nprotocol = \"tcp\"\nport = {port}\nmode = \"dsr\"\nreals = [{members}]\n"
        );
    }
}

fn name(pool: usize, real: usize) -> String {
    format!("pool-{pool}-real-{real}")
}

fn address(pool: usize, real: usize) -> String {
    format!("{REAL_NET}.{pool}.{}", real + 1)
}
