//! Agents of all kinds at the other end of a TCP connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lb_core::agent_check::{Admin, Answer, Health};
use lb_core::monitoring::AgentCheck;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::{ReportUpdate, Reports, Updates};
use super::{PATIENCE, next};

const INTERVAL_MS: u64 = 20;

fn ask(address: SocketAddr) -> AgentCheck {
    AgentCheck { address, interval_ms: INTERVAL_MS }
}

/// The agents, asked as those of `web0`, `web1` and so on.
fn start(agents: &[AgentCheck]) -> (Reports, Updates) {
    let (reports, updates) = Reports::start(None).unwrap();
    let named = agents.iter().enumerate().map(|(i, agent)| (format!("web{i}"), agent.clone()));
    reports.set_agents(named.collect());
    (reports, updates)
}

/// Serves one agent: tells of each connection, and has `serve` do with it what it does.
async fn agent<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if asked.send(()).is_err() {
                return;
            }
            tokio::spawn(serve(stream));
        }
    });
    (address, connections)
}

/// An agent that writes this, once the connection stands, and closes.
async fn saying(answer: &'static [u8]) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    agent(move |mut stream| async move {
        // Who has heard enough may have gone.
        let _ = stream.write_all(answer).await;
    })
    .await
}

/// What comes of asking the agent of a real: the next result.
async fn next_result(updates: &mut Updates, of: &str) -> Result<Answer, String> {
    loop {
        for update in next(updates).await {
            match update {
                ReportUpdate::AgentCheck { real, result } if real == of => return result,
                ReportUpdate::AgentCheck { .. } => {}
                ReportUpdate::Report(report) => panic!("{report:?}"),
            }
        }
    }
}

/// The next result that is not that the agent was too slow: on a busy machine it may be.
async fn next_answer(updates: &mut Updates, of: &str) -> Result<Answer, String> {
    loop {
        match next_result(updates, of).await {
            Err(error) if error.contains("did not answer") => {}
            result => return result,
        }
    }
}

async fn result_of(answer: &'static [u8]) -> Result<Answer, String> {
    let (address, _connections) = saying(answer).await;
    let (_reports, mut updates) = start(&[ask(address)]);
    next_answer(&mut updates, "web0").await
}

#[tokio::test]
async fn agents_are_understood_as_they_are_met() {
    let up = |weight| Answer { weight, health: Some(Health::Up), ..Answer::default() };
    assert_eq!(result_of(b"up 75%\n").await, Ok(up(Some(75))));
    assert_eq!(result_of(b"up 75%\r\n").await, Ok(up(Some(75))));
    assert_eq!(result_of(b"up").await, Ok(up(None)));
    assert_eq!(result_of(b"\n").await, Ok(Answer::default()));
    assert_eq!(result_of(b"drain\n").await, Ok(Answer { admin: Some(Admin::Drain), ..Answer::default() }));
    assert_eq!(result_of(b"maint").await, Ok(Answer { admin: Some(Admin::Maint), ..Answer::default() }));
    let down = Answer { health: Some(Health::Down), reason: Some("disk full".to_owned()), ..Answer::default() };
    assert_eq!(result_of(b"DOWN #disk full\r\n").await, Ok(down));
}

