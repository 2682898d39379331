//! What comes of files of either kind, and of what is none.

mod fuzz;

use super::*;

fn imported(source: Source, text: &str) -> Imported {
    import(source, text, &[]).unwrap()
}

/// Asserts that the remarks of a line have this in them.
#[track_caller]
fn assert_remark(imported: &Imported, line: usize, part: &str) {
    let of_line = imported.remarks.iter().filter(|remark| remark.lines.contains(&line));
    let texts: Vec<&str> = of_line.map(|remark| remark.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains(part)), "no {part:?} for line {line}: {texts:?}");
}

#[track_caller]
fn assert_has(imported: &Imported, parts: &[&str]) {
    for part in parts {
        assert!(imported.config.contains(part), "no {part:?} in:\n{}", imported.config);
    }
}

const KEEPALIVED: &str = r#"global_defs {
    router_id LVS_1
}
vrrp_instance outside {
    state BACKUP
    interface eth1
    virtual_router_id 51
    priority 100
    advert_int 0.2
    nopreempt
    unicast_src_ip 192.0.2.3
    unicast_peer {
        192.0.2.2
    }
    authentication {
        auth_type PASS
        auth_pass hunter2
    }
    virtual_ipaddress {
        198.51.100.1/24 dev eth2
        198.51.100.99
    }
    notify_master /etc/keepalived/master.sh
}
virtual_server 198.51.100.1 80 {
    delay_loop 6
    lb_algo wrr
    lb_kind DR
    persistence_timeout 300
    protocol TCP
    virtualhost www.example.org
    sorry_server 192.0.2.99 80
    real_server 192.0.2.11 80 {
        weight 3
        HTTP_GET {
            url {
                path /health
                status_code 200
                digest 0123456789abcdef
            }
            connect_timeout 3
            retry 2
        }
    }
    real_server 192.0.2.12 80 {
        weight 1
        HTTP_GET {
            url {
                path /health
                status_code 200
            }
            connect_timeout 3
            retry 2
        }
    }
}
virtual_server fwmark 7 {
    real_server 192.0.2.11 80
}
"#;

/// Where the example first has this.
fn line_of(part: &str) -> usize {
    1 + KEEPALIVED.lines().position(|line| line.contains(part)).unwrap()
}

#[test]
fn a_virtual_server_becomes_a_service() {
    let imported = imported(Source::Keepalived, KEEPALIVED);
    assert_eq!((imported.services, imported.reals), (1, 3));
    assert_has(
        &imported,
        &[
            "name = \"tcp_198.51.100.1_80\"\nvip = \"198.51.100.1\"\nprotocol = \"tcp\"\nport = \"80\"\nmode = \"dsr\"\nchecks = [\"http-1\"]\nscheduling = \"static\"\naffinity = { prefix = 32, timeout = \"300s\" }\n",
            "{ name = \"real-192.0.2.11\", weight = 3 },\n    { name = \"real-192.0.2.12\", weight = 1 },\n    { name = \"real-192.0.2.99\", fallback = true },",
            "type = \"http\"\ninterval = \"6s\"\ntimeout = \"3s\"\nrise = 1\nfall = 3\npath = \"/health\"\nhost = \"www.example.org\"\nstatus = [\"200\"]\n",
        ],
    );
    for (place, part) in [
        ("router_id", "`router_id`"),
        ("sorry_server", "stands in only while they pass"),
        ("digest", "digest"),
        ("fwmark", "firewall mark"),
    ] {
        assert_remark(&imported, line_of(place), part);
    }
    let shown = format!("# - line {}: a service of a firewall mark", line_of("fwmark"));
    assert!(imported.config.contains(&shown), "{}", imported.config);
}

#[test]
fn a_vrrp_instance_becomes_the_pair() {
    let imported = imported(Source::Keepalived, KEEPALIVED);
    assert_has(
        &imported,
        &[
            "interfaces = [\"eth2\"]\n",
            "\n[pair]\nrole = \"standby\"\nheartbeat_interval = \"200ms\"\n",
            "interface = \"eth1\"\nlocal = \"192.0.2.3\"\npeer = \"192.0.2.2\"\n",
            "[[pair.vip_group]]\nname = \"eth2\"\ninterface = \"eth2\"\nvips = [\"198.51.100.1\"]\n",
        ],
    );
    assert!(!imported.config.contains("preempt"), "{}", imported.config);
    assert_remark(&imported, line_of("authentication"), "/etc/understudy/keys");
    assert_remark(&imported, line_of("dev eth2"), "as /32");
    assert_remark(&imported, line_of("notify_master"), "pair.hooks.notify");
    assert!(imported.remarks.iter().any(|remark| remark.text.starts_with("198.51.100.99 on eth1 is no VIP")));
}

