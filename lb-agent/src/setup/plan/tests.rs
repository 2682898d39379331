//! What the planner finds, shown as a dry run shows it.

use std::path::Path;

use super::super::facts::Nft;
use super::super::fake::{Fake, bare, own_settings, wish};
use super::super::host::Host as _;
use super::super::show;
use super::*;

/// The dry run of a wish on a host, without its last lines.
fn shown(wish: &Wish, facts: &Facts) -> String {
    let text = show::dry_run(wish, &plan(wish, facts).unwrap(), Path::new("/var/lib/understudy-agent"));
    let (steps, end) = text.split_once("\n# --apply runs").unwrap();
    assert!(end.contains("/var/lib/understudy-agent") && end.contains("survives a reboot"), "{end}");
    steps.to_owned()
}

/// The commands of the steps that are to be taken.
fn commands(wish: &Wish, facts: &Facts) -> Vec<String> {
    let steps = plan(wish, facts).unwrap().into_iter();
    let changes = steps.filter_map(|step| match step.state {
        State::Todo { change, .. } => Some(change.commands()),
        State::So | State::Blocked { .. } => None,
    });
    changes.flatten().map(|command| command.join(" ")).collect()
}

/// Why the wish cannot be fulfilled.
fn obstacles(wish: &Wish, facts: &Facts) -> String {
    let steps = plan(wish, facts).unwrap();
    blocked(&steps).map(show::reason).collect::<Vec<_>>().join("\n")
}

/// `rp_filter` of these places; the rest is 0.
fn filtering(values: &[(&str, u32)]) -> Facts {
    let mut facts = bare();
    facts.settings.extend(values.iter().map(|(place, value)| ((*place).to_owned(), own_settings(0, 0, *value))));
    facts
}

fn filters(commands: Vec<String>) -> Vec<String> {
    commands.into_iter().filter(|command| command.contains("rp_filter")).collect()
}

#[test]
fn dsr_over_ipv4() {
    let expected = "\
# Real server for 192.0.2.100 (mode dsr). Nothing has been changed.

# eth0 is up: so already

# arp_ignore of all is 1
#   now: it is 0
#   why: without it the host answers ARP for the VIP on lo, and takes the load balancer's place
sysctl -w net.ipv4.conf.all.arp_ignore=1

# arp_announce of all is 2
#   now: it is 0
#   why: without it the host's ARP requests tell its neighbours that the VIP is here
sysctl -w net.ipv4.conf.all.arp_announce=2

# lo is up: so already

# lo has 192.0.2.100/32
#   now: no interface has it
#   why: the host takes packets for the VIP only when it has the address
ip address add 192.0.2.100/32 dev lo
";
    assert_eq!(shown(&wish("dsr", &["192.0.2.100"]), &bare()), expected);
}

#[test]
fn dsr_over_ipv6() {
    let expected = "\
# Real server for 2001:db8::100 (mode dsr). Nothing has been changed.

# eth0 is up: so already

# lo can have IPv6 addresses: so already

# lo is up: so already

# lo has 2001:db8::100/128
#   now: no interface has it
#   why: the host takes packets for the VIP only when it has the address
ip address add 2001:db8::100/128 dev lo nodad
";
    assert_eq!(shown(&wish("dsr", &["2001:db8::100"]), &bare()), expected);
}

