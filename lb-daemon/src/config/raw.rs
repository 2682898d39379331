//! A configuration file as it is written: each value of the right type and in its range, with its place in the file.
//! What values mean together is the business of `validate`.

mod check;
mod checkpoint;
mod cluster;
mod extras;
mod http;
mod load;
mod pair;
mod quic;
mod text;
mod tunnel;

use std::ops::Range;
use std::time::Duration;

use lb_config::{DeValue, Problems, Spanned, Table, array, document, string, word};

pub(super) use self::check::RawCheck;
pub(super) use self::checkpoint::RawCheckpoint;
pub(super) use self::cluster::{RawMember, RawReal, RawService};
pub(super) use self::extras::RawExtras;
pub(super) use self::http::RawHttp;
pub(super) use self::load::{RawReports, RawScheduler};
pub(super) use self::pair::{RawHooks, RawPair, RawPath, RawTiming, RawTrack, RawVipGroup, RawWay};
pub(super) use self::quic::{RawLayout, RawQuic};
pub(super) use self::tunnel::RawTunnel;
use super::{AttachMode, FLOW_IDLE_TIMEOUT_RANGE, FLOWS_RANGE, LogLevel, MONITOR_INTERVAL_RANGE, REALS_RANGE, keys};

/// A file whose values can each be used.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    /// Where to point when an interface is missing.
    pub(super) interfaces_span: Range<usize>,
    pub(super) interfaces: Vec<Spanned<String>>,
    pub(super) attach_mode: Option<AttachMode>,
    pub(super) state_dir: Option<Spanned<String>>,
    pub(super) run_dir: Option<Spanned<String>>,
    pub(super) bpf_dir: Option<Spanned<String>>,
    pub(super) flow_idle_timeout: Option<Duration>,
    pub(super) log: Option<LogLevel>,
    pub(super) bpf_log: Option<bool>,
    pub(super) max_reals: Option<u32>,
    pub(super) max_flows: Option<u32>,
    pub(super) tunnel: RawTunnel,
    pub(super) api: RawApi,
    pub(super) http: Option<RawHttp>,
    pub(super) monitor_interval: Option<Duration>,
    pub(super) reports: Option<RawReports>,
    pub(super) scheduler: RawScheduler,
    pub(super) checks: Vec<RawCheck>,
    pub(super) reals: Vec<RawReal>,
    pub(super) services: Vec<RawService>,
    pub(super) pair: Option<RawPair>,
    pub(super) checkpoint: Option<RawCheckpoint>,
}

/// `[api]`.
#[derive(Debug, Default)]
pub(super) struct RawApi {
    pub(super) group: Option<Spanned<String>>,
    pub(super) readers: Option<Spanned<String>>,
}

/// Reads what can be read, and notes everything that is wrong.
pub(super) fn read(source: &str, problems: &mut Problems) -> RawConfig {
    let Some(document) = document(source, problems) else { return RawConfig::default() };
    let top = Table::top(&keys::TOP, &document, problems);
    let (max_reals, max_flows) = limits(&top, problems);
    let (interfaces_span, interfaces) = interfaces(&top, problems);
    RawConfig {
        interfaces_span,
        interfaces,
        attach_mode: word(
            "attach_mode",
            top.string("attach_mode", "\"auto\"", problems),
            &[("auto", AttachMode::Auto), ("driver", AttachMode::Driver), ("generic", AttachMode::Generic)],
            problems,
        ),
        state_dir: top.string("state_dir", "\"/var/lib/understudy\"", problems),
        run_dir: top.string("run_dir", "\"/run/understudy\"", problems),
        bpf_dir: top.string("bpf_dir", "\"/sys/fs/bpf/understudy\"", problems),
        flow_idle_timeout: top
            .duration("flow_idle_timeout", FLOW_IDLE_TIMEOUT_RANGE, "\"15m\"", problems)
            .map(Spanned::into_inner),
        log: word("log", top.string("log", "\"info\"", problems), &LogLevel::WORDS, problems),
        bpf_log: top.boolean("bpf_log", problems),
        max_reals,
        max_flows,
        tunnel: top
            .table("tunnel", &keys::TUNNEL, problems)
            .map(|table| tunnel::tunnel(&table, problems))
            .unwrap_or_default(),
        api: top.table("api", &keys::API, problems).map(|table| api(&table, problems)).unwrap_or_default(),
        http: top.table("http", &keys::HTTP, problems).map(|table| http::http(&table, problems)),
        monitor_interval: top
            .duration("monitor_interval", MONITOR_INTERVAL_RANGE, "\"1s\"", problems)
            .map(Spanned::into_inner),
        reports: top.table("reports", &keys::REPORTS, problems).map(|table| load::reports(&table, problems)),
        scheduler: top
            .table("scheduler", &keys::SCHEDULER, problems)
            .map(|table| load::scheduler(&table, problems))
            .unwrap_or_default(),
        checks: each(&top, "check", check::check, problems),
        reals: each(&top, "real", cluster::real, problems),
        services: each(&top, "service", cluster::service, problems),
        pair: top.table("pair", &keys::PAIR, problems).and_then(|table| pair::pair(&table, problems)),
        checkpoint: top
            .table("checkpoint", &keys::CHECKPOINT, problems)
            .map(|table| checkpoint::checkpoint(&table, problems)),
    }
}

fn interfaces(top: &Table<'_, '_>, problems: &mut Problems) -> (Range<usize>, Vec<Spanned<String>>) {
    let example = "[\"eth0\"]";
    let Some(value) = top.required("interfaces", example, problems) else { return (0..0, Vec::new()) };
    let elements = array("interfaces", value, &format!("interfaces = {example}"), problems);
    let names = elements.iter().filter_map(|value| string("interfaces", value, example, problems)).collect();
    (value.span(), names)
}

fn api(table: &Table<'_, '_>, problems: &mut Problems) -> RawApi {
    let mut group = |key| table.string(key, "\"adm\"", problems);
    RawApi { group: group("group"), readers: group("readers") }
}

fn limits(top: &Table<'_, '_>, problems: &mut Problems) -> (Option<u32>, Option<u32>) {
    let Some(limits) = top.table("limits", &keys::LIMITS, problems) else { return (None, None) };
    let mut number = |key, range| limits.integer(key, range, problems).map(Spanned::into_inner);
    (number("reals", REALS_RANGE), number("flows", FLOWS_RANGE))
}

/// The tables of an array that can be read.
fn each<T>(
    top: &Table<'_, '_>,
    key: &str,
    read: impl Fn(&Spanned<DeValue<'_>>, &mut Problems) -> Option<T>,
    problems: &mut Problems,
) -> Vec<T> {
    top.tables(key, problems).iter().filter_map(|value| read(value, problems)).collect()
}