#[test]
fn other_addresses_of_a_vrrp_instance_are_gateways_where_there_is_nat() {
    let imported = imported(Source::Keepalived, &KEEPALIVED.replace("lb_kind DR", "lb_kind NAT"));
    let inside =
        "[[pair.vip_group]]\nname = \"eth1\"\ninterface = \"eth1\"\nvips = []\ngateways = [\"198.51.100.99\"]\n";
    assert_has(&imported, &["vips = [\"198.51.100.1\"]\n", inside]);
    let interfaces = imported.config.lines().find(|line| line.starts_with("interfaces = ")).unwrap();
    assert!(interfaces.contains("eth1") && interfaces.contains("eth2"), "{interfaces}");
}

#[test]
fn secrets_stay_where_they_are() {
    let imported = imported(Source::Keepalived, KEEPALIVED);
    assert!(!serde_json::to_string(&imported).unwrap().contains("hunter2"));
}

#[test]
fn a_pair_without_addresses_is_to_be_completed() {
    let text = "vrrp_instance v {\n state MASTER\n interface eth0\n virtual_ipaddress {\n 198.51.100.1\n }\n}\n";
    let imported = imported(Source::Keepalived, &(text.to_owned() + &server("lb_kind TUN\n", "")));
    assert_has(
        &imported,
        &["\n# [pair]\n# role = \"primary\"\n# preempt = true\n", "# [[pair.path]]\n", "mode = \"ipip\""],
    );
    assert!(!imported.config.lines().any(|line| line.starts_with("[pair")), "{}", imported.config);
    assert_remark(&imported, 1, "unicast_peer");
}

fn server(lines: &str, real: &str) -> String {
    format!("virtual_server 198.51.100.1 80 {{\n{lines} real_server 192.0.2.11 80 {{\n{real} }}\n}}\n")
}

/// Each check, and what it becomes; nothing where it is left out.
#[test]
fn checks() {
    let dns = "00010100000100000000000003777777076578616d706c650000010001";
    for (check, wanted) in [
        (
            "TCP_CHECK {\n connect_port 8080\n}",
            "type = \"tcp\"\ninterval = \"60s\"\ntimeout = \"5s\"\nrise = 1\nfall = 2\nport = 8080\n",
        ),
        ("TCP_CHECK", "type = \"tcp\""),
        ("PING_CHECK", "type = \"icmp\""),
        ("SMTP_CHECK", "port = 25\n"),
        ("SSL_GET {\n url {\n path /\n }\n }", "status = [\"200-299\"]\nverify = false\n"),
        (
            "MISC_CHECK {\n misc_path \"/bin/check -x\"\n}",
            "type = \"exec\"\ninterval = \"60s\"\ntimeout = \"5s\"\nrise = 1\nfall = 2\ncommand = [\"/bin/check\", \"-x\"]\n",
        ),
        ("UDP_CHECK {\n payload 00FF\n}", "send_hex = \"00ff\"\n"),
        ("DNS_CHECK {\n name www.example\n type A\n}", dns),
        ("MISC_CHECK {\n misc_path check\n}", ""),
        ("UDP_CHECK", ""),
        ("FILE_CHECK", ""),
        ("HTTP_GET", ""),
        ("HTTP_GET {\n url {\n path no\n }\n}", ""),
        ("TCP_CHECK {\n connect_port x\n}", ""),
    ] {
        let imported = imported(Source::Keepalived, &server("lb_kind DR\n", check));
        if wanted.is_empty() {
            assert!(!imported.config.contains("\n[[check]]"), "{check}: {}", imported.config);
            assert!(imported.remarks.iter().any(|remark| remark.text.contains("left out")), "{check}");
        } else {
            assert_has(&imported, &[wanted, "\nchecks = ["]);
        }
    }
}