#[test]
fn ipv4_in_ipv4() {
    let expected = "\
# Real server for 192.0.2.100 (mode ipip). Nothing has been changed.

# eth0 is up: so already

# arp_ignore of all is 1
#   now: it is 0
#   why: without it the host answers ARP for the VIP on lo, and takes the load balancer's place
sysctl -w net.ipv4.conf.all.arp_ignore=1

# arp_announce of all is 2
#   now: it is 0
#   why: without it the host's ARP requests tell its neighbours that the VIP is here
sysctl -w net.ipv4.conf.all.arp_announce=2

# there is a tunnel interface tunl0
#   now: the kernel module ipip is not loaded
#   why: it takes the outer header off, whoever sent the packet
modprobe ipip

# tunl0 is up
#   now: it is down
#   why: a tunnel that is down takes no packets
ip link set dev tunl0 up

# rp_filter of tunl0 is 0: so already

# the VIPs offer clients small enough TCP segments (192.0.2.100: 1440 bytes)
#   now: no rule does that
#   why: a full-sized packet of a client does not fit into the tunnel, and ICMP that says so may be filtered
nft 'add table inet understudy_agent; delete table inet understudy_agent; add table inet understudy_agent; \
add chain inet understudy_agent replies { type filter hook postrouting priority mangle; }; \
add rule inet understudy_agent replies ip saddr { 192.0.2.100 } tcp flags syn \
tcp option maxseg size > 1440 tcp option maxseg size set 1440'

# lo is up: so already

# lo has 192.0.2.100/32
#   now: no interface has it
#   why: the host takes packets for the VIP only when it has the address
ip address add 192.0.2.100/32 dev lo
";
    assert_eq!(shown(&wish("ipip", &["192.0.2.100"]), &bare()), expected.replace("\\\n", ""));
}

#[test]
fn ipv6_in_ipv6() {
    let steps = commands(&wish("ipip", &["2001:db8::100"]), &bare());
    let nft = "nft add table inet understudy_agent; delete table inet understudy_agent; add table inet understudy_agent; \
               add chain inet understudy_agent replies { type filter hook postrouting priority mangle; }; \
               add rule inet understudy_agent replies ip6 saddr { 2001:db8::100 } tcp flags syn \
               tcp option maxseg size > 1400 tcp option maxseg size set 1400";
    let expected =
        ["modprobe ip6_tunnel", "ip link set dev ip6tnl0 up", nft, "ip address add 2001:db8::100/128 dev lo nodad"];
    assert_eq!(steps, expected);
}

#[test]
fn ipv4_in_ipv6() {
    let mut wish = wish("ipip", &["192.0.2.100"]);
    wish.address = Some("2001:db8::21".parse().unwrap());
    let mut facts = filtering(&[("default", 2)]);
    let nft = "nft add table inet understudy_agent; delete table inet understudy_agent; add table inet understudy_agent; \
               add chain inet understudy_agent replies { type filter hook postrouting priority mangle; }; \
               add rule inet understudy_agent replies ip saddr { 192.0.2.100 } tcp flags syn \
               tcp option maxseg size > 1420 tcp option maxseg size set 1420";
    let expected = [
        "sysctl -w net.ipv4.conf.all.arp_ignore=1",
        "sysctl -w net.ipv4.conf.all.arp_announce=2",
        "modprobe ip6_tunnel",
        "ip -6 tunnel change ip6tnl0 mode any",
        "ip link set dev ip6tnl0 up",
        "sysctl -w net.ipv4.conf.ip6tnl0.rp_filter=0",
        nft,
        "ip address add 192.0.2.100/32 dev lo",
    ];
    assert_eq!(commands(&wish, &facts), expected);
    // An interface that has IPv6 alone says the same.
    wish.address = None;
    facts.links[1].addresses.remove(0);
    assert_eq!(commands(&wish, &facts), expected);
}

#[test]
fn a_vip_becomes_an_address_only_when_nothing_answers_for_it() {
    let steps = commands(&wish("ipip", &["192.0.2.100", "2001:db8::100"]), &bare());
    let addresses = steps.iter().position(|step| step.starts_with("ip address")).unwrap();
    assert_eq!(addresses, steps.len() - 2, "{steps:?}");
}

