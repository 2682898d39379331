//! Changes beside the file.

use lb_core::api::{ConfigChange, ConfigChangeKind, ConfigChanged, ConfigDiff, ConfigItemKind};

use super::super::{Style, config_changed, config_diff};

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn a_diff_shows_what_is_kept_gone_and_new() {
    let replaced = ConfigChange {
        kind: ConfigItemKind::Real,
        name: "web1".to_owned(),
        change: ConfigChangeKind::Replaced,
        persistent: true,
        before: lines(&["name = \"web1\"", "address = \"192.0.2.11\""]),
        after: lines(&["name = \"web1\"", "address = \"192.0.2.21\""]),
    };
    let added = ConfigChange {
        kind: ConfigItemKind::Service,
        name: "tls".to_owned(),
        change: ConfigChangeKind::Added,
        persistent: false,
        before: Vec::new(),
        after: lines(&["name = \"tls\""]),
    };
    let mut diff = ConfigDiff {
        file: "/etc/lbd.toml".to_owned(),
        file_edited: false,
        unfit: None,
        changes: vec![replaced, added],
    };
    let expected = "/etc/lbd.toml: 2 differences\n\nreal web1, replaced for good\n    name = \"web1\"\n  - address = \"192.0.2.11\"\n  \
                    + address = \"192.0.2.21\"\n\nservice tls, added until a restart or reload\n  + name = \"tls\"\n";
    assert_eq!(config_diff(&diff, Style::Plain), expected);
    assert!(config_diff(&diff, Style::Colour).contains("\x1b[31m  - address"));
    diff.changes.clear();
    assert_eq!(config_diff(&diff, Style::Plain), "/etc/lbd.toml: what is in use is what the file says\n");
    diff.file_edited = true;
    diff.unfit = Some("why".to_owned());
    let text = config_diff(&diff, Style::Plain);
    assert!(text.contains("`lbctl reload`") && text.ends_with("are not in use:\nwhy\n"), "{text}");
}

#[test]
fn a_change_says_for_how_long() {
    let mut changed =
        ConfigChanged { generation: 8, changed: true, persistent: true, warnings: vec!["pair: x".to_owned()] };
    let text = config_changed("service", "tls", "in use", &changed);
    assert_eq!(text, "service tls is now in use, for good (generation 8)\nwarning: pair: x\n");
    changed = ConfigChanged { changed: false, persistent: false, warnings: Vec::new(), ..changed };
    let text = config_changed("real", "web9", "removed", &changed);
    assert_eq!(text, "real web9 was already removed, until a restart or reload (generation 8)\n");
}