/// The line ends the answer: an agent that keeps the connection open is not waited for.
#[tokio::test]
async fn an_answer_may_come_in_pieces_and_stay_open() {
    let (address, _connections) = agent(|mut stream| async move {
        stream.set_nodelay(true).unwrap();
        for piece in ["re", "ady ", "5", "0%", "\n"] {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let (_reports, mut updates) = start(&[AgentCheck { address, interval_ms: 1_000 }]);
    let answer = Answer { weight: Some(50), admin: Some(Admin::Ready), ..Answer::default() };
    assert_eq!(next_answer(&mut updates, "web0").await, Ok(answer));
}

#[tokio::test]
async fn a_megabyte_of_garbage_is_not_read() {
    let (written, mut amounts) = mpsc::unbounded_channel();
    let (address, _connections) = agent(move |mut stream| {
        let written = written.clone();
        async move {
            let mut amount = 0;
            while amount < 64 << 20 && stream.write_all(&[b'x'; 4_096]).await.is_ok() {
                amount += 4_096;
            }
            let _ = written.send(amount);
        }
    })
    .await;
    let (reports, mut updates) = start(&[ask(address)]);
    let error = next_answer(&mut updates, "web0").await.unwrap_err();
    assert!(error.contains("longer than 4096 bytes") && error.contains(&address.to_string()), "{error}");
    let amount = amounts.recv().await.unwrap();
    assert!(amount < 64 << 20, "{amount} bytes went into the sockets and what reads them");
    assert_eq!(reports.counters().agent_answers, 0);
}

#[tokio::test]
async fn an_agent_that_never_answers_holds_nobody_up() {
    let (silent, _asked) = agent(|mut stream| async move {
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let (talking, _connections) = saying(b"up\n").await;
    let (_reports, mut updates) = start(&[ask(silent), ask(talking)]);
    assert!(next_answer(&mut updates, "web1").await.is_ok());
    let error = next_result(&mut updates, "web0").await.unwrap_err();
    assert!(error.contains(&format!("did not answer in {INTERVAL_MS} ms")), "{error}");
}

#[tokio::test]
async fn an_agent_that_closes_at_once_has_said_nothing() {
    let error = result_of(b"").await.unwrap_err();
    assert!(error.contains("closed the connection without an answer"), "{error}");
}

#[tokio::test]
async fn an_agent_that_says_what_no_agent_says_is_told() {
    let error = result_of(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap_err();
    assert!(error.contains("HTTP/1.1"), "{error}");
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_told_and_counted() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (reports, mut updates) = start(&[ask(closed)]);
    let error = next_answer(&mut updates, "web0").await.unwrap_err();
    assert!(error.contains("refused") && error.contains(&closed.to_string()), "{error}");
    let counters = reports.counters();
    assert!(counters.agent_failures > 0 && counters.agent_answers == 0, "{counters:?}");
}

#[tokio::test]
async fn agents_are_asked_again_and_again() {
    let (address, mut connections) = saying(b"up\n").await;
    let (reports, mut updates) = start(&[ask(address)]);
    for _ in 0..5 {
        assert!(next_answer(&mut updates, "web0").await.is_ok());
        connections.recv().await.unwrap();
    }
    assert!(reports.counters().agent_answers >= 5);
}

/// Answers that nobody reads are not left out and do not gather without end: the agents are not asked any more.
#[tokio::test]
async fn no_answer_is_left_out_for_a_slow_reader() {
    let (address, mut connections) = saying(b"up\n").await;
    let (reports, mut updates) = start(&[AgentCheck { address, interval_ms: 1 }]);
    for _ in 0..super::super::ANSWER_QUEUE {
        connections.recv().await.unwrap();
    }
    // One more may be asked, whose answer finds no room.
    let two_more = async { (connections.recv().await, connections.recv().await) };
    assert!(tokio::time::timeout(Duration::from_millis(100), two_more).await.is_err(), "asked on and on");
    let mut read = 0;
    while read < 3 * super::super::ANSWER_QUEUE as u64 {
        read += next(&mut updates).await.len() as u64;
        let asked = reports.counters().agent_answers;
        assert!(asked <= read + super::super::ANSWER_QUEUE as u64 + 1, "{asked} answers, {read} read");
    }
}

#[tokio::test]
async fn a_set_that_changes_disturbs_only_what_changes() {
    let (stays, _connections) = saying(b"up\n").await;
    let (goes, _connections) = saying(b"drain\n").await;
    let (comes, _connections) = saying(b"maint\n").await;
    let (reports, mut updates) = start(&[ask(stays), ask(goes)]);
    assert!(next_answer(&mut updates, "web1").await.is_ok());
    let task = |real: &str| reports.agents.task_id(real);
    let (kept, replaced) = (task("web0"), task("web1"));
    reports.set_agents(BTreeMap::from([("web0".to_owned(), ask(stays)), ("web1".to_owned(), ask(comes))]));
    assert!(kept.is_some() && task("web0") == kept);
    assert!(task("web1").is_some() && task("web1") != replaced);
    while next_answer(&mut updates, "web1").await.unwrap().admin != Some(Admin::Maint) {}
    reports.set_agents(BTreeMap::new());
    assert_eq!(task("web0"), None);
    // All tasks have ended, so the end comes when the handle goes.
    drop(reports);
    let rest = async { while updates.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("a task goes on");
}
