//! `lbctl`: shows and steers a running `lbd`, through its API and nothing else.
//!
//! `args` is the command line, `client` talks HTTP over the daemon's unix socket, `command` does what was asked, and
//! `render` and `plot` turn answers into text. `top` is the live view, `trace` shows packets, and `models` works out what needs no daemon.

mod args;
mod client;
mod command;
mod import;
mod models;
mod plot;
mod render;
mod top;
mod trace;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use command::{Failure, Outcome, Verdict};
use render::Style;

/// The request failed.
const EXIT_FAILED: u8 = 1;
/// The daemon cannot be reached. (The command line's own errors are 2.)
const EXIT_UNREACHABLE: u8 = 3;
/// The daemon says that it is degraded.
const EXIT_DEGRADED: u8 = 4;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start: {error}"), EXIT_FAILED),
    };
    match runtime.block_on(command::run(&args, style())) {
        Ok(Outcome { text, verdict }) => print(&text, code(verdict)),
        // Whoever read it has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Client(error)) if error.is_unreachable() => complain(&error.to_string(), EXIT_UNREACHABLE),
        Err(error) => complain(&error.to_string(), EXIT_FAILED),
    }
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Good => 0,
        Verdict::Failed => EXIT_FAILED,
        Verdict::Degraded => EXIT_DEGRADED,
    }
}

fn style() -> Style {
    let no_color = std::env::var_os("NO_COLOR").unwrap_or_default();
    let term = std::env::var_os("TERM").unwrap_or_default();
    Style::for_output(std::io::stdout().is_terminal(), &no_color, &term)
}

fn print(text: &str, code: u8) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever read it has seen enough (`lbctl flows | head`).
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("cannot write the answer: {error}"), EXIT_FAILED)
        }
        _ => ExitCode::from(code),
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    // Without a stderr the exit code has to do.
    let _ = writeln!(std::io::stderr(), "lbctl: {message}");
    ExitCode::from(code)
}
