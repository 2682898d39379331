//! Key files and tags.

use super::*;

const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

fn problem(text: &str) -> KeysError {
    Keys::parse(text).unwrap_err()
}

fn on_line(line: usize, problem: KeyProblem) -> KeysError {
    KeysError::Line { line, problem }
}

#[test]
fn a_key_file_is_read_with_its_comments() {
    let text = format!("# keys\n\n  7 {SECRET}\t# new\r\n65535 {SECRET}ff web1\n1\t{SECRET}");
    let keys = Keys::parse(&text).unwrap();
    let seen: Vec<(u16, Option<&str>)> = keys.iter().map(|key| (key.id(), key.real())).collect();
    assert_eq!(seen, [(7, None), (65535, Some("web1")), (1, None)]);
}

#[test]
fn the_first_key_that_fits_signs() {
    let keys = Keys::parse(&format!("5 {SECRET} web2\n4 {SECRET} web1\n3 {SECRET}\n2 {SECRET} web1")).unwrap();
    let signing = |real| keys.signing(real).map(Key::id);
    assert_eq!(
        [signing(Some("web1")), signing(Some("web2")), signing(Some("web3")), signing(None)],
        [Some(4), Some(5), Some(3), Some(3)]
    );
    let bound = Keys::parse(&format!("5 {SECRET} web2")).unwrap();
    assert!(bound.signing(Some("web1")).is_none() && bound.signing(None).is_none());
}

#[test]
fn a_key_is_found_by_its_id() {
    let keys = Keys::parse(&format!("5 {SECRET} web2\n4 {SECRET}")).unwrap();
    assert_eq!(keys.get(4).and_then(Key::real), None);
    assert_eq!(keys.get(5).and_then(Key::real), Some("web2"));
    assert!(keys.get(6).is_none());
}

#[test]
fn every_wrong_line_is_named() {
    assert_eq!(problem(""), KeysError::Empty);
    assert_eq!(problem("# nothing\n\n"), KeysError::Empty);
    assert_eq!(problem("1"), on_line(1, KeyProblem::Fields));
    assert_eq!(problem(&format!("\n1 {SECRET} web1 web2")), on_line(2, KeyProblem::Fields));
    for id in ["0", "65536", "-1", "x", "0x1"] {
        assert_eq!(problem(&format!("{id} {SECRET}")), on_line(1, KeyProblem::Id), "{id}");
    }
    assert_eq!(problem(&format!("1 {SECRET}\n2 {SECRET}\n1 {SECRET}")), on_line(3, KeyProblem::DuplicateId(1)));
    assert_eq!(problem(&format!("1 {SECRET} web/1")), on_line(1, KeyProblem::Real));
}

#[test]
fn a_secret_has_32_to_128_hex_digits() {
    let parse = |secret: &str| Keys::parse(&format!("1 {secret}"));
    for length in [32, 34, 64, 126, 128] {
        assert!(parse(&"aB".repeat(length / 2)).is_ok(), "{length}");
    }
    for length in [1, 30, 31, 33, 129, 130] {
        assert_eq!(parse(&"a".repeat(length)).unwrap_err(), on_line(1, KeyProblem::SecretLength), "{length}");
    }
    for digit in ["g", "/", ":", "@", "`", "G"] {
        let secret = format!("{}{digit}", "0".repeat(31));
        assert_eq!(parse(&secret).unwrap_err(), on_line(1, KeyProblem::SecretDigits), "{digit}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let keys = Keys::parse(&format!("1 {SECRET} web1\n2 {}", "a7".repeat(20))).unwrap();
    let shown = format!("{keys:?}{:?}", keys.get(1));
    assert!(shown.contains("web1") && !shown.contains("0405") && !shown.contains("a7a7"), "{shown}");
    let wrong = problem(&format!("1 {SECRET}x"));
    assert!(!format!("{wrong:?}{wrong}").contains("0405"));
}

/// The test cases of RFC 4231 whose keys are of a size that a key file may have.
#[test]
fn tags_are_hmac_sha256() {
    let cases = [
        ("0b".repeat(20), b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ("aa".repeat(20), vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            (1..=25).map(|byte| format!("{byte:02x}")).collect(),
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
    ];
    for (secret, data, expected) in cases {
        let keys = Keys::parse(&format!("1 {secret}")).unwrap();
        let key = keys.get(1).unwrap();
        let (head, tail) = data.split_at(data.len() / 2);
        let tag = key.tag(&[head, tail]);
        assert_eq!(tag.map(|byte| format!("{byte:02x}")).concat(), expected);
        assert!(key.verify(&[&data], &tag));
        assert!(!key.verify(&[&data], &tag[..31]) && !key.verify(&[head], &tag) && !key.verify(&[&data], &[]));
    }
}

/// Test case 5 of RFC 4231.
#[test]
fn short_tags_are_the_first_half() {
    let keys = Keys::parse(&format!("1 {}", "0c".repeat(20))).unwrap();
    let key = keys.get(1).unwrap();
    let tag = key.short_tag(&[b"Test With ", b"Truncation"]);
    assert_eq!(tag.map(|byte| format!("{byte:02x}")).concat(), "a3b6167473100ee06e0c796c2955552b");
    assert!(key.verify_short(&[b"Test With Truncation"], &tag));
    for byte in 0..SHORT_TAG_SIZE {
        let mut other = tag;
        other[byte] ^= 1;
        assert!(!key.verify_short(&[b"Test With Truncation"], &other), "byte {byte}");
    }
}

#[test]
fn keys_are_the_same_with_the_same_ids_secrets_and_reals_in_the_same_order() {
    let parse = |text: &str| Keys::parse(text).unwrap();
    let (one, two) = (format!("1 {}\n", "0a".repeat(16)), format!("2 {}\n", "0b".repeat(16)));
    let keys = parse(&format!("{one}{two}"));
    assert!(keys.is_same(&parse(&format!("# again\n{one}{two}"))));
    for other in [
        format!("{two}{one}"),
        one.clone(),
        format!("{one}{two}3 {}\n", "0b".repeat(16)),
        format!("{one}2 {}\n", "0c".repeat(16)),
        format!("{one}2 {} web1\n", "0b".repeat(16)),
    ] {
        assert!(!keys.is_same(&parse(&other)), "{other}");
    }
}

proptest::proptest! {
    #![proptest_config(crate::testing::cases(512))]

    /// A key file is the operator's, and may be anything all the same. What is wrong with it is told without what is in it.
    #[test]
    fn anything_can_be_a_key_file(text in "([0-9]{1,6}[ \t]?[0-9a-zA-Z]{0,40}[ #]?[a-z.-]{0,9}\n?|\\PC){0,6}") {
        if let Err(error) = Keys::parse(&text) {
            let told = error.to_string();
            let secrets = text.split_whitespace().filter(|word| word.len() >= 32);
            for secret in secrets {
                proptest::prop_assert!(!told.contains(secret), "{told}");
            }
        }
    }
}
