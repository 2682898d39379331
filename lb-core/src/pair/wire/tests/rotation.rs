//! Keys are replaced while frames go both ways.

use super::*;

const OLD: &str = "1 000102030405060708090a0b0c0d0e0f\n";
const NEW: &str = "2 101112131415161718191a1b1c1d1e1f\n";

fn file(lines: &[&str]) -> Keys {
    Keys::parse(&lines.concat()).unwrap()
}

/// What a node with the second file makes of a frame of a node with the first.
fn sent(from: &Keys, to: &Keys) -> Result<Frame, Refusal> {
    decode(&encode(&ask(1), 0, from).unwrap(), 0, Role::Primary, to)
}

#[test]
fn no_frame_is_refused_in_any_step() {
    let files = [file(&[OLD]), file(&[OLD, NEW]), file(&[NEW, OLD]), file(&[NEW])];
    for step in files.windows(2) {
        for a in step {
            for b in step {
                assert_eq!(sent(a, b), Ok(ask(1)), "{a:?} to {b:?}");
            }
        }
    }
    let signing = files.each_ref().map(|keys| signing_key(keys).unwrap().id());
    assert_eq!(signing, [1, 1, 2, 2]);
}

#[test]
fn who_leaves_a_step_out_is_refused() {
    let [old, added, first, new] = [file(&[OLD]), file(&[OLD, NEW]), file(&[NEW, OLD]), file(&[NEW])];
    assert_eq!(sent(&first, &old), Err(Refusal::UnknownKey), "the peer has not got the new key yet");
    assert_eq!(sent(&added, &new), Err(Refusal::UnknownKey), "the old key still signs");
    assert_eq!(sent(&old, &new), Err(Refusal::UnknownKey));
}

#[test]
fn a_key_of_the_same_id_is_no_replacement() {
    let other = file(&["1 101112131415161718191a1b1c1d1e1f\n"]);
    assert_eq!(sent(&file(&[OLD]), &other), Err(Refusal::BadTag));
    assert_eq!(sent(&other, &file(&[OLD])), Err(Refusal::BadTag));
}
