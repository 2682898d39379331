//! Applying and undoing, on a host in memory.

use super::apply::apply;
use super::facts::{Facts, Nft};
use super::fake::{Fake, bare, own_settings, wish};
use super::record::Keeper;
use super::undo::undo;
use super::*;

struct Stage {
    host: Fake,
    said: Vec<String>,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new(facts: Facts) -> Stage {
        Stage { host: Fake::new(facts), said: Vec::new(), directory: tempfile::tempdir().unwrap() }
    }

    fn keeper(&self) -> Keeper {
        Keeper::open(self.directory.path()).unwrap()
    }

    fn apply(&mut self, wish: &Wish) -> anyhow::Result<()> {
        let keeper = self.keeper();
        apply(&mut self.host, wish, &keeper, &mut |line| self.said.push(line.to_owned()))
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        let keeper = self.keeper();
        undo(&mut self.host, &keeper, &mut |line| self.said.push(line.to_owned()))
    }
}

/// A host that filters strictly, so that everything has to be changed.
fn strict() -> Facts {
    let mut facts = bare();
    facts.settings.insert("all".to_owned(), own_settings(0, 0, 1));
    facts.settings.insert("default".to_owned(), own_settings(0, 0, 1));
    facts.links[0].up = false;
    facts
}

fn everything() -> Wish {
    let address = Some("2001:db8::21".parse().unwrap());
    Wish { address, ..wish("ipip", &["192.0.2.100", "2001:db8::100"]) }
}

#[test]
fn a_second_apply_changes_nothing_and_undo_restores_all() {
    let by_program = Wish { program: true, ..everything() };
    let gue = wish("gue", &["192.0.2.100", "2001:db8::100"]);
    for wish in [wish("dsr", &["192.0.2.100"]), wish("ipip", &["192.0.2.100"]), everything(), by_program, gue] {
        let mut stage = Stage::new(strict());
        stage.apply(&wish).unwrap();
        let (ran, applied, record) = (stage.host.ran.clone(), stage.host.facts.clone(), stage.keeper().load().unwrap());
        assert!(ran.len() >= 4, "{ran:?}");
        stage.apply(&wish).unwrap();
        assert_eq!(stage.said.last().unwrap(), "All is so already; nothing was changed.");
        assert_eq!((&stage.host.ran, &stage.host.facts), (&ran, &applied));
        assert_eq!(stage.keeper().load().unwrap(), record);
        for _ in 0..2 {
            stage.undo().unwrap();
            assert_eq!(stage.host.facts, strict());
            assert_eq!(stage.keeper().load().unwrap(), None);
        }
        assert_eq!(stage.said.last().unwrap(), "Nothing to undo: there is no record of a setup.");
    }
}

#[test]
fn undo_takes_the_vip_away_before_anything_answers_for_it() {
    let mut stage = Stage::new(bare());
    stage.apply(&wish("dsr", &["192.0.2.100"])).unwrap();
    stage.host.ran.clear();
    stage.undo().unwrap();
    let expected = [
        "ip address del 192.0.2.100/32 dev lo",
        "sysctl -w net.ipv4.conf.all.arp_announce=0",
        "sysctl -w net.ipv4.conf.all.arp_ignore=0",
    ];
    assert_eq!(stage.host.ran, expected);
}

#[test]
fn undo_repairs_what_a_crash_at_any_step_has_left() {
    let mut whole = Stage::new(strict());
    whole.apply(&everything()).unwrap();
    for (steps, late) in (0..whole.host.ran.len()).flat_map(|steps| [(steps, false), (steps, true)]) {
        let crash = |stage: &mut Stage| {
            stage.host = Fake { dies_after: steps, dies_late: late, ..Fake::new(strict()) };
            assert_eq!(stage.apply(&everything()).unwrap_err().to_string(), "killed");
            stage.host.dies_after = usize::MAX;
        };
        let mut stage = Stage::new(strict());
        crash(&mut stage);
        stage.undo().unwrap();
        assert_eq!(stage.host.facts, strict(), "after {steps} steps");
        // Going on instead comes to the same end.
        crash(&mut stage);
        stage.apply(&everything()).unwrap();
        assert_eq!(stage.host.facts, whole.host.facts, "after {steps} steps");
        stage.undo().unwrap();
        assert_eq!(stage.host.facts, strict(), "after {steps} steps");
    }
}