#[test]
fn the_greater_of_all_and_the_interface_counts_for_arp() {
    let only = wish("dsr", &["192.0.2.100"]);
    let arp = |all: (u32, u32), own: (u32, u32)| {
        let mut facts = bare();
        facts.settings.insert("all".to_owned(), own_settings(all.0, all.1, 0));
        facts.settings.insert("eth0".to_owned(), own_settings(own.0, own.1, 0));
        let steps = commands(&only, &facts).into_iter().filter(|step| step.contains("arp"));
        steps.map(|step| step.replace("sysctl -w net.ipv4.conf.", "")).collect::<Vec<_>>()
    };
    assert_eq!(arp((0, 0), (1, 2)), [""; 0], "the interface alone has it");
    assert_eq!(arp((2, 2), (0, 0)), [""; 0]);
    assert_eq!(arp((0, 1), (0, 1)), ["all.arp_ignore=1", "all.arp_announce=2"]);
    // 8 answers for no address at all, 3 for those of lo too.
    assert_eq!(arp((8, 2), (3, 0)), ["all.arp_ignore=1", "eth0.arp_ignore=1"]);
    assert_eq!(arp((0, 2), (3, 0)), ["eth0.arp_ignore=1"]);
    assert_eq!(arp((1, 3), (0, 0)), ["all.arp_announce=2"], "above 2 it means nothing");
}

#[test]
fn the_greater_of_all_and_the_tunnel_counts_for_filtering() {
    let only = wish("ipip", &["192.0.2.100"]);
    let steps = |values: &[(&str, u32)]| filters(commands(&only, &filtering(values)));
    assert_eq!(steps(&[]), [""; 0]);
    // tunl0 begins with the default.
    assert_eq!(steps(&[("default", 2)]), ["sysctl -w net.ipv4.conf.tunl0.rp_filter=0"]);
    assert_eq!(steps(&[("default", 2), ("tunl0", 0)]), [""; 0]);
    // The others go on to filter as they did.
    let expected = ["default.rp_filter=1", "eth0.rp_filter=1", "all.rp_filter=0"];
    assert_eq!(
        steps(&[("all", 1), ("tunl0", 0), ("eth1", 2)]),
        expected.map(|set| format!("sysctl -w net.ipv4.conf.{set}"))
    );
}

#[test]
fn loose_filtering_is_enough_for_a_tunnel_with_an_address() {
    let mut facts = filtering(&[("all", 2), ("tunl0", 0)]);
    let tunnel = |addresses| Link { name: "tunl0".to_owned(), up: true, addresses, ..Link::default() };
    facts.links.push(tunnel(vec![("192.0.2.100".parse().unwrap(), 32)]));
    let only = wish("ipip", &["192.0.2.100"]);
    assert_eq!(filters(commands(&only, &facts)), [""; 0]);
    facts.links.pop();
    facts.links.push(tunnel(vec![]));
    assert_eq!(filters(commands(&only, &facts)).last().unwrap(), "sysctl -w net.ipv4.conf.all.rp_filter=0");
}

#[test]
fn answers_that_go_out_another_way_want_loose_filtering() {
    let only = Wish { interface: Some("eth1".to_owned()), ..wish("dsr", &["192.0.2.100"]) };
    let steps = |wish: &Wish, values: &[(&str, u32)]| filters(commands(wish, &filtering(values)));
    assert_eq!(steps(&only, &[("all", 1)]), ["sysctl -w net.ipv4.conf.eth1.rp_filter=2"]);
    assert_eq!(steps(&only, &[("eth1", 1)]), ["sysctl -w net.ipv4.conf.eth1.rp_filter=2"]);
    for loose in [&[][..], &[("eth1", 2), ("all", 1)], &[("all", 2)]] {
        assert_eq!(steps(&only, loose), [""; 0], "{loose:?}");
    }
    assert_eq!(steps(&wish("dsr", &["192.0.2.100"]), &[("all", 1)]), [""; 0], "eth0 has the default route");
}

#[test]
fn interfaces_with_dots_have_keys_with_slashes() {
    let mut facts = bare();
    facts.links[1].name = "eth0.100".to_owned();
    facts.settings.insert("eth0.100".to_owned(), own_settings(3, 0, 0));
    let mut only = wish("dsr", &["192.0.2.100"]);
    only.interface = Some("eth0.100".to_owned());
    assert_eq!(commands(&only, &facts)[0], "sysctl -w net/ipv4/conf/eth0.100/arp_ignore=1");
}

