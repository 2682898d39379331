//! A file with every table in it, of which tests change one key.

use super::super::super::keys::{self, Absent, Key};

/// Each table that has to be said more of than the examples of what it requires; the tables of one name differ in type.
const BLOCKS: &[(&str, &str)] = &[
    ("", "interfaces = [\"eth0\"]\n"),
    ("api", "[api]\n"),
    ("check", "[[check]]\nname = \"plain\"\ntype = \"tcp\"\nvia = \"service\"\n"),
    ("check http", "[[check]]\nname = \"web\"\ntype = \"http\"\n"),
    ("check https", "[[check]]\nname = \"secure\"\ntype = \"https\"\n"),
    ("check udp", "[[check]]\nname = \"datagram\"\ntype = \"udp\"\nsend = \"ping\"\n"),
    ("check udp_hex", "[[check]]\nname = \"hex\"\ntype = \"udp\"\nsend_hex = \"00\"\n"),
    ("check exec", "[[check]]\nname = \"own\"\ntype = \"exec\"\ncommand = [\"/bin/true\"]\n"),
    ("real", "[[real]]\nname = \"web1\"\naddress = \"192.0.2.11\"\n"),
    (
        "service quic",
        "[[service]]\nname = \"quic\"\nvip = \"198.51.100.1\"\nprotocol = \"udp\"\nport = 443\nmode = \"dsr\"\n\
         reals = [{ name = \"web1\" }]\n",
    ),
    ("service.quic", "[[service.quic]]\nserver_id_length = 1\nnonce_length = 4\n"),
    (
        "service quic plain",
        "[[service]]\nname = \"quic-plain\"\nvip = \"198.51.100.1\"\nprotocol = \"udp\"\nport = 444\nmode = \"dsr\"\n\
         reals = [\"web1\"]\n",
    ),
    ("service.quic plain", "[[service.quic]]\nencoding = \"plain\"\nserver_id_length = 1\n"),
    (
        "service",
        "[[service]]\nname = \"web\"\nvip = \"198.51.100.1\"\nprotocol = \"tcp\"\nport = 80\nmode = \"dsr\"\n\
         reals = [\"web1\"]\nchecks = [\"plain\", \"web\", \"secure\", \"datagram\", \"hex\", \"own\"]\n",
    ),
    ("pair", "[pair]\nrole = \"primary\"\n"),
    ("pair.path", "[[pair.path]]\ntype = \"udp\"\ninterface = \"eth1\"\nlocal = \"192.0.2.2\"\npeer = \"192.0.2.3\"\n"),
    ("pair.path serial", "[[pair.path]]\ntype = \"serial\"\ndevice = \"/dev/ttyS0\"\n"),
    ("pair.vip_group", "[[pair.vip_group]]\nname = \"all\"\ninterface = \"eth0\"\nvips = [\"198.51.100.1\"]\n"),
];

/// Keys that only tables of one type have.
const OF_TYPES: &[(&str, &str)] = &[
    ("check.method", "check http"),
    ("check.path", "check http"),
    ("check.host", "check http"),
    ("check.status", "check http"),
    ("check.body", "check http"),
    ("check.verify", "check https"),
    ("check.server_name", "check https"),
    ("check.ca_file", "check https"),
    ("check.send", "check udp"),
    ("check.send_hex", "check udp_hex"),
    ("check.expect", "check udp"),
    ("check.expect_hex", "check udp"),
    ("check.command", "check exec"),
    ("check.via", "check http"),
    ("service.quic.offset", "service.quic plain"),
    ("pair.path.device", "pair.path serial"),
    ("pair.path.baud", "pair.path serial"),
];

/// The file.
pub(super) fn file() -> String {
    blocks().into_iter().map(|(_, text)| text).collect()
}

