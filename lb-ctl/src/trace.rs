//! `lbctl trace`: a line for each packet as it comes, and a file for Wireshark.

mod pcap;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use lb_core::api::TraceLine;

use crate::args::TraceArgs;
use crate::client::Client;
use crate::command::{Failure, Outcome, Verdict, unusable};
use crate::render::{self, Style};
use pcap::Pcap;

/// Goes on until the daemon ends the trace.
pub async fn run(client: &Client<'_>, wanted: &TraceArgs, json: bool, style: Style) -> Result<Outcome, Failure> {
    let mut file = match &wanted.pcap {
        Some(path) => {
            let failed = |error| unusable("write", path)(error);
            let file = File::create(path).map_err(failed)?;
            Some((path, Pcap::begin(BufWriter::new(file)).map_err(failed)?))
        }
        None => None,
    };
    let mut lines = client.lines(&wanted.path()).await?;
    let mut stdout = io::stdout();
    if !json {
        writeln!(stdout, "{}", style.bold(render::TRACE_HEADING)).map_err(Failure::Output)?;
    }
    while let Some(text) = lines.next().await? {
        let line: TraceLine = serde_json::from_str(&text).map_err(|error| client.garbage(&error))?;
        if let (Some((path, pcap)), TraceLine::Packet(packet)) = (&mut file, &line) {
            pcap.add(packet).map_err(unusable("write", path))?;
        }
        let text = if json { text } else { render::trace_line(&line, style) };
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Output)?;
    }
    Ok(Outcome { text: String::new(), verdict: Verdict::Good })
}