#[test]
fn a_timeout_that_does_not_fit_is_left_to_the_default() {
    let imported = imported(Source::Keepalived, &server("delay_loop 2\n", "TCP_CHECK {\n connect_timeout 3\n}"));
    assert_has(&imported, &["interval = \"2s\"\nrise = 1\n"]);
    assert_remark(&imported, 4, "shorter than its interval");
}

#[test]
fn checks_that_reals_do_not_have_in_common() {
    let two = |first: &str, second: &str| {
        let real = |number, check| format!("real_server 192.0.2.{number} 80 {{\n{check}\n}}\n");
        format!("virtual_server 198.51.100.1 80 {{\nlb_kind DR\n{}{}}}\n", real(11, first), real(12, second))
    };
    let told = imported(
        Source::Keepalived,
        &two("MISC_CHECK {\n misc_path \"/bin/c 1\"\n}", "MISC_CHECK {\n misc_path \"/bin/c 2\"\n}"),
    );
    assert!(!told.config.contains("\n[[check]]"), "{}", told.config);
    assert_remark(&told, 4, "UNDERSTUDY_ADDRESS");
    assert_remark(&told, 1, "no check");
    let told = imported(Source::Keepalived, &two("TCP_CHECK", ""));
    assert_has(&told, &["checks = [\"tcp-1\"]"]);
    assert_remark(&told, 1, "that of the others");
}

#[test]
fn groups_are_services_of_the_same_reals() {
    let text = "virtual_server_group g {\n 198.51.100.1-3 443\n 2001:db8::1 443\n fwmark 3\n}\n\
                virtual_server group g {\n lb_kind DR\n protocol UDP\n real_server 192.0.2.11 443\n real_server 2001:db8::11 443\n}\n";
    let imported = imported(Source::Keepalived, text);
    assert_eq!((imported.services, imported.reals), (4, 2));
    assert_has(
        &imported,
        &["name = \"udp_198.51.100.3_443\"", "vip = \"2001:db8::1\"", "name = \"udp_2001-db8--1_443\""],
    );
    assert_remark(&imported, 4, "firewall mark");
    assert_remark(&imported, 10, "cannot carry packets for 198.51.100.2 to 2001:db8::11");
    assert_remark(&imported, 9, "cannot carry packets for 2001:db8::1 to 192.0.2.11");
}

#[test]
fn other_ports_need_nat() {
    let server = |kind: &str, check: &str| {
        let text = server(&format!("lb_kind {kind}\n"), check).replace("192.0.2.11 80", "192.0.2.11 8080");
        imported(Source::Keepalived, &text)
    };
    let nat = server("NAT", "TCP_CHECK {\n connect_port 8080\n}");
    assert_has(&nat, &["mode = \"nat\"", "reals = [\n    { name = \"real-192.0.2.11\", port = 8080 },\n]"]);
    assert!(!nat.config.contains("port = 8080\n"), "a check goes where the real listens: {}", nat.config);
    assert!(!nat.config.contains("needs the VIPs") && nat.config.contains("# Real servers of services in mode nat"));
    assert_has(&server("NAT", "TCP_CHECK {\n connect_port 80\n}"), &["type = \"tcp\"", "port = 80\n"]);
    let dsr = server("DR", "");
    assert_has(&dsr, &["reals = [\n    \"real-192.0.2.11\",\n]", "needs the VIPs"]);
    assert_remark(&dsr, 3, "mode dsr rewrites no ports");
}

#[test]
fn replies_that_could_not_be_told_apart_are_left_out() {
    let text = "-A -t 198.51.100.1:80 -s wlc\n-a -t 198.51.100.1:80 -r 192.0.2.11:8080 -m -w 0\n\
                -A -t 198.51.100.1:81 -s wlc\n-a -t 198.51.100.1:81 -r 192.0.2.11:8080 -m\n-a -t 198.51.100.1:81 -r 192.0.2.12:81 -m\n";
    let imported = imported(Source::Ipvsadm, text);
    assert_eq!((imported.services, imported.reals), (2, 2));
    assert_has(
        &imported,
        &["{ name = \"real-192.0.2.11\", weight = 0, port = 8080 }", "[\n    \"real-192.0.2.12\",\n]"],
    );
    assert_remark(&imported, 4, "192.0.2.11: its replies would come from 192.0.2.11 tcp port 8080");
}