/// The file with a key added or changed; a table whose type is changed has nothing that fits its old type alone.
pub(super) fn with(name: &str, value: &str) -> String {
    let (table, key) = name.rsplit_once('.').unwrap_or(("", name));
    match name {
        "check.type" => return file() + &check_of(value),
        "pair.path.type" => return file() + &path_of(value),
        "service.quic.encoding" if value == "\"plain\"" => return file(),
        _ => {}
    }
    match table {
        "real.agent_check" if key == "url" => changed("real.agent_check", &format!("{{ url = {value} }}")),
        "real.agent_check" => {
            changed("real.agent_check", &format!("{{ url = \"tcp://192.0.2.11:9777\", {key} = {value} }}"))
        }
        "service.reals" if key == "port" => {
            let ported = changed("service.reals", &format!("[{{ name = \"web1\", port = {value} }}]"));
            ported.replace("mode = \"dsr\"", "mode = \"nat\"")
        }
        "service.reals" if key == "quic_server_ids" => {
            file().replace("[{ name = \"web1\" }]", &format!("[{{ name = \"web1\", {key} = {value} }}]"))
        }
        "service.reals" if key == "name" => changed("service.reals", &format!("[{{ name = {value} }}]")),
        "service.reals" => changed("service.reals", &format!("[{{ name = \"web1\", {key} = {value} }}]")),
        _ => changed(name, value),
    }
}

/// The file without a key that it has, or that an entry in it would have.
pub(super) fn without(name: &str) -> String {
    match name {
        "real.agent_check.url" => changed("real.agent_check", "{ interval = \"1s\" }"),
        "service.reals.name" => changed("service.reals", "[{ weight = 1 }]"),
        _ => edited(name, None),
    }
}

fn changed(name: &str, value: &str) -> String {
    edited(name, Some(value))
}

fn edited(name: &str, value: Option<&str>) -> String {
    let (table, key) = name.rsplit_once('.').unwrap_or(("", name));
    let tag = OF_TYPES.iter().find(|(of, _)| *of == name).map_or(table, |(_, tag)| tag);
    let mut found = false;
    let mut text = String::new();
    for (block, lines) in blocks() {
        if block != tag {
            text += &lines;
            continue;
        }
        found = true;
        let start = format!("{key} = ");
        text.extend(lines.lines().filter(|line| !line.starts_with(&start)).map(|line| format!("{line}\n")));
        if let Some(value) = value {
            text += &format!("{start}{value}\n");
        }
    }
    assert!(found, "no table for {name}");
    text
}

/// What is there to edit: the blocks, and for each other table what it requires.
fn blocks() -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> =
        BLOCKS.iter().map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned())).collect();
    add_tables(keys::FILE, "", &mut blocks);
    blocks
}

fn add_tables(keys: &[Key], prefix: &str, blocks: &mut Vec<(String, String)>) {
    for key in keys.iter().filter(|key| key.is_table()) {
        let name = format!("{prefix}{}", key.name);
        if !blocks.iter().any(|(tag, _)| *tag == name) {
            let required = key.keys().iter().filter(|key| matches!(key.absent, Absent::Required));
            let lines: String = required.map(|key| format!("{} = {}\n", key.name, key.value.example())).collect();
            blocks.push((name.clone(), format!("[{name}]\n{lines}")));
        }
        add_tables(key.keys(), &format!("{name}."), blocks);
    }
}

fn check_of(kind: &str) -> String {
    let more = match kind {
        "\"udp\"" => "send = \"ping\"\n",
        "\"exec\"" => "command = [\"/bin/true\"]\n",
        _ => "",
    };
    format!("[[check]]\nname = \"other\"\ntype = {kind}\n{more}")
}

fn path_of(kind: &str) -> String {
    let more = match kind {
        "\"serial\"" => "device = \"/dev/ttyS1\"\n",
        _ => "interface = \"eth2\"\nlocal = \"192.0.2.2\"\npeer = \"192.0.2.3\"\n",
    };
    format!("[[pair.path]]\ntype = {kind}\n{more}")
}
