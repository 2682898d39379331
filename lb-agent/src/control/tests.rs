//! Questions over a real socket, and what is no question.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::*;

struct Control {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

/// A socket behind which a state is kept, and nobody may have it `alive` again.
fn control() -> Control {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lb-agent.sock");
    std::fs::write(&path, "left by a killed agent").unwrap();
    let socket = Socket::bind(&path).unwrap();
    let (wishes, mut wished) = mpsc::channel::<Wish>(1);
    tokio::spawn(socket.serve(wishes));
    tokio::spawn(async move {
        let mut state = Availability::Alive;
        while let Some(wish) = wished.recv().await {
            let granted = wish.state != Some(Availability::Alive);
            state = wish.state.filter(|_| granted).unwrap_or(state);
            let _ = wish.answer.send(if granted { Ok(state) } else { Err("not again".to_owned()) });
        }
    });
    Control { _directory: directory, path }
}

impl Control {
    async fn ask(&self, wish: Option<Availability>) -> Result<String, String> {
        let path = self.path.clone();
        spawn_blocking(move || ask(&path, wish).map_err(|error| format!("{error:#}"))).await.unwrap()
    }

    async fn raw(&self, question: &'static [u8]) -> String {
        let path = self.path.clone();
        let exchange = move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(question).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        spawn_blocking(exchange).await.unwrap()
    }
}

#[tokio::test]
async fn the_state_is_asked_and_changed() {
    let control = control();
    assert_eq!(control.ask(None).await.unwrap(), "alive");
    assert_eq!(control.ask(Some(Availability::Drain)).await.unwrap(), "drain");
    assert_eq!(control.ask(None).await.unwrap(), "drain");
    assert_eq!(control.ask(Some(Availability::Stop)).await.unwrap(), "stop");
    assert_eq!(control.ask(Some(Availability::Alive)).await.unwrap_err(), "the agent refuses: not again");
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let control = control();
    for garbage in [&b"\n"[..], b"", b"drain\n", b"GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(control.raw(garbage).await, "error: this is no question; ask `state`\n");
    }
    assert_eq!(control.raw(b"state asleep\n").await, "error: it can be alive, drain or stop\n");
    assert_eq!(control.raw(b"\xff\xfe\n").await, "", "not even text");
    assert_eq!(control.raw(&[b'x'; 200]).await, "error: this is no question; ask `state`\n");
    assert_eq!(control.ask(None).await.unwrap(), "alive");
}

#[tokio::test]
async fn only_the_owner_can_connect_and_the_file_goes_with_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lb-agent.sock");
    let socket = Socket::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(socket);
    assert!(!path.exists());
    let error = ask(&path, None).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot reach lb-agent at {}: no such socket; start", path.display())),
        "{error}"
    );
}

#[test]
fn every_state_has_a_word() {
    for (text, value) in WORDS {
        assert_eq!((word(value), state(text)), (text, Ok(value)));
    }
}
