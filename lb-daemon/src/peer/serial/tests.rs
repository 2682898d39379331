//! Lines made of pseudo terminals: the path has the far end, the test the near one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use lb_core::pair::serial::{Deframer, encode_stream};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::unistd;

use super::*;

const LIMIT_MS: u16 = 10_000;
const FRAME: &[u8] = b"a frame\0with a zero";

/// The near end and the far end's way.
struct Line {
    near: File,
    way: SerialWay,
}

impl Line {
    fn new() -> Self {
        let pair = openpty(None, None).unwrap();
        let device = unistd::ttyname(&pair.slave).unwrap();
        Self { near: pair.master.into(), way: SerialWay { device, baud: 115_200 } }
    }

    fn open(&self) -> SerialPath {
        open(&self.way).unwrap().0
    }
}

fn wait(fd: impl AsFd, events: PollFlags) {
    let mut fds = [PollFd::new(fd.as_fd(), events)];
    assert!(poll(&mut fds, PollTimeout::from(LIMIT_MS)).unwrap() > 0, "nothing came");
}

/// The next frame, and how much garbage came before it.
fn hear(path: &mut SerialPath) -> (Vec<u8>, usize) {
    let mut buffer = [0; 128];
    let mut garbage = 0;
    loop {
        match path.receive(&mut buffer).unwrap() {
            Heard::Frame(size) => return (buffer[..size].to_vec(), garbage),
            Heard::Garbage => garbage += 1,
            Heard::Nothing => wait(path.fd(), PollFlags::POLLIN),
            Heard::Again | Heard::Forwarded => {}
        }
    }
}

/// The frames that the next piece of the near end's bytes ends.
fn read_some(near: &mut File, deframer: &mut Deframer) -> Vec<Vec<u8>> {
    wait(&*near, PollFlags::POLLIN);
    let mut read = [0; 4096];
    let count = near.read(&mut read).unwrap();
    deframer.push(&read[..count])
}

#[test]
fn frames_go_both_ways_whatever_bytes_they_have() {
    let mut line = Line::new();
    let mut path = line.open();
    assert_eq!(path.receive(&mut [0; 128]).unwrap(), Heard::Nothing);
    let all: Vec<u8> = (0..=255).step_by(3).collect();
    line.near.write_all(&encode_stream(&all)).unwrap();
    assert_eq!(hear(&mut path), (all.clone(), 0));
    assert_eq!(path.send(&all).unwrap(), Sent::Whole);
    let expected = encode_stream(&all);
    let mut read = vec![0; expected.len()];
    line.near.read_exact(&mut read).unwrap();
    assert_eq!(read, expected, "the terminal changes no byte");
}

#[test]
fn a_frame_is_found_behind_garbage_and_in_pieces() {
    let mut line = Line::new();
    let mut path = line.open();
    let stream = encode_stream(FRAME);
    let (first, rest) = stream.split_at(4);
    line.near.write_all(&[0xa5; 700]).unwrap();
    line.near.write_all(first).unwrap();
    line.near.write_all(rest).unwrap();
    let (frame, garbage) = hear(&mut path);
    assert_eq!(frame, FRAME);
    assert!(garbage > 0);
    line.near.write_all(&[stream.clone(), stream].concat()).unwrap();
    assert_eq!(hear(&mut path), (FRAME.to_vec(), 0));
    assert_eq!(hear(&mut path), (FRAME.to_vec(), 0), "two in one piece");
}

/// The heartbeat thread waits for nobody, and whoever polls or reads a tty waits for a worker of the kernel.
#[test]
fn what_the_heartbeat_thread_polls_and_reads_is_no_tty() {
    let line = Line::new();
    let path = line.open();
    assert!(!unistd::isatty(path.fd()).unwrap());
    let flags = fcntl(path.fd(), FcntlArg::F_GETFL).unwrap();
    assert!(OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK));
}

#[test]
fn a_line_that_takes_nothing_loses_frames_and_holds_nothing_up() {
    let mut line = Line::new();
    let mut path = line.open();
    let mut taken = 0;
    while path.lost() == 0 {
        assert!(taken < 100_000, "a terminal that nobody reads is full at some time");
        taken += u64::from(path.send(FRAME).unwrap() == Sent::Whole);
    }
    // From now on nothing piles up. What waits in between is judged when the ferry's turn comes.
    for _ in 0..100 {
        taken += u64::from(path.send(FRAME).unwrap() == Sent::Whole);
    }
    assert_eq!(path.receive(&mut [0; 128]).unwrap(), Heard::Nothing);
    // As soon as it takes bytes again, what waits goes out in whole frames.
    let mut deframer = Deframer::new();
    let mut frames = Vec::new();
    while frames.len() as u64 + path.lost() < taken {
        frames.extend(read_some(&mut line.near, &mut deframer));
    }
    assert!(frames.iter().all(|frame| frame == FRAME));
    assert_eq!(deframer.discarded(), 0);
    assert_eq!(path.send(FRAME).unwrap(), Sent::Whole);
    assert_eq!(read_some(&mut line.near, &mut deframer), [FRAME]);
}

#[test]
fn a_line_that_is_hung_up_is_told() {
    let line = Line::new();
    let mut path = line.open();
    drop(line.near);
    wait(path.fd(), PollFlags::POLLIN);
    path.receive(&mut [0; 128]).unwrap_err();
    path.send(FRAME).unwrap_err();
}

#[test]
fn a_device_that_goes_or_is_replaced_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let device = directory.path().join("ttyS0");
    let (first, second) = (Line::new(), Line::new());
    let link = |to: &Line| std::os::unix::fs::symlink(&to.way.device, &device).unwrap();
    link(&first);
    let way = SerialWay { device: device.clone(), baud: 115_200 };
    let (_path, watch) = open(&way).unwrap();
    assert_eq!(watch.stale(), None);
    fs::remove_file(&device).unwrap();
    let gone = watch.stale().unwrap();
    assert_eq!(gone, format!("there is no {}: No such file or directory (os error 2)", device.display()));
    link(&second);
    assert_eq!(watch.stale(), Some(format!("{} is another device now", device.display())));
}

#[test]
fn what_is_no_free_line_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let way = SerialWay { device: file.path().to_owned(), baud: 115_200 };
    assert_eq!(open(&way).err().unwrap(), format!("{} is no serial line", file.path().display()));
    let null = SerialWay { device: "/dev/null".into(), baud: 115_200 };
    let refusal = open(&null).err().unwrap();
    assert!(refusal.starts_with("cannot open /dev/null at 115200 baud: "), "{refusal}");
    let line = Line::new();
    let _first = line.open();
    let device = line.way.device.display();
    let refusal = open(&line.way).err().unwrap();
    assert_eq!(refusal, format!("{device} is in use: another process has it"));
}

#[test]
fn a_terminal_that_somebody_sits_at_is_refused() {
    let line = Line::new();
    let terminal = File::options().read(true).write(true).open(&line.way.device).unwrap();
    let mut command = Command::new("cat");
    command.stdin(terminal).stdout(Stdio::null());
    // SAFETY: between fork and exec only system calls are made that are safe there.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut user = command.spawn().unwrap();
    let refusal = open(&line.way).err();
    user.kill().unwrap();
    user.wait().unwrap();
    let expected =
        format!("{} is in use: it is the terminal of process {} (cat)", line.way.device.display(), user.id());
    assert_eq!(refusal, Some(expected));
}
