//! Where programs are started from: a thread that was there before the limits, and whose children have none.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

/// Programs that wait to be started; whoever wants another one waits.
const QUEUE: usize = 64;
/// Its name, as `ps -T` shows it.
const NAME: &str = "programs";

type Job = Box<dyn FnOnce() + Send>;

/// Who starts programs, once that is decided; within it none: nobody does.
static STARTER: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();

/// Makes the thread where programs are `wanted`. To be called before the limits are taken on, and once: later calls change nothing.
///
/// # Errors
/// The host has no thread to give.
pub(super) fn prepare(wanted: bool) -> io::Result<()> {
    let starter = if wanted { Some(start()?) } else { None };
    let _ = STARTER.set(starter);
    Ok(())
}

fn start() -> io::Result<SyncSender<Job>> {
    let (jobs, queue) = mpsc::sync_channel(QUEUE);
    thread::Builder::new().name(NAME.to_owned()).spawn(move || run(&queue))?;
    Ok(jobs)
}

fn run(queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        job();
    }
}

/// Does what starts a program, where that can be done, and waits for it. In a process without a sandbox that is here.
///
/// # Errors
/// When `lbd` started its configuration named no programs.
pub(crate) fn outside<T: Send + 'static>(start: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let Some(starter) = STARTER.get() else { return Ok(start()) };
    let gone = || io::Error::other("lbd has no thread to start programs from any more: restart it");
    let Some(jobs) = starter else {
        return Err(io::Error::other(
            "its configuration named no programs when lbd started, so it gave up the way to run any: restart lbd",
        ));
    };
    let (done, outcome) = mpsc::sync_channel(1);
    let job = move || {
        // Who asked is right here, waiting.
        let _ = done.send(start());
    };
    jobs.send(Box::new(job)).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())
}
