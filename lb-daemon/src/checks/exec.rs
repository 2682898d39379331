//! A program whose exit code says how the real is. There is no shell; the program is killed when time is up.

use std::io;

use lb_core::check::{Target, Via};

use super::probe::{Failure, TimeLimit};
use crate::program::{Hear, Program, is_executable, judge};

/// Runs the program.
pub(super) async fn run(command: &[String], target: &Target, limit: TimeLimit) -> Result<(), Failure> {
    if target.check.via == Via::Service {
        return Err(Failure::new("a program cannot be sent by the service's way; give via = \"address\""));
    }
    let name = name(command)?;
    let started = Program::start(command, environment(target), Hear::Errors);
    let mut program = started.map_err(|error| cannot_run(name, &error))?;
    let mut said = Vec::new();
    let end = async {
        let ended = program.end(&mut said).await;
        ended.map_err(|error| Failure::system("cannot wait for the program", &error))
    };
    // What was said is kept over the time limit, and the group is killed when `program` is dropped.
    let ended = limit.bound("end of the program", end).await?;
    judge(ended, &said).map_err(Failure::new)
}

/// Whether the program is there and may be run, as far as that can be told without running it.
pub(super) fn look(command: &[String]) -> Result<(), Failure> {
    let name = name(command)?;
    if is_executable(name).map_err(|error| cannot_run(name, &error))? {
        return Ok(());
    }
    Err(Failure::new(format_args!("{name} is no program that may be run: chmod +x {name}")))
}

fn name(command: &[String]) -> Result<&str, Failure> {
    command.first().map(String::as_str).ok_or_else(|| Failure::new("there is no program to run"))
}

fn cannot_run(name: &str, error: &io::Error) -> Failure {
    Failure::system(&format!("cannot run {name}"), error)
}

fn environment(target: &Target) -> [(&'static str, String); 5] {
    [
        ("UNDERSTUDY_SERVICE", target.service.clone()),
        ("UNDERSTUDY_REAL", target.real.clone()),
        ("UNDERSTUDY_ADDRESS", target.address.to_string()),
        ("UNDERSTUDY_PORT", target.port.to_string()),
        ("UNDERSTUDY_VIP", target.vip.to_string()),
    ]
}
