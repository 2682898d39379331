//! Sources that answer, that are slow, that say too much, and that fail. All on loopback.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Longer than any machine needs; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// So short that it passes while something hangs.
const IMPATIENCE: Duration = Duration::from_millis(50);

fn command(words: &[&str]) -> Origin {
    Origin::Command(words.iter().map(ToString::to_string).collect())
}

async fn fetch(origin: &Origin) -> Result<String, String> {
    Fetcher::new(origin.clone()).fetch(PATIENCE).await.map_err(|error| error.to_string())
}

/// A server that takes one request, answers it with these bytes, and then closes or hangs.
async fn server(answer: Vec<u8>, hang: bool) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/count?x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        assert!(request[..length].starts_with(b"GET /count?x HTTP/1.1\r\n"));
        let _ = stream.write_all(&answer).await;
        if hang {
            std::future::pending::<()>().await;
        }
    });
    Origin::Http(url.parse().unwrap())
}

fn page(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_page_is_read() {
    assert_eq!(fetch(&server(page("200 OK", "42\n"), false).await).await.unwrap(), "42\n");
}

#[tokio::test]
async fn pages_that_are_none_fail_with_their_address() {
    let missing = server(page("404 Not Found", "42"), false).await;
    assert_eq!(fetch(&missing).await.unwrap_err(), format!("{missing}: it answers 404 Not Found"));
    let large = server(page("200 OK", &"9".repeat(MAX_ANSWER + 1)), false).await;
    let error = fetch(&large).await.unwrap_err();
    assert!(error.starts_with(&format!("{large}: its answer cannot be read (it can have 65536 bytes)")), "{error}");
    for garbage in
        [b"\0\xff garbage\r\n\r\n".to_vec(), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n4".to_vec(), Vec::new()]
    {
        let origin = server(garbage, false).await;
        let error = fetch(&origin).await.unwrap_err();
        assert!(error.starts_with(&format!("{origin}: ")), "{error}");
    }
}

#[tokio::test]
async fn a_page_that_hangs_is_given_up() {
    let origin = server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n4".to_vec(), true).await;
    let error = Fetcher::new(origin.clone()).fetch(IMPATIENCE).await.unwrap_err();
    assert_eq!(error, SourceError::Late { origin: origin.to_string(), limit: IMPATIENCE });
}

#[tokio::test]
async fn a_program_is_run_without_a_shell() {
    assert_eq!(fetch(&command(&["echo", "$HOME", "5"])).await.unwrap(), "$HOME 5\n");
}

#[tokio::test]
async fn programs_that_fail_are_named() {
    let error = fetch(&command(&["sh", "-c", "echo 5; exit 3"])).await.unwrap_err();
    assert_eq!(error, "command `sh -c echo 5; exit 3`: it ended with exit status: 3");
    let error = fetch(&command(&["/nonexistent/program"])).await.unwrap_err();
    assert!(error.starts_with("command `/nonexistent/program`: cannot run it: No such file"), "{error}");
}

#[tokio::test]
async fn a_program_that_never_ends_to_print_is_cut_off() {
    let error = fetch(&command(&["yes"])).await.unwrap_err();
    assert!(error.starts_with("command `yes`: it ended with signal"), "{error}");
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_what_it_has_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
    let mut fetcher = Fetcher::new(command(&["sh", "-c", &script]));
    let mut fetched = Box::pin(fetcher.fetch(PATIENCE));
    let pid = loop {
        tokio::select! {
            outcome = &mut fetched => panic!("it ended: {outcome:?}"),
            () = time::sleep(Duration::from_millis(5)) => {}
        }
        if let Ok(text) = std::fs::read_to_string(&file) {
            break text.trim().to_owned();
        }
    };
    drop(fetched);
    let running = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    time::timeout(PATIENCE, async {
        while running() {
            time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the program's child is killed");
}

#[tokio::test]
async fn a_file_is_read_and_a_missing_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("share");
    let origin = Origin::File(path.clone());
    let error = fetch(&origin).await.unwrap_err();
    assert_eq!(error, format!("file {}: No such file or directory (os error 2)", path.display()));
    std::fs::write(&path, "0.5\n").unwrap();
    assert_eq!(fetch(&origin).await.unwrap(), "0.5\n");
}

#[tokio::test]
async fn a_file_that_hangs_is_waited_for_by_one_thread_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let origin = Origin::File(path.clone());
    let mut fetcher = Fetcher::new(origin.clone());
    for _ in 0..3 {
        let error = fetcher.fetch(IMPATIENCE).await.unwrap_err();
        assert_eq!(error, SourceError::Late { origin: origin.to_string(), limit: IMPATIENCE });
    }
    // The reader that waits gets it: with another one beside it, it might not.
    tokio::task::spawn_blocking(move || std::fs::write(path, "0.5")).await.unwrap().unwrap();
    assert_eq!(fetcher.fetch(PATIENCE).await.unwrap(), "0.5");
    assert!(fetcher.reading.is_none());
}

const PACE: Pace = Pace { interval: Duration::from_secs(1), timeout: Duration::from_secs(2) };

/// Asks a file, and takes its text for a number.
fn poll(path: &Path) -> Poller<u32> {
    let pace = Pace { interval: Duration::from_millis(5), ..PACE };
    Poller::start(Origin::File(path.to_owned()), pace, |text, _| {
        text.parse().map(Some).map_err(|_| SourceError::Absent(text.to_owned()))
    })
}

async fn changed(poller: &mut Poller<u32>, is_so: impl FnMut(&Latest<u32>) -> bool) {
    time::timeout(PATIENCE, poller.latest.wait_for(is_so)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_value_stays_while_it_is_fresh_and_then_the_error_shows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("value");
    std::fs::write(&path, "7").unwrap();
    let mut poller = poll(&path);
    assert_eq!(poller.latest(Instant::now()), Ok(None), "it has not been asked yet");
    changed(&mut poller, |latest| latest.value.is_some()).await;
    std::fs::write(&path, "x").unwrap();
    changed(&mut poller, |latest| latest.error.is_some()).await;
    let (_, at) = poller.latest.borrow().value.unwrap();
    assert_eq!(poller.latest(at + poller.max_age), Ok(Some(7)));
    let stale = poller.latest(at + poller.max_age + Duration::from_millis(1));
    assert!(matches!(stale, Err(SourceError::Absent(_))), "{stale:?}");
    std::fs::write(&path, "8").unwrap();
    changed(&mut poller, |latest| latest.error.is_none()).await;
    assert_eq!(poller.latest(Instant::now()), Ok(Some(8)));
}
