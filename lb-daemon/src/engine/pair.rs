//! What the pair asks of the engine.

use lb_core::api::Health;
use lb_core::pair::digest;
use lb_core::service::Service;
use lb_core::table::RealView;

use super::Engine;
use crate::takeover::Trouble;

/// What has to be the same on both nodes of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// The table's generation when they were made.
    pub generation: u64,
    /// Of the VIPs.
    pub vips: u64,
    /// Of services and reals.
    pub services: u64,
    /// Of all slots.
    pub slots: u64,
    /// Some slot goes by the flow table.
    pub remembers: bool,
}

impl Engine {
    /// The digests, unless the table is still of this generation: they take a while.
    #[must_use]
    pub fn digests_after(&self, generation: Option<u64>) -> Option<Digests> {
        let now = self.table.generation();
        (generation != Some(now)).then(|| Digests {
            generation: now,
            vips: digest::vips(self.table.cluster()),
            services: digest::services(self.table.cluster()),
            slots: digest::slots(&self.table),
            remembers: digest::remembers(&self.table),
        })
    }

    /// How many reals no check says to be down.
    #[must_use]
    pub fn healthy_reals(&self) -> u32 {
        let services = self.table.cluster().services();
        let is_healthy = |real: &RealView<'_>| {
            let name = &real.real.name;
            let has_it = |service: &&Service| service.reals.iter().any(|member| member.real == *name);
            let its_services = services.iter().filter(has_it).map(|service| service.name.as_str());
            self.real_health(name, its_services).0 != Health::Down
        };
        self.table.reals().filter(is_healthy).count() as u32
    }

    /// Attaches the program to these interfaces anew: it was found missing there.
    ///
    /// # Errors
    /// What refuses it, in words.
    pub fn attach_again(&mut self, names: &[String]) -> Result<(), String> {
        let mut interfaces = std::mem::take(&mut self.interfaces);
        for interface in interfaces.iter_mut().filter(|interface| names.contains(&interface.name)) {
            self.let_go(interface);
            self.check_interface(interface);
        }
        let missing =
            interfaces.iter().filter(|interface| names.contains(&interface.name) && interface.mode().is_none());
        let refusals: Vec<String> = missing
            .map(|interface| {
                let subject = interface.subject();
                format!("{subject}: {}", self.troubles.message(&subject).unwrap_or("not attached"))
            })
            .collect();
        self.interfaces = interfaces;
        if refusals.is_empty() { Ok(()) } else { Err(refusals.join("; ")) }
    }

    /// Takes over what others found not to work, or to work again.
    pub fn note_trouble(&mut self, trouble: Trouble) {
        match (trouble.message, trouble.degraded) {
            (Some(message), true) => self.troubles.degraded(trouble.subject, message),
            (Some(message), false) => self.troubles.warning(trouble.subject, message),
            (None, _) => self.troubles.clear(&trouble.subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use lb_core::api::AdminState;
    use lb_core::check::{CheckResult, Outcome};

    use super::super::test_support::{Bench, CONFIG, resolved};
    use super::*;

    const KEYS: &str = "1 000102030405060708090a0b0c0d0e0f\n";

    /// A world in which `web` is in a pair, with this in `[pair]`.
    fn in_pair(more: &str) -> Bench {
        let bench = Bench::new();
        configure(&bench, more);
        write_keys(&bench, KEYS);
        bench
    }

    fn configure(bench: &Bench, more: &str) {
        let keys = bench.directory.path().join("keys");
        let pair = format!(
            "[pair]\nrole = \"primary\"\nkey_file = {keys:?}\n{more}\n[[pair.path]]\ntype = \"udp\"\n\
             interface = \"eth1\"\nlocal = \"192.0.2.2\"\npeer = \"192.0.2.3\"\n"
        );
        bench.write_config(&format!("{CONFIG}{pair}"));
    }

    fn write_keys(bench: &Bench, text: &str) {
        let path = bench.directory.path().join("keys");
        std::fs::write(&path, text).unwrap();
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    fn subjects(engine: &Engine) -> Vec<String> {
        engine.status().warnings.into_iter().map(|warning| warning.subject).collect()
    }

    #[test]
    fn digests_are_made_anew_when_the_table_has_changed() {
        let bench = Bench::new();
        let mut engine = bench.start().unwrap();
        engine.set_next_hops(vec![resolved("web1", 1), resolved("web2", 2)]);
        let before = engine.digests_after(None).unwrap();
        assert_eq!(engine.digests_after(Some(before.generation)), None);
        engine.set_admin("web1", AdminState::Drained).unwrap();
        let after = engine.digests_after(Some(before.generation)).unwrap();
        assert_eq!((after.vips, after.services), (before.vips, before.services));
        assert_ne!(after.slots, before.slots);
    }

    #[test]
    fn a_program_that_was_found_missing_is_attached_again_or_it_is_said_why_not() {
        let bench = Bench::new();
        let mut engine = bench.start().unwrap();
        bench.fake.world().attached.clear();
        engine.attach_again(&["eth0".to_owned()]).unwrap();
        assert_eq!(bench.fake.world().attached.get("eth0"), Some(&2));
        bench.fake.world().refuse_to_attach.insert("eth0".to_owned(), "no room".to_owned());
        assert_eq!(engine.attach_again(&["eth0".to_owned()]).unwrap_err(), "interface eth0: no room");
        engine.attach_again(&["eth7".to_owned()]).unwrap();
    }

    #[test]
    fn troubles_of_others_are_shown_until_they_are_over() {
        let mut engine = Bench::new().start().unwrap();
        let trouble = |message: Option<&str>, degraded| Trouble {
            subject: "rival".to_owned(),
            message: message.map(str::to_owned),
            degraded,
        };
        engine.note_trouble(trouble(Some("somebody announces a VIP"), false));
        assert_eq!((subjects(&engine), engine.status().degraded), (vec!["rival".to_owned()], false));
        engine.note_trouble(trouble(Some("somebody has a VIP"), true));
        assert!(engine.status().degraded);
        engine.note_trouble(trouble(None, true));
        assert!(subjects(&engine).is_empty());
    }

    #[test]
    fn reals_that_no_check_says_to_be_down_are_healthy() {
        assert_eq!(Bench::new().start().unwrap().healthy_reals(), 2);
    }

    #[test]
    fn a_real_that_is_down_wherever_it_serves_is_not_healthy() {
        let bench = Bench::new();
        let other = "[[service]]\nname = \"other\"\nvip = \"198.51.100.2\"\nprotocol = \"tcp\"\nport = 80\nmode = \"dsr\"\n\
                     reals = [\"web2\"]\n";
        let check = "[[check]]\nname = \"alive\"\ntype = \"tcp\"\nfall = 1\n";
        bench.write_config(&format!("{CONFIG}checks = [\"alive\"]\n{other}{check}"));
        let mut engine = bench.start().unwrap();
        let failed = |service: &str, real: &str| CheckResult {
            service: service.to_owned(),
            real: real.to_owned(),
            check: "alive".to_owned(),
            outcome: Outcome::Failed { reason: "connection refused".to_owned() },
        };
        engine.take_check_results(&[failed("web", "web1")]);
        assert_eq!(engine.healthy_reals(), 1);
        engine.take_check_results(&[failed("web", "web2")]);
        assert_eq!(engine.healthy_reals(), 1, "it serves elsewhere");
    }

    #[test]
    fn a_node_of_a_pair_may_be_without_its_vips() {
        let bench = in_pair("");
        bench.fake.world().addresses.clear();
        let engine = bench.start().unwrap();
        assert!(subjects(&engine).is_empty(), "{:?}", engine.status().warnings);
    }

    #[test]
    fn a_reload_takes_over_what_may_change_and_names_what_waits() {
        let bench = in_pair("");
        let mut engine = bench.start().unwrap();
        configure(&bench, "preempt = true");
        assert!(engine.reload().unwrap().changed);
        let (settings, keys) = bench.fake.world().pair.take().unwrap();
        assert!(settings.preempt && keys.get(1).is_some() && keys.get(2).is_none());
        assert!(!engine.reload().unwrap().changed);
        configure(&bench, "preempt = true\nheartbeat_interval = \"70ms\"");
        let reloaded = engine.reload().unwrap();
        let message = "configuration: pair.path changed, and lbd takes that over when it is restarted";
        assert_eq!(reloaded.warnings, [message]);
        bench.write_config(CONFIG);
        let message = "configuration: pair changed, and lbd takes that over when it is restarted";
        assert!(engine.reload().unwrap().warnings.contains(&message.to_owned()));
    }

    #[test]
    fn keys_are_read_again_by_a_reload_which_is_refused_when_they_cannot_be_used() {
        let bench = in_pair("");
        let mut engine = bench.start().unwrap();
        write_keys(&bench, &format!("{KEYS}2 0f0e0d0c0b0a09080706050403020100\n"));
        engine.reload().unwrap();
        assert!(bench.fake.world().pair.take().unwrap().1.get(2).is_some());
        for (bad, why) in
            [("x", "a key is"), ("1 000102030405060708090a0b0c0d0e0f web1", "no key is good for the pair")]
        {
            write_keys(&bench, bad);
            let refused = engine.reload().unwrap_err();
            assert!(refused.error.contains(why), "{}", refused.error);
            assert!(bench.fake.world().pair.is_none());
        }
    }
}
