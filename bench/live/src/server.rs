//! The HTTP server of a real: each request uses as much CPU time as its path says, on a thread of its own, so that requests
//! at the same time share the CPU as they do on a web server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

/// The most CPU time that a request may ask for.
const MAX_WORK: Duration = Duration::from_secs(1);
/// Requests that are worked on at once, at most; others wait.
const MAX_WORKERS: usize = 512;

/// Serves until it is killed.
pub fn run(listen: SocketAddr) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(MAX_WORKERS).build().context("cannot start")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let router = Router::new().route("/work/{microseconds}", get(work)).route("/hits", get(hits));
        axum::serve(listener, router.with_state(Arc::default())).await.context("cannot serve")
    })
}

async fn hits(State(hits): State<Arc<AtomicU64>>) -> String {
    hits.load(Ordering::Relaxed).to_string()
}

async fn work(State(hits): State<Arc<AtomicU64>>, Path(microseconds): Path<u64>) -> StatusCode {
    hits.fetch_add(1, Ordering::Relaxed);
    let work = Duration::from_micros(microseconds).min(MAX_WORK);
    match tokio::task::spawn_blocking(move || use_cpu(work)).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns when this thread has run for so long.
fn use_cpu(work: Duration) {
    let begun = thread_time();
    while thread_time().saturating_sub(begun) < work {
        for _ in 0..1_000 {
            std::hint::spin_loop();
        }
    }
}

fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that outlives the call. This clock is there on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
