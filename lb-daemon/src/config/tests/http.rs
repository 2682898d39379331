//! `[http]`.

use super::*;

fn listen(value: &str) -> Vec<String> {
    errors(&format!("{GOOD}[http]\n{value}\n"))
}

#[test]
fn one_address_or_several() {
    let addresses = |value: &str| parse(&format!("{GOOD}[http]\nlisten = {value}\n")).unwrap().settings.http;
    assert_eq!(addresses("\"192.0.2.2:6780\""), ["192.0.2.2:6780".parse().unwrap()]);
    let both = addresses("[\"192.0.2.2:6780\", \"[2001:db8::2]:6780\"]");
    assert_eq!(both, ["192.0.2.2:6780".parse().unwrap(), "[2001:db8::2]:6780".parse().unwrap()]);
    assert_eq!(parse(GOOD).unwrap().settings.http, []);
}

#[test]
fn addresses_that_cannot_be() {
    let missing = "19:1 `listen` is missing | add a line like this: listen = \"192.0.2.2:6780\"";
    assert_eq!(listen(""), [missing]);
    let count = |found: usize| {
        format!("20:10 `listen` has {found} entries | it can have 1 to 16; without `[http]` nothing is served")
    };
    assert_eq!(listen("listen = []"), [count(0)]);
    let many: Vec<String> = (1..=17).map(|port| format!("192.0.2.2:{port}")).collect();
    assert_eq!(listen(&format!("listen = {many:?}")), [count(17)]);
    assert!(
        listen("listen = \"localhost:80\"")[0].contains("`listen` is not an address with a port: \"localhost:80\"")
    );
    assert!(listen("listen = [\"192.0.2.2:80\", \"192.0.2.2:80\"]")[0].contains("address 192.0.2.2:80 is there twice"));
    assert!(listen("listen = 80")[0].contains("`listen` must be a string"));
}
