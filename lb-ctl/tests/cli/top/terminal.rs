//! A real terminal: a pseudo terminal with `lbctl` at its one end, and an emulator that reads the other.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long something may take that has to happen.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Terminal {
    pub emulator: vt100::Parser,
    master: File,
    output: Receiver<Vec<u8>>,
    child: Child,
}

impl Terminal {
    /// Runs `lbctl` on a terminal of so many rows and columns.
    pub fn run(socket: &Path, arguments: &[&str], (rows, columns): (u16, u16), no_color: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        resize(&master, rows, columns);
        let slave = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(slave.to_str().unwrap()).unwrap();
        // A session of its own, so that the terminal is its own, and not the one that the tests run at.
        let child = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_lbctl"), "--socket"])
            .arg(socket)
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", no_color)
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave)
            .spawn()
            .unwrap();
        let master = File::from(master);
        let output = listen(master.try_clone().unwrap());
        Self { emulator: vt100::Parser::new(rows, columns, 0), master, output, child }
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        while !wanted(self.emulator.screen()) {
            match self.output.recv_timeout(LIMIT) {
                Ok(bytes) => self.emulator.process(&bytes),
                Err(error) => panic!("{what}: {error}\n{}", self.emulator.screen().contents()),
            }
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait(text, |screen| screen.contents().contains(text));
    }

    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.emulator.screen_mut().set_size(rows, columns);
        resize(&self.master, rows, columns);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end. Gives what is left of its output to the emulator.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIMIT;
        while let Ok(bytes) = self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.emulator.process(&bytes);
        }
        assert!(Instant::now() < deadline, "it goes on\n{}", self.emulator.screen().contents());
        self.child.wait().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(master: &impl std::os::fd::AsFd, rows: u16, columns: u16) {
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

fn listen(mut master: File) -> Receiver<Vec<u8>> {
    let (send, output) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // It fails when nobody has the other end any more.
        while let Ok(length @ 1..) = master.read(&mut buffer) {
            if send.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    output
}
