//! Answers load balancers that ask: HAProxy's agent-check protocol on a TCP port. One line, and the connection is closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_core::agent_check::{self, Admin, Answer, Health};
use lb_core::report::{Availability, Load};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time;
use tracing::warn;

/// Most connections at once; further ones wait.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection may take.
const CONNECTION_LIMIT: Duration = Duration::from_secs(2);
/// Most bytes that are read and thrown away of what the other side sends (`agent-send` of HAProxy).
const MAX_QUESTION: u64 = 4 << 10;
/// Pause after the host had no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is said of the real server at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) availability: Availability,
    pub(crate) load: Load,
}

impl Said {
    /// The weight is what is idle of the busiest resource. Never 0, which would take the real out.
    fn answer(&self) -> Answer {
        let idle = |(utilisation, _): (f64, _)| ((1.0 - utilisation) * 100.0).round().clamp(1.0, 100.0) as u32;
        match self.availability {
            Availability::Alive => Answer {
                admin: Some(Admin::Ready),
                health: Some(Health::Up),
                weight: self.load.utilisation().map(idle),
                ..Answer::default()
            },
            Availability::Drain => Answer { admin: Some(Admin::Drain), ..Answer::default() },
            Availability::Stop => Answer {
                health: Some(Health::Stopped),
                reason: Some("this server is about to stop".to_owned()),
                ..Answer::default()
            },
        }
    }
}

/// Listens, for [`serve`].
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers for ever.
pub(crate) async fn serve(listener: TcpListener, said: watch::Receiver<Said>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut accepting = true;
    loop {
        // The semaphore is never closed.
        let Ok(permit) = connections.clone().acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, _)) => {
                accepting = true;
                let line = agent_check::format(&said.borrow().answer());
                tokio::spawn(async move {
                    // Whoever is too slow, or gone, asks again.
                    let _ = time::timeout(CONNECTION_LIMIT, answer(stream, &line)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                if accepting {
                    warn!("agent-check: cannot take a connection: {error}");
                }
                accepting = false;
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Reads to the end of what the other side has to say before it closes: closing with bytes unread would send a RST, which
/// may overtake the answer.
async fn answer(mut stream: TcpStream, line: &str) -> io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MAX_QUESTION), &mut tokio::io::sink()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use lb_core::report::Share;

    use super::*;

    /// Longer than any machine needs; only a failure waits for it.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn said(availability: Availability, cpu: Option<u16>) -> Said {
        Said { availability, load: Load { cpu: cpu.map(Share), ..Load::default() } }
    }

    fn line(availability: Availability, cpu: Option<u16>) -> String {
        agent_check::format(&said(availability, cpu).answer())
    }

    #[test]
    fn the_weight_is_what_is_idle_and_never_nothing() {
        assert_eq!(line(Availability::Alive, Some(2_500)), "ready up 75%\n");
        assert_eq!(line(Availability::Alive, Some(0)), "ready up 100%\n");
        assert_eq!(line(Availability::Alive, Some(10_000)), "ready up 1%\n");
        assert_eq!(line(Availability::Alive, Some(30_000)), "ready up 1%\n");
        assert_eq!(line(Availability::Alive, None), "ready up\n", "nothing measured, nothing asked for");
    }

    #[test]
    fn drain_and_stop_have_no_weight() {
        assert_eq!(line(Availability::Drain, Some(2_500)), "drain\n");
        assert_eq!(line(Availability::Stop, Some(2_500)), "stopped #this server is about to stop\n");
    }

    #[tokio::test]
    async fn every_connection_gets_the_newest_word_whatever_it_sends() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (word, heard) = watch::channel(said(Availability::Alive, Some(2_500)));
        tokio::spawn(serve(listener, heard));
        let ask = async |question: Vec<u8>| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut answer = String::new();
            let _ = stream.write_all(&question).await;
            time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
            answer
        };
        assert_eq!(ask(Vec::new()).await, "ready up 75%\n");
        assert_eq!(ask(b"web/web1\n".to_vec()).await, "ready up 75%\n");
        word.send_replace(said(Availability::Drain, None));
        assert_eq!(ask(vec![0; 100]).await, "drain\n");
    }

    #[tokio::test]
    async fn a_question_that_comes_late_is_not_reset() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_word, heard) = watch::channel(Said::default());
        tokio::spawn(serve(listener, heard));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = String::new();
        time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        for _ in 0..2 {
            stream.write_all(b"web/web1\n").await.expect("after a RST the second one fails");
        }
    }

    #[tokio::test]
    async fn connections_that_never_end_keep_nobody_out_for_long() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_word, heard) = watch::channel(Said::default());
        tokio::spawn(serve(listener, heard));
        let mut hanging = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 1 {
            hanging.push(TcpStream::connect(address).await.unwrap());
        }
        let mut answer = String::new();
        let last = hanging.last_mut().unwrap();
        time::timeout(PATIENCE, last.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, "ready up\n");
    }
}
