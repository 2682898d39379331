//! The manual page lbd.toml(5): every key with what docs/reference/config.md says of it.

use roff::{Roff, bold, roman};

use super::{facts, page};
use crate::config::keys;

/// That of file formats.
const SECTION: &str = "5";
const SOURCE: &str = concat!("Understudy ", env!("CARGO_PKG_VERSION"));
const DESCRIPTION: &str = "lbd reads one TOML file. A key that is not on this page is an error, as is a value out of its range: lbd check names file, line \
    and column. A reload takes a change over, unless it says restart. lbd config example has a file to begin with, lbd config default one with every key.";

/// The page, for man.
pub fn roff() -> String {
    let mut roff = Roff::new();
    roff.control("TH", ["lbd.toml", SECTION, "", SOURCE, "Understudy"]);
    roff.control("SH", ["NAME"]).text([roman("lbd.toml - the configuration of lbd")]);
    roff.control("SH", ["SYNOPSIS"]).text([bold("/etc/understudy/lbd.toml")]);
    roff.control("SH", ["DESCRIPTION"]).text([roman(DESCRIPTION)]);
    roff.control("SH", ["KEYS"]);
    for (name, key) in keys::all() {
        roff.control("SS", [name.as_str()]);
        match page::section(&name) {
            Some(section) => section.split("\n\n").for_each(|paragraph| add(&mut roff, paragraph)),
            None => add(&mut roff, &facts(key)),
        }
    }
    roff.control("SH", ["SEE ALSO"]).text([bold("lbd"), roman("(8), "), bold("lbctl"), roman("(8)")]);
    roff.render()
}

/// Adds a paragraph. Tables, lists and examples keep their lines.
fn add(roff: &mut Roff, paragraph: &str) {
    let keeps_lines = page::is_made_of_lines(paragraph);
    roff.control("PP", []);
    if keeps_lines {
        roff.control("nf", []);
    }
    for line in page::plain(paragraph).lines() {
        roff.text([roman(line.replace('`', "").replace("*Restart.*", "Restart."))]);
    }
    if keeps_lines {
        roff.control("fi", []);
    }
}