#[test]
fn a_vip_elsewhere_is_in_the_way() {
    let only = wish("dsr", &["192.0.2.100"]);
    let place = |link: usize, prefix: u8| {
        let mut facts = bare();
        facts.links[link].addresses.push(("192.0.2.100".parse().unwrap(), prefix));
        facts
    };
    assert_eq!(obstacles(&only, &place(0, 32)), "");
    assert_eq!(
        obstacles(&only, &place(1, 32)),
        "lo has 192.0.2.100/32, and no other interface\n  now: eth0 has 192.0.2.100/32\n  \
         why: an interface that faces the network answers ARP and neighbour solicitations for its addresses\n  \
         fix: ip address del 192.0.2.100/32 dev eth0"
    );
    assert_eq!(
        obstacles(&only, &place(0, 24)),
        "lo has 192.0.2.100/32, and no other interface\n  now: lo has 192.0.2.100/24\n  \
         why: with a shorter prefix the host takes every address of that network for its own\n  \
         fix: ip address del 192.0.2.100/24 dev lo"
    );
    let mut both = place(0, 32);
    both.links[1].addresses.push(("192.0.2.100".parse().unwrap(), 24));
    assert!(obstacles(&only, &both).contains("dev eth0"), "although lo has it too");
}

#[test]
fn what_the_host_cannot_do_is_in_the_way() {
    let only = wish("ipip", &["192.0.2.100"]);
    let mut facts = bare();
    facts.modules.insert("ipip".to_owned(), Err("Module ipip not found".to_owned()));
    facts.links[1].xdp = true;
    facts.nft = Nft::Missing;
    let all = obstacles(&only, &facts);
    assert!(all.contains("another XDP program is there"), "{all}");
    assert!(all.contains("there is no program nft") && all.contains("--no-clamp"), "{all}");
    let without = Wish { clamp: false, ..only.clone() };
    assert!(!obstacles(&without, &facts).contains("nft"));
    facts.nft = Nft::Failed("Operation not permitted".to_owned());
    assert!(obstacles(&only, &facts).contains("Operation not permitted"));

    let mut facts = bare();
    facts.ipv6 = false;
    assert!(obstacles(&wish("dsr", &["2001:db8::100"]), &facts).contains("disable_ipv6=0"));
    assert_eq!(obstacles(&wish("dsr", &["192.0.2.100"]), &facts), "");
    facts.links[1].up = false;
    assert!(obstacles(&only, &facts).contains("fix: ip link set dev eth0 up"));
    facts.links.remove(1);
    assert!(obstacles(&only, &facts).contains("there is no such interface"));
    let foreign = Wish { address: Some("192.0.2.22".parse().unwrap()), ..wish("dsr", &["192.0.2.100"]) };
    assert!(obstacles(&foreign, &bare()).contains("192.0.2.22 is an address of this host\n  now: no interface has it"));
}

