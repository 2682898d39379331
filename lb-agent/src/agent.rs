//! What the agent knows and does: measure, report, change what it says, take over another configuration. When, is the
//! business of [`crate::run`].

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use lb_config::keys;
use lb_core::auth::Keys;
use lb_core::report::{self, Availability, EncodeError, Report};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::agent_check::Said;
use crate::config::Config;
use crate::control::{Wish, word};
use crate::generation;
use crate::measure::Measurer;
use crate::reporter::Reporter;

/// The agent of one real server.
#[derive(Debug)]
pub(crate) struct Agent {
    config_path: PathBuf,
    config: Config,
    keys: Option<Keys>,
    generation: u64,
    sequence: u64,
    measurer: Measurer,
    reporter: Reporter,
    said: watch::Sender<Said>,
    stopping: bool,
}

/// The keys that reports are signed with; none where nobody gets any.
///
/// # Errors
/// The key file cannot be used, or has no key for this real.
pub(crate) fn read_keys(config: &Config) -> anyhow::Result<Option<Keys>> {
    if config.load_balancers.is_empty() {
        return Ok(None);
    }
    let keys = keys::read(&config.key_file)?;
    if keys.signing(Some(&config.name)).is_none() {
        let error = EncodeError::NoKey(config.name.clone());
        return Err(error).with_context(|| format!("cannot use the key file {}", config.key_file.display()));
    }
    Ok(Some(keys))
}

impl Agent {
    /// Begins to measure. Must be called inside of a runtime.
    pub(crate) fn new(config_path: PathBuf, config: Config, keys: Option<Keys>) -> Self {
        Self {
            generation: generation::next(&config.fixed.state_dir),
            sequence: 0,
            measurer: Measurer::start(config.measure.clone(), Instant::now()),
            reporter: Reporter::new(&config.load_balancers),
            said: watch::Sender::new(Said::default()),
            stopping: false,
            config_path,
            config,
            keys,
        }
    }

    /// The configuration in use.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What is said of the real, now and from now on.
    pub(crate) fn said(&self) -> watch::Receiver<Said> {
        self.said.subscribe()
    }

    /// Measures, and reports it.
    pub(crate) fn measure_and_report(&mut self) {
        let load = self.measurer.measure(Instant::now()).load;
        self.said.send_modify(|said| said.load = load);
        self.report();
    }

    /// Reports what is said now.
    pub(crate) fn report(&mut self) {
        let Some(keys) = &self.keys else { return };
        let Said { availability, load } = *self.said.borrow();
        self.sequence += 1;
        let report = Report {
            real: self.config.name.clone(),
            generation: self.generation,
            sequence: self.sequence,
            interval_ms: self.config.report_interval.as_millis() as u32,
            availability,
            load,
        };
        match report::encode(&report, keys) {
            Ok(datagram) => self.reporter.send(&datagram),
            // Name, interval and keys have been looked at before they came into use.
            Err(error) => error!("cannot report: {error}"),
        }
    }

    /// Does what somebody wants, and answers.
    pub(crate) fn obey(&mut self, wish: Wish) {
        let answer = match wish.state {
            Some(state) if self.stopping && state != Availability::Stop => Err("it is about to stop".to_owned()),
            Some(state) => {
                if self.set(state) {
                    self.report();
                }
                Ok(state)
            }
            None => Ok(self.said.borrow().availability),
        };
        // Whoever asked may be gone.
        let _ = wish.answer.send(answer);
    }

    /// Reports will say that it is about to stop, and nothing else.
    pub(crate) fn begin_to_stop(&mut self) {
        self.stopping = true;
        self.set(Availability::Stop);
    }

    /// What reports will say. Returns whether that is a change.
    fn set(&mut self, state: Availability) -> bool {
        let before = self.said.borrow().availability;
        if before != state {
            info!("says {} from now on; it was {}", word(state), word(before));
            self.said.send_modify(|said| said.availability = state);
        }
        before != state
    }

    /// Reads the configuration and the keys again. All of it comes into use, or nothing.
    pub(crate) fn reload(&mut self) {
        match self.read_again() {
            Ok((config, keys)) => self.take_over(config, keys),
            Err(error) => error!("reload refused, everything stays as it was: {error:#}"),
        }
    }

    fn read_again(&self) -> anyhow::Result<(Config, Option<Keys>)> {
        let config = Config::load(&self.config_path)?;
        let keys = read_keys(&config)?;
        Ok((config, keys))
    }

    fn take_over(&mut self, mut config: Config, keys: Option<Keys>) {
        if config.fixed != self.config.fixed {
            warn!("a change of `agent_check_listen`, `state_dir`, `run_dir` or `log` waits for a restart of lb-agent");
            config.fixed = self.config.fixed.clone();
        }
        if config.measure != self.config.measure {
            self.measurer = Measurer::start(config.measure.clone(), Instant::now());
        }
        if config.load_balancers != self.config.load_balancers {
            self.reporter = Reporter::new(&config.load_balancers);
        }
        (self.config, self.keys) = (config, keys);
        info!("reloaded {}", self.config_path.display());
        self.report();
    }
}
