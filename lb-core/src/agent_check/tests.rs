//! Answers of agents as they are met, and the way there and back.

use proptest::prelude::*;

use super::*;
use crate::testing::cases;

fn read(text: &str) -> Answer {
    parse(text.as_bytes()).unwrap()
}

fn weight(percent: u32) -> Answer {
    Answer { weight: Some(percent), ..Answer::default() }
}

fn admin(admin: Admin) -> Answer {
    Answer { admin: Some(admin), ..Answer::default() }
}

fn health(health: Health) -> Answer {
    Answer { health: Some(health), ..Answer::default() }
}

#[test]
fn every_word_is_understood() {
    assert_eq!(read("up\n"), health(Health::Up));
    assert_eq!(read("down\n"), health(Health::Down));
    assert_eq!(read("fail\n"), health(Health::Failed));
    assert_eq!(read("failed\n"), health(Health::Failed));
    assert_eq!(read("stopped\n"), health(Health::Stopped));
    assert_eq!(read("ready\n"), admin(Admin::Ready));
    assert_eq!(read("drain\n"), admin(Admin::Drain));
    assert_eq!(read("maint\n"), admin(Admin::Maint));
    assert_eq!(read("75%\n"), weight(75));
    assert_eq!(read("maxconn:30\n"), Answer { maxconn: Some(30), ..Answer::default() });
}

#[test]
fn words_stand_in_any_order_case_and_separation() {
    let all = Answer {
        weight: Some(50),
        admin: Some(Admin::Ready),
        health: Some(Health::Up),
        maxconn: Some(30),
        ..Answer::default()
    };
    for line in ["up ready 50% maxconn:30", "MaxConn:30,50%,READY,Up", "\t50%\t, up ,,ready  maxconn:30 ,"] {
        assert_eq!(read(&format!("{line}\n")), all, "{line:?}");
    }
}

#[test]
fn a_line_ends_with_cr_lf_or_the_connection() {
    for line in ["up 75%\n", "up 75%\r\n", "up 75%\r", "up 75%", "up 75%\ndown 10%\n", "up 75%\r\ndrain"] {
        assert_eq!(read(line), Answer { health: Some(Health::Up), ..weight(75) }, "{line:?}");
    }
}

#[test]
fn of_several_words_of_a_kind_the_last_counts() {
    assert_eq!(read("up down 10% 20%\n"), Answer { health: Some(Health::Down), ..weight(20) });
}

#[test]
fn a_sharp_begins_the_reason() {
    let down = |reason: &str| Answer { reason: Some(reason.to_owned()), ..health(Health::Down) };
    assert_eq!(read("DOWN #disk full, up in 5%\r\n"), down("disk full, up in 5%"));
    assert_eq!(read("down,# \tdisk \t\n"), down("disk"));
    assert_eq!(read("down #\n"), health(Health::Down));
    assert_eq!(read("#only a reason\n"), Answer { reason: Some("only a reason".into()), ..Answer::default() });
    // As HAProxy has it, a word may hold a sharp that does not begin it.
    let word = Answer { unknown: Some("down#disk".into()), ..health(Health::Up) };
    assert_eq!(read("up down#disk\n"), word);
}

#[test]
fn shares_may_be_greater_than_the_whole_and_are_bounded() {
    for (text, percent) in [("0%", 0), ("100%", 100), ("101%", 101), ("300%", 300), ("007%", 7)] {
        assert_eq!(read(text), weight(percent));
    }
    for text in ["25600%", "25601%", "4294967295%", "4294967296%", "99999999999999999999999%"] {
        assert_eq!(read(text), weight(MAX_PERCENT), "{text}");
    }
    assert_eq!(read("maxconn:99999999999").maxconn, Some(u32::MAX));
}

