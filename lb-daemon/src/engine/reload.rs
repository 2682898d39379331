//! Reload: the configuration file is taken over whole or not at all.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use lb_config::keys;
use lb_core::api::{ErrorBody, Reloaded};
use lb_core::pair::Role;
use lb_core::table::SchedulingTable;
use tracing::{error, info, warn};

use super::Engine;
use super::pace::Pace;
use crate::config::{Config, PairSettings, PathSettings, ReportSettings, Settings};
use crate::peer;

impl Engine {
    /// Reads the configuration file again and takes it over. The error is logged too.
    ///
    /// # Errors
    /// The file cannot be read or is wrong, or the maps cannot be written. The configuration in use serves on.
    pub fn reload(&mut self) -> Result<Reloaded, ErrorBody> {
        let mut pace = Pace::new();
        let result = self.try_reload(&mut pace);
        let path = self.config_path.display();
        match &result {
            Ok(reloaded) if reloaded.changed => info!("reloaded {path} in {pace}"),
            Ok(_) => info!("reloaded {path} in {pace}: nothing has changed"),
            Err(body) => error!("reload refused, the configuration in use serves on: {}", body.error),
        }
        result
    }

    fn try_reload(&mut self, pace: &mut Pace) -> Result<Reloaded, ErrorBody> {
        let config = Config::load(&self.config_path).map_err(|error| self.invalid(error))?;
        let config = config.with_persistent(&self.config_path).map_err(|error| self.invalid(error))?;
        pace.step("configuration");
        self.maps_took = Duration::ZERO;
        let reloaded = self.take_over(config)?;
        pace.step("table and watchers");
        pace.part("maps", self.maps_took);
        self.keep_what_differs();
        Ok(reloaded)
    }

    fn invalid(&self, error: impl fmt::Display) -> ErrorBody {
        let hint = format!(
            "the configuration in use serves on; `lbd check --config {}` shows the same errors",
            self.config_path.display()
        );
        ErrorBody { error: error.to_string(), hint: Some(hint) }
    }

    /// Takes a configuration over, whole or not at all.
    pub(super) fn take_over(&mut self, config: Config) -> Result<Reloaded, ErrorBody> {
        let Config { cluster, monitoring, settings, origin } = config;
        let keys =
            settings.reports.as_ref().map(|reports| keys::read(&reports.key_file)).transpose().map_err(refused)?;
        let pair_keys =
            settings.pair.as_ref().map(|pair| peer::read_keys(&pair.key_file)).transpose().map_err(refused)?;
        let timeout_ms = settings.flow_idle_timeout.as_millis() as u64;
        let monitoring_changed = !self.balance.is_configured_so(&monitoring);
        let mut group_changes = Vec::new();
        let changed = self.change_both(|table, balance, now_ms| {
            table.set_flow_idle_timeout(timeout_ms);
            if cluster != *table.cluster() {
                group_changes = SchedulingTable::group_changes(table.cluster(), &cluster);
                table.replace(cluster, now_ms)?;
            }
            Ok(balance.configure(table, monitoring, now_ms))
        });
        let table_changed = changed.map_err(refused)?;
        group_changes.iter().for_each(|change| warn!("{change}"));
        self.ask_for_all_when_following();
        let settings_changed = self.settings.interfaces != settings.interfaces
            || self.settings.reports != settings.reports
            || self.settings.pair != settings.pair
            || self.settings.checkpoint != settings.checkpoint;
        self.loaded_ns = self.forwarder.now_ns();
        if let (Some(keys), Some(reports)) = (keys, &settings.reports) {
            self.watchers.set_report_keys(keys, reports.rate_limit);
        }
        if let (Some(keys), Some(pair)) = (pair_keys, &settings.pair) {
            self.watchers.set_pair(pair, keys);
        }
        self.origin = origin;
        self.say_unfit_changes();
        self.settle(settings);
        let warnings = self.troubles.warnings();
        Ok(Reloaded {
            generation: self.table.generation(),
            changed: table_changed || settings_changed || monitoring_changed,
            warnings: warnings.into_iter().map(|warning| format!("{}: {}", warning.subject, warning.message)).collect(),
        })
    }