const IPVSADM: &str = "\
-A -t 198.51.100.1:80 -s wrr -p 300
-a -t 198.51.100.1:80 -r 192.0.2.11:80 -g -w 3
-a -t 198.51.100.1:80 -r 192.0.2.12:80 -i -w 0
-A -u [2001:db8::1]:53 -s rr -o
-a -u [2001:db8::1]:53 -r [2001:db8::11]:53 -i -w 5 -x 100 -y 50
-a -u [2001:db8::1]:53 -r [2001:db8::12]:53 -i -w 7
-A -f 1 -s wlc
-a -f 1 -r 192.0.2.11:0 -g -w 1
-A -t 198.51.100.1:0 -s lc
-a -t 198.51.100.1:0 -r 192.0.2.11:0 -m -w 2
hello
";

#[test]
fn ipvs_services_become_services() {
    let imported = imported(Source::Ipvsadm, IPVSADM);
    assert_eq!((imported.services, imported.reals), (3, 4));
    assert_has(
        &imported,
        &[
            "interfaces = [\"eth0\"]\n",
            "port = \"80\"\nmode = \"dsr\"\nscheduling = \"static\"\naffinity = { prefix = 32, timeout = \"300s\" }\nreals = [\n    \"real-192.0.2.11\",\n    { name = \"real-192.0.2.12\", weight = 0 },\n]",
            "name = \"udp_2001-db8--1_53\"\nvip = \"2001:db8::1\"\nprotocol = \"udp\"\nport = \"53\"\nmode = \"ipip\"\nscheduling = \"static\"\none_packet = true\nreals = [\n    \"real-2001-db8--11\",\n    \"real-2001-db8--12\",\n]",
            "port = \"any\"\nmode = \"nat\"\nreals = [\n    \"real-192.0.2.11\",\n]",
        ],
    );
    for (line, part) in [
        (3, "one `mode`"),
        (5, "thresholds"),
        (7, "firewall mark"),
        (8, "firewall mark"),
        (9, "lc"),
        (11, "no line of"),
    ] {
        assert_remark(&imported, line, part);
    }
    assert!(imported.remarks.iter().any(|remark| remark.lines.is_empty() && remark.text.contains("[[check]]")));
}

#[test]
fn long_options_are_the_same() {
    let text = "ipvsadm --add-service --tcp-service 198.51.100.1:80 --scheduler wrr\n\
                ipvsadm --add-server --tcp-service 198.51.100.1:80 --real-server 192.0.2.11:80 --ipip --weight 2\n";
    assert_has(&imported(Source::Ipvsadm, text), &["mode = \"ipip\"", "scheduling = \"static\""]);
}

#[test]
fn ipvs_affinity_gue_and_sctp_are_taken_over() {
    let text = "-A -t 198.51.100.1:80 -s rr -p -M 255.255.255.0\n-a -t 198.51.100.1:80 -r 192.0.2.11:80 -i --tun-type gue --tun-port 6081 --tun-nocsum\n\
                -A --sctp-service 198.51.100.1:3868 -s rr\n-a --sctp-service 198.51.100.1:3868 -r 192.0.2.11:3868 -g\n\
                -A -t 198.51.100.2:80 -s rr -o\n-a -t 198.51.100.2:80 -r 192.0.2.11:80 -i --tun-type gre\n\
                -A -u 198.51.100.2:53 -s rr -o -p 10\n-a -u 198.51.100.2:53 -r 192.0.2.11:53 -i --tun-type gue --tun-port 6082\n\
                -A -u [2001:db8::1]:53 -s rr -p 9999999 -M 56\n-a -u [2001:db8::1]:53 -r [2001:db8::11]:53 -i\n\
                -A --sctp-service 198.51.100.3:3868 -s rr\n-a --sctp-service 198.51.100.3:3868 -r 192.0.2.11:3868 -m\n";
    let imported = imported(Source::Ipvsadm, text);
    assert_has(
        &imported,
        &[
            "[tunnel]\ngue_port = 6081\n",
            "mode = \"gue\"\nscheduling = \"static\"\naffinity = { prefix = 24, timeout = \"300s\" }\n",
            "protocol = \"sctp\"\nport = \"3868\"\nmode = \"dsr\"\n",
            "affinity = { prefix = 32, timeout = \"10s\" }\n",
            "affinity = { prefix = 56, timeout = \"86400s\" }\n",
        ],
    );
    assert!(!imported.config.contains("one_packet"), "{}", imported.config);
    for (line, part) in [
        (5, "one packet is for UDP"),
        (6, "ipip or gue"),
        (7, "contradict"),
        (8, "one port here"),
        (9, "1 s to 1 d"),
        (11, "sctp"),
    ] {
        assert_remark(&imported, line, part);
    }
}