#[test]
fn what_is_nearly_a_word_is_none() {
    for word in
        ["75", "%", "-5%", "+5%", "5%%", "5.5%", "5%x", "maxconn:", "maxconn:-1", "maxconn:3x", "maxconn", "upp", "d"]
    {
        assert_eq!(parse(word.as_bytes()), Err(AnswerError::Unknown(word.to_owned())), "{word}");
        let beside = Answer { unknown: Some(word.to_owned()), ..admin(Admin::Drain) };
        assert_eq!(read(&format!("{word} drain other")), beside);
    }
}

#[test]
fn an_empty_line_changes_nothing_and_no_line_is_an_error() {
    for line in ["\n", "\r\n", " \t,\n", "\nup\n"] {
        assert_eq!(read(line), Answer::default(), "{line:?}");
    }
    assert_eq!(parse(b""), Err(AnswerError::Empty));
}

#[test]
fn a_megabyte_of_garbage_is_refused_and_not_kept() {
    assert_eq!(parse(&vec![b'x'; 1 << 20]), Err(AnswerError::TooLong));
    assert_eq!(parse(&b"up ".repeat(1 << 18)), Err(AnswerError::TooLong));
    assert_eq!(parse(&[0; 100]), Err(AnswerError::Unknown("?".into())));
    let Err(AnswerError::Unknown(word)) = parse(&vec![0xff; MAX_ANSWER_SIZE]) else { panic!("not refused") };
    assert!((1..=MAX_REASON_LENGTH).contains(&word.len()));
    let mut line = vec![b' '; MAX_ANSWER_SIZE - 2];
    line.extend_from_slice(b"up\n");
    line.extend_from_slice(&vec![b'x'; 1 << 20]);
    assert_eq!(parse(&line), Ok(health(Health::Up)));
    line.insert(0, b' ');
    assert_eq!(parse(&line), Err(AnswerError::TooLong));
}

#[test]
fn an_answer_is_complete_with_its_line_or_when_no_more_of_it_is_looked_at() {
    for (bytes, complete) in [(&b""[..], false), (b"up", false), (b"up\r", true), (b"\n", true), (b"up\nx", true)] {
        assert_eq!(is_complete(bytes), complete, "{bytes:?}");
    }
    assert!(!is_complete(&[b'x'; MAX_ANSWER_SIZE]));
    assert!(is_complete(&[b'x'; MAX_ANSWER_SIZE + 1]));
}

#[test]
fn a_line_is_written_as_haproxy_reads_it() {
    let answer = Answer {
        weight: Some(75),
        admin: Some(Admin::Ready),
        health: Some(Health::Failed),
        reason: Some(" disk\nfull\r\n".into()),
        maxconn: Some(30),
        unknown: Some("x".into()),
    };
    assert_eq!(format(&answer), "ready fail 75% maxconn:30 #disk full\n");
    assert_eq!(format(&Answer::default()), "\n");
}

prop_compose! {
    fn answers()(
        weight in proptest::option::of(0..=MAX_PERCENT),
        admin in proptest::option::of(prop::sample::select(vec![Admin::Ready, Admin::Drain, Admin::Maint])),
        health in proptest::option::of(
            prop::sample::select(vec![Health::Up, Health::Down, Health::Failed, Health::Stopped])
        ),
        reason in proptest::option::of("[a-zA-Z0-9%#,é]([a-zA-Z0-9%#, é]{0,80}[a-zA-Z0-9%#,é])?"),
        maxconn in proptest::option::of(any::<u32>()),
    ) -> Answer {
        Answer { weight, admin, health, reason, maxconn, unknown: None }
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn what_is_written_is_read_again(answer in answers()) {
        prop_assert_eq!(parse(format(&answer).as_bytes()), Ok(answer));
    }

    /// Whatever comes: no panic, and nothing unbounded or of more than one line is kept.
    #[test]
    fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let kept = match parse(&bytes) {
            Ok(answer) => [answer.reason, answer.unknown].into_iter().flatten().collect(),
            Err(AnswerError::Unknown(word)) => vec![word],
            Err(_) => Vec::new(),
        };
        for text in kept {
            prop_assert!(!text.is_empty() && text.len() <= MAX_REASON_LENGTH && !text.contains(char::is_control));
        }
    }
}