    /// What follows from a new configuration once it is in the maps.
    fn settle(&mut self, settings: Settings) {
        self.note_waiting_keys(&settings);
        self.settings.interfaces = settings.interfaces;
        self.settings.flow_idle_timeout = settings.flow_idle_timeout;
        if let (Some(used), Some(reports)) = (&mut self.settings.reports, settings.reports) {
            // Where they are waited for is taken over by a restart.
            *used = ReportSettings { listen: std::mem::take(&mut used.listen), ..reports };
        }
        if let (Some(used), Some(new)) = (&mut self.settings.checkpoint, settings.checkpoint) {
            *used = used.clone().reloaded(new);
        }
        self.tell_checkpoint_settings();
        if let (Some(used), Some(pair)) = (&mut self.settings.pair, settings.pair) {
            // Who it is and by which paths it speaks is taken over by a restart.
            *used = PairSettings { role: used.role, paths: std::mem::take(&mut used.paths), ..pair };
        }
        let cluster = self.table.cluster();
        self.notes.retain(|real, _| cluster.real(real).is_some());
        self.watch_next_hops();
        self.watch_checks();
        self.watch_reports(&BTreeMap::new());
        self.look_for_alarms();
        let interfaces = self.settings.interfaces.clone();
        self.set_interfaces(&interfaces);
        self.check_host();
        self.save_if_behind();
    }

    fn note_waiting_keys(&mut self, new: &Settings) {
        let keys = waiting_keys(&self.settings, new);
        if keys.is_empty() {
            self.troubles.forget("configuration");
        } else {
            let message = format!("{} changed, and lbd takes that over when it is restarted", keys.join(", "));
            self.troubles.warning("configuration", message);
        }
    }
}

/// The keys that only a restart takes over and that differ.
fn waiting_keys(used: &Settings, new: &Settings) -> Vec<&'static str> {
    let Settings {
        interfaces: _,
        attach_mode,
        state_dir,
        run_dir,
        bpf_dir,
        flow_idle_timeout: _,
        monitor_interval: _,
        reports,
        pair,
        checkpoint,
        limits,
        api_group,
        api_readers,
        http,
        log,
        bpf_log,
        ..
    } = new;
    let both = used.pair.is_some() && pair.is_some();
    let same_pair = used.pair.is_some() == pair.is_some();
    let differs = [
        ("attach_mode", used.attach_mode != *attach_mode),
        ("state_dir", used.state_dir != *state_dir),
        ("run_dir", used.run_dir != *run_dir),
        ("bpf_dir", used.bpf_dir != *bpf_dir),
        ("reports.listen", listen(&used.reports) != listen(reports)),
        ("pair", used.pair.is_some() != pair.is_some()),
        ("pair.role", both && role(&used.pair) != role(pair)),
        ("pair.path", both && paths(&used.pair) != paths(pair)),
        // Those that a pair has by itself come and go with it.
        ("checkpoint", same_pair && used.checkpoint.is_some() != checkpoint.is_some()),
        ("limits.reals", used.limits.reals != limits.reals),
        ("limits.flows", used.limits.flows != limits.flows),
        ("api.group", used.api_group != *api_group),
        ("api.readers", used.api_readers != *api_readers),
        ("http.listen", used.http != *http),
        ("log", used.log != *log),
        ("bpf_log", used.bpf_log != *bpf_log),
    ];
    let both = used.checkpoint.as_ref().zip(checkpoint.as_ref());
    let of_checkpoints = both.map(|(used, new)| used.waiting_keys(new)).unwrap_or_default();
    differs.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).chain(of_checkpoints).collect()
}

fn listen(reports: &Option<ReportSettings>) -> &[SocketAddr] {
    reports.as_ref().map_or(&[], |reports| &reports.listen)
}

fn role(pair: &Option<PairSettings>) -> Option<Role> {
    pair.as_ref().map(|pair| pair.role)
}

fn paths(pair: &Option<PairSettings>) -> &[PathSettings] {
    pair.as_ref().map_or(&[], |pair| &pair.paths)
}

fn refused(error: impl fmt::Display) -> ErrorBody {
    ErrorBody { error: format!("{error:#}"), hint: Some("the configuration in use serves on".to_owned()) }
}
