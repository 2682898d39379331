//! `lbd`, the daemon. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lb_daemon::cli::main()
}