#[test]
fn keepaliveds_affinity_gue_and_sctp_are_taken_over() {
    let server = |port: u16, lines: &str, real: &str| {
        format!(
            "virtual_server 198.51.100.1 {port} {{\nlb_algo rr\n{lines}real_server 192.0.2.11 {port} {{\n{real}}}\n}}\n"
        )
    };
    let text = server(
        80,
        "lb_kind TUN type gue port 6081 nocsum\npersistence_timeout\npersistence_granularity 255.255.0.0\n",
        "",
    ) + &server(3868, "lb_kind DR\nprotocol SCTP\n", "TCP_CHECK {\n}\n")
        + &server(53, "lb_kind TUN type gre\nprotocol UDP\nops\n", "")
        + &server(
            54,
            "lb_kind TUN type gue\nprotocol UDP\npersistence_granularity 255.0.255.0\npersistence_timeout 50\n",
            "",
        );
    let imported = imported(Source::Keepalived, &text);
    assert_has(
        &imported,
        &[
            "[tunnel]\ngue_port = 6081\n",
            "mode = \"gue\"\nscheduling = \"static\"\naffinity = { prefix = 16, timeout = \"360s\" }\n",
            "protocol = \"sctp\"\nport = \"3868\"\nmode = \"dsr\"\nchecks = [\"tcp-1\"]\n",
            "\nport = 3868\n",
            "mode = \"ipip\"\nscheduling = \"static\"\none_packet = true\n",
            "affinity = { prefix = 32, timeout = \"50s\" }\n",
        ],
    );
    let line = |part: &str| 1 + text.lines().position(|line| line.contains(part)).unwrap();
    assert_remark(&imported, line("type gre"), "ipip or gue");
    assert_remark(&imported, line("255.0.255.0"), "not a netmask");
    let last = text.lines().enumerate().filter(|(_, line)| line.ends_with("type gue")).last().unwrap();
    assert_remark(&imported, 1 + last.0, "no port: 6080 is taken");
    assert_remark(&imported, 1 + last.0, "one port here, which is that of the first: 6081");
}

#[test]
fn interfaces_may_be_given() {
    let given = import(Source::Ipvsadm, IPVSADM, &["eth7".to_owned()]).unwrap();
    assert_has(&given, &["interfaces = [\"eth7\"]\n"]);
}

/// What `lbd` refuses is left out and named.
#[test]
fn what_cannot_be_together_is_left_out() {
    let text = "-A -t 198.51.100.1:80 -s rr\n-a -t 198.51.100.1:80 -r 198.51.100.2:80 -g\n-a -t 198.51.100.1:80 -r 192.0.2.11:80 -g\n\
                -a -t 198.51.100.1:80 -r 192.0.2.11:81 -g\n-A -t 198.51.100.2:80 -s rr\n-a -t 198.51.100.2:80 -r 127.0.0.1:80 -g\n\
                -A -t 198.51.100.1:80\n-A -t web:http\n";
    let imported = imported(Source::Ipvsadm, text);
    assert_eq!((imported.services, imported.reals), (1, 1), "{}", imported.config);
    for (line, part) in
        [(2, "left out"), (4, "twice"), (5, "no real is left"), (6, "loopback"), (7, "before"), (8, "numbers")]
    {
        assert_remark(&imported, line, part);
    }
}

#[test]
fn what_is_neither_is_refused() {
    let refused = |source, text| import(source, text, &[]).unwrap_err().to_string();
    assert!(refused(Source::Ipvsadm, "").contains("give the output of `ipvsadm -Sn`"));
    assert!(refused(Source::Ipvsadm, "TCP  198.51.100.1:80 wlc\n").contains("line 1: this is no line"));
    assert!(refused(Source::Keepalived, "").contains("virtual_server"));
    assert_eq!(refused(Source::Keepalived, "a {\n"), "line 1: the block that begins here has no `}`");
}