#[test]
fn undo_that_fails_half_way_can_be_tried_again() {
    let mut stage = Stage::new(strict());
    stage.apply(&everything()).unwrap();
    stage.host.dies_after = stage.host.ran.len() + 3;
    let error = stage.undo().unwrap_err().to_string();
    assert!(error.starts_with("not all could be undone; the rest stays in the record:\nkilled"), "{error}");
    stage.host.dies_after = usize::MAX;
    stage.undo().unwrap();
    assert_eq!(stage.host.facts, strict());
}

#[test]
fn after_a_reboot_there_is_nothing_to_undo() {
    let mut stage = Stage::new(bare());
    stage.apply(&wish("dsr", &["192.0.2.100"])).unwrap();
    // The operator has made the same settings permanent meanwhile.
    let mut rebooted = bare();
    rebooted.boot = "second".to_owned();
    rebooted.settings.insert("all".to_owned(), own_settings(1, 2, 0));
    stage.host = Fake::new(rebooted.clone());
    stage.undo().unwrap();
    assert_eq!(stage.host.facts, rebooted);
    assert_eq!(stage.keeper().load().unwrap(), None);
}

#[test]
fn a_setup_after_a_reboot_is_undone_to_what_that_boot_began_with() {
    let only = wish("dsr", &["192.0.2.100"]);
    let mut stage = Stage::new(strict());
    stage.apply(&only).unwrap();
    let mut rebooted = strict();
    rebooted.boot = "second".to_owned();
    rebooted.settings.insert("all".to_owned(), own_settings(0, 1, 1));
    stage.host = Fake::new(rebooted.clone());
    stage.apply(&only).unwrap();
    stage.undo().unwrap();
    assert_eq!(stage.host.facts, rebooted);
}

#[test]
fn what_others_have_changed_since_stays() {
    let mut stage = Stage::new(bare());
    stage.apply(&wish("ipip", &["192.0.2.100"])).unwrap();
    stage.host.facts.settings.insert("all".to_owned(), own_settings(2, 2, 0));
    let theirs = facts::Link { name: "theirs".to_owned(), kind: Some("ipip".to_owned()), ..Default::default() };
    stage.host.facts.links.push(theirs);
    stage.undo().unwrap();
    assert_eq!(stage.host.facts.settings["all"], own_settings(2, 0, 0));
    let said = stage.said.join("\n");
    assert!(
        said.contains("net.ipv4.conf.all.arp_ignore is 2 now, not 1: somebody else has set it, so it stays"),
        "{said}"
    );
    assert!(said.contains("the module ipip stays, since more tunnels use it now: tunl0, theirs"), "{said}");
    assert!(!stage.host.facts.link("tunl0").unwrap().up);
}

#[test]
fn what_was_there_before_is_not_ours_to_remove() {
    let mut facts = bare();
    facts.links[0].addresses.push(("192.0.2.100".parse().unwrap(), 32));
    facts.nft = Nft::Works(Some("add rule by hand".to_owned()));
    let mut stage = Stage::new(facts.clone());
    stage.apply(&wish("ipip", &["192.0.2.100"])).unwrap();
    assert_ne!(stage.host.facts.nft, facts.nft);
    stage.undo().unwrap();
    assert_eq!(stage.host.facts, facts);
}

#[test]
fn vips_add_up_and_go_together() {
    let mut stage = Stage::new(bare());
    stage.apply(&wish("ipip", &["192.0.2.100"])).unwrap();
    stage.apply(&wish("ipip", &["192.0.2.101"])).unwrap();
    assert_eq!(stage.keeper().load().unwrap().unwrap().wishes.len(), 2);
    assert!(stage.host.facts.has_address("192.0.2.100".parse().unwrap()));
    stage.undo().unwrap();
    assert_eq!(stage.host.facts, bare());
}

#[test]
fn nothing_is_changed_when_something_is_in_the_way() {
    let mut facts = bare();
    facts.modules.insert("ipip".to_owned(), Err("Module ipip not found".to_owned()));
    facts.links[1].xdp = true;
    let mut stage = Stage::new(facts);
    let error = stage.apply(&wish("ipip", &["192.0.2.100"])).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "nothing was changed, since this is in the way:\na program on eth0 takes packets for the VIPs"
        ),
        "{error}"
    );
    assert_eq!(stage.host.ran, [""; 0]);
    assert_eq!(stage.keeper().load().unwrap(), None);
}

#[test]
fn a_command_without_effect_does_not_run_for_ever() {
    let mut stage = Stage::new(bare());
    // The kernel as this host has it shows no table, whatever nft says.
    stage.host.facts.nft = Nft::Works(None);
    stage.host.deaf_to = "nft";
    let error = stage.apply(&wish("ipip", &["192.0.2.100"])).unwrap_err().to_string();
    assert!(error.contains("have run without an error, and yet it is not so"), "{error}");
}