#[test]
fn a_program_takes_packets_out_where_the_kernel_has_no_tunnel() {
    let decap = |wish: &Wish, facts: &Facts| {
        commands(wish, facts).into_iter().filter(|command| command.starts_with("lb-agent")).collect::<Vec<_>>()
    };
    let mut facts = bare();
    facts.links[1].addresses.push(("fe80::1".parse().unwrap(), 64));
    facts.links[1].addresses.push(("192.0.2.22".parse().unwrap(), 24));
    let ipip = wish("ipip", &["192.0.2.100"]);
    assert_eq!(decap(&ipip, &facts), [""; 0], "the kernel has a module");
    let by_program = "lb-agent decap --interface eth0 --mode ipip --address 192.0.2.21 192.0.2.22 --vip 192.0.2.100";
    assert_eq!(decap(&Wish { program: true, ..ipip.clone() }, &facts), [by_program]);
    facts.modules.insert("ipip".to_owned(), Err("Module ipip not found".to_owned()));
    assert_eq!(decap(&ipip, &facts), [by_program]);
    assert!(!commands(&ipip, &facts).iter().any(|command| command.contains("modprobe")));

    let mut gue = wish("gue", &["192.0.2.100", "2001:db8::100"]);
    gue.pins = "/sys/fs/bpf/x".into();
    let every = "lb-agent decap --interface eth0 --mode gue --port 6080 --address 192.0.2.21 192.0.2.22 2001:db8::21 \
                 --vip 192.0.2.100 2001:db8::100 --bpf-dir /sys/fs/bpf/x";
    assert_eq!(decap(&gue, &facts), [every]);
    gue.address = Some("2001:db8::21".parse().unwrap());
    let one = "lb-agent decap --interface eth0 --mode gue --port 6080 --address 2001:db8::21 \
               --vip 192.0.2.100 2001:db8::100 --bpf-dir /sys/fs/bpf/x";
    assert_eq!(decap(&gue, &facts), [one]);

    gue.address = None;
    facts.links[1].addresses.retain(|(address, _)| address.is_ipv4());
    let none = obstacles(&gue, &facts);
    assert!(none.contains("eth0 has no address that a tunnel could end at") && none.contains("--address"), "{none}");
}

#[test]
fn what_comes_out_of_the_program_is_filtered_as_what_comes_in() {
    let mut facts = filtering(&[("all", 1)]);
    let gue = Wish { interface: Some("eth0".to_owned()), ..wish("gue", &["192.0.2.100"]) };
    assert_eq!(filters(commands(&gue, &facts)), [""; 0], "answers go out the same way");
    facts.default_interfaces = vec!["eth1".to_owned()];
    assert_eq!(filters(commands(&gue, &facts)), ["sysctl -w net.ipv4.conf.eth0.rp_filter=2"]);
}

#[test]
fn a_wish_that_says_too_little_or_too_much_is_refused() {
    let only = wish("dsr", &["192.0.2.100"]);
    let mut facts = bare();
    facts.default_interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
    assert_eq!(plan(&only, &facts), Err(Unclear::SeveralInterfaces("eth0, eth1".to_owned())));
    facts.default_interfaces.clear();
    assert_eq!(plan(&only, &facts), Err(Unclear::NoInterface));
    let mut v6 = wish("ipip", &["2001:db8::100"]);
    v6.address = Some("192.0.2.21".parse().unwrap());
    assert_eq!(plan(&v6, &bare()), Err(Unclear::Ipv6InIpv4("2001:db8::100".parse().unwrap())));
    let many: Vec<String> = (0..=MAX_VIPS).map(|n| format!("198.18.{}.{}", n / 256, n % 256)).collect();
    let many = wish("dsr", &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(plan(&many, &bare()), Err(Unclear::TooManyVips(MAX_VIPS + 1)));
}

#[test]
fn segments_follow_the_mtu_and_keep_other_vips() {
    let first = wish("ipip", &["192.0.2.100"]);
    let mut host = Fake::new(bare());
    for step in plan(&first, &host.facts).unwrap() {
        if let State::Todo { change, .. } = step.state {
            change.commands().iter().for_each(|command| host.run(command).unwrap());
        }
    }
    assert_eq!(commands(&first, &host.facts), [""; 0]);
    host.facts.links[1].mtu = 1400;
    let steps = commands(&first, &host.facts);
    assert!(steps[0].ends_with(
        "saddr { 192.0.2.100 } tcp flags syn tcp option maxseg size > 1340 tcp option maxseg size set 1340"
    ));
    host.facts.links[1].mtu = 1500;
    let steps = commands(&wish("ipip", &["192.0.2.101"]), &host.facts);
    assert!(steps[0].contains("saddr { 192.0.2.100, 192.0.2.101 }"), "{steps:?}");
}
