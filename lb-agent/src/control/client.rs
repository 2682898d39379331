//! The side of `lb-agent state`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lb_core::report::Availability;

use super::{MAX_LINE, QUESTION, REFUSAL, word};

/// How long the agent may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What the agent says of the real server, after it has been told to say this.
pub(crate) fn ask(socket: &Path, wish: Option<Availability>) -> anyhow::Result<String> {
    let question = match wish {
        Some(state) => format!("{QUESTION} {}\n", word(state)),
        None => format!("{QUESTION}\n"),
    };
    let mut stream = UnixStream::connect(socket).map_err(|error| unreachable(socket, &error))?;
    let answer = exchange(&mut stream, &question);
    let answer =
        answer.with_context(|| format!("no answer from the agent at {}; look at its log", socket.display()))?;
    if let Some(reason) = answer.strip_prefix(REFUSAL) {
        bail!("the agent refuses: {reason}");
    }
    Ok(answer)
}

fn exchange(stream: &mut UnixStream, question: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(question.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(answer) => Ok(answer.to_owned()),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => {
            "no such socket; start lb-agent (lb-agent run --config FILE), or name its socket (lb-agent.sock in its `run_dir`) \
             with --socket"
        }
        io::ErrorKind::ConnectionRefused => "nobody listens; lb-agent is not running, start it",
        io::ErrorKind::PermissionDenied => "permission denied; run this as root",
        _ => return anyhow::anyhow!("cannot reach lb-agent at {}: {error}", socket.display()),
    };
    anyhow::anyhow!("cannot reach lb-agent at {}: {advice}", socket.display())
}
