//! What values of the configuration can be, and what they are where the file does not say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most interfaces.
pub const MAX_INTERFACES: usize = 64;
/// The highest weight.
pub const MAX_WEIGHT: u32 = lb_core::service::MAX_WEIGHT;
/// What `limits.reals` can be: an id has 16 bits, and id 0 is no real.
pub const REALS_RANGE: RangeInclusive<u32> = 1..=lb_common::LIMIT_MAX_REALS - 1;
/// What `limits.flows` can be.
pub const FLOWS_RANGE: RangeInclusive<u32> = 1_024..=16_777_216;
/// What `flow_idle_timeout` can be.
pub const FLOW_IDLE_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// `flow_idle_timeout` unless the file says otherwise; as IPVS has it.
pub const DEFAULT_FLOW_IDLE_TIMEOUT: Duration = Duration::from_mins(15);
/// `limits.reals` unless the file says otherwise.
pub const DEFAULT_REALS: u32 = lb_common::DEFAULT_MAX_REALS - 1;
/// `state_dir` unless the file says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/understudy";
/// `run_dir` unless the file says otherwise.
pub const DEFAULT_RUN_DIR: &str = "/run/understudy";
/// `bpf_dir` unless the file says otherwise.
pub const DEFAULT_BPF_DIR: &str = "/sys/fs/bpf/understudy";

/// What `monitor_interval`, and the interval of a check or an agent-check, can be.
pub const MONITOR_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
/// `monitor_interval` unless the file says otherwise.
pub const DEFAULT_MONITOR_INTERVAL: Duration = Duration::from_secs(1);
/// What a check's `timeout` can be; it is shorter than the interval, too.
pub const CHECK_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
/// A check's `timeout` unless the file says otherwise, in percent of its interval.
pub const DEFAULT_CHECK_TIMEOUT_PERCENT: u32 = 40;
/// What `rise` and `fall` can be.
pub const RISE_FALL_RANGE: RangeInclusive<u32> = 1..=100;
/// `rise` unless the file says otherwise.
pub const DEFAULT_RISE: u32 = 2;
/// `fall` unless the file says otherwise.
pub const DEFAULT_FALL: u32 = 3;
/// Most `[[check]]`s.
pub const MAX_CHECKS: usize = 1_024;
/// Most checks of one service.
pub const MAX_CHECKS_OF_SERVICE: usize = 16;
/// Most checks of reals: of each service its reals times its checks, together.
pub const MAX_CHECKED: usize = 65_536;
/// The longest `path`, `body` or `expect` of a check, and the longest argument of its command, in bytes.
pub const MAX_CHECK_TEXT: usize = 4_096;
/// The longest `host` or `server_name` of a check, in bytes.
pub const MAX_HOST_LENGTH: usize = 255;
/// The longest datagram that a check sends, in bytes: what fits a packet everywhere.
pub const MAX_DATAGRAM: usize = 1_200;
/// Most entries of a check's `status`.
pub const MAX_STATUSES: usize = 64;
/// What an HTTP status can be.
pub const STATUS_RANGE: RangeInclusive<u16> = 100..=599;
/// A check's `status` unless the file says otherwise.
pub const DEFAULT_STATUSES: RangeInclusive<u16> = 200..=399;
/// Most entries of a check's `command`.
pub const MAX_ARGUMENTS: usize = 64;

/// Most prefixes that all services together allow and deny.
pub const MAX_ACCESS_PREFIXES: usize = lb_core::service::MAX_ACCESS_PREFIXES;
/// What the `rate` and `burst` of a `service.new_flow_limit` can be.
pub const NEW_FLOWS_RANGE: RangeInclusive<u32> = 1..=lb_core::service::MAX_NEW_FLOWS;
/// What `service.quic.config` can be.
pub const QUIC_CONFIG_RANGE: RangeInclusive<u32> = 0..=lb_core::service::MAX_QUIC_CONFIG as u32;
/// What `service.quic.server_id_length` can be.
pub const QUIC_SERVER_ID_RANGE: RangeInclusive<u32> = 1..=lb_core::service::MAX_QUIC_SERVER_ID as u32;
/// What `service.quic.nonce_length` can be.
pub const QUIC_NONCE_RANGE: RangeInclusive<u32> =
    *lb_core::service::QUIC_NONCES.start() as u32..=*lb_core::service::QUIC_NONCES.end() as u32;
/// What `service.quic.offset` can be.
pub const QUIC_OFFSET_RANGE: RangeInclusive<u32> = 0..=lb_core::service::QUIC_CID as u32 - 1;
/// Most `service.reals.quic_server_ids` of a real.
pub const MAX_QUIC_SERVER_IDS: usize = lb_core::service::MAX_QUIC_SERVER_IDS;
/// What `service.syn_flood.threshold` can be.
pub const SYN_FLOOD_RANGE: RangeInclusive<u32> = 1..=100_000_000;
/// The `prefix` of a `service.new_flow_limit` for an IPv6 VIP unless the file says otherwise: what a host has as a rule.
pub const DEFAULT_SOURCE_PREFIX_V6: u8 = 64;

/// Most addresses of `http.listen`.
pub const MAX_HTTP_LISTEN: usize = 16;

/// Most addresses of `reports.listen`.
pub const MAX_LISTEN: usize = 16;
/// `reports.listen` unless the file says otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 6_720);
/// `reports.key_file` unless the file says otherwise.
pub const DEFAULT_KEY_FILE: &str = "/etc/understudy/keys";
/// What `reports.rate_limit` can be.
pub const RATE_LIMIT_RANGE: RangeInclusive<u32> = 1..=1_000;
/// `reports.rate_limit` unless the file says otherwise.
pub const DEFAULT_RATE_LIMIT: u32 = 20;

/// What `scheduler.interval` can be.
pub const SCHEDULER_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
/// What `scheduler.smoothing` can be.
pub const SMOOTHING_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
/// What `scheduler.step_percent` can be.
pub const STEP_PERCENT_RANGE: RangeInclusive<u32> = 1..=100;
/// What `scheduler.dead_band_percent` can be.
pub const DEAD_BAND_PERCENT_RANGE: RangeInclusive<u32> = 0..=50;
/// What `scheduler.floor_percent` can be.
pub const FLOOR_PERCENT_RANGE: RangeInclusive<u32> = 1..=50;
/// What `scheduler.hold_after` can be.
pub const HOLD_AFTER_RANGE: RangeInclusive<u32> = 1..=1_000;
/// What `scheduler.expire` can be.
pub const EXPIRE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// What `scheduler.slow_start` can be.
pub const SLOW_START_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);
/// What `scheduler.hot_above_percent` can be: a report can say no more.
pub const HOT_ABOVE_PERCENT_RANGE: RangeInclusive<u32> = 1..=655;

/// The UDP port of heartbeats unless the file says otherwise.
pub const DEFAULT_PAIR_PORT: u16 = 6_721;
/// What `pair.heartbeat_interval` (Tb), and that of a path, can be.
pub const HEARTBEAT_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_secs(10);
/// `pair.heartbeat_interval` unless the file says otherwise.
pub const DEFAULT_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);
/// What `pair.missed_limit` (n), and that of a path, can be.
pub const MISSED_LIMIT_RANGE: RangeInclusive<u32> = 2..=20;
/// `pair.missed_limit` unless the file says otherwise.
pub const DEFAULT_MISSED_LIMIT: u32 = 3;
/// What `pair.ack_timeout` (W), and that of a path, can be; it is shorter than the interval, too.
pub const ACK_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);
/// The least ack timeout that a UDP path has where the file does not say.
pub const LEAST_DEFAULT_ACK_TIMEOUT: Duration = Duration::from_millis(2);
/// The ack timeout of a UDP path where the file does not say, in percent of the interval.
pub const DEFAULT_ACK_TIMEOUT_PERCENT: u32 = 25;
/// `pair.rise` unless the file says otherwise.
pub const DEFAULT_PATH_RISE: u32 = 3;
/// `pair.fall` unless the file says otherwise, for each that `missed_limit` has.
pub const DEFAULT_PATH_FALL_FACTOR: u32 = 2;
/// What `pair.failback_delay` can be.
pub const FAILBACK_DELAY_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);
/// `pair.failback_delay` unless the file says otherwise.
pub const DEFAULT_FAILBACK_DELAY: Duration = Duration::from_secs(30);
/// What `pair.start_wait` can be.
pub const START_WAIT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
/// `pair.start_wait` unless the file says otherwise, or detection takes longer.
pub const DEFAULT_START_WAIT: Duration = Duration::from_secs(3);
/// What `pair.lease` can be. Its end is rounded down to a tick of the kernel's clock (4 ms where HZ is 250, 10 ms where it is
/// 100), and a frame tells it in 16 bits of 4 ms each.
pub const LEASE_RANGE: RangeInclusive<Duration> = Duration::from_millis(8)..=Duration::from_mins(4);
/// What `pair.drain` can be.
pub const DRAIN_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(1);
/// `pair.drain` unless the file says otherwise, or the slowest path needs longer.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(1);
/// What `pair.handover_timeout` can be.
pub const HANDOVER_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(50);
/// `pair.handover_timeout` unless the file says otherwise.
pub const DEFAULT_HANDOVER_TIMEOUT: Duration = Duration::from_secs(5);
/// What `pair.announce_interval` can be.
pub const ANNOUNCE_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// `pair.announce_interval` unless the file says otherwise.
pub const DEFAULT_ANNOUNCE_INTERVAL: Duration = Duration::from_secs(10);
/// What a serial path's `baud` can be.
pub const BAUD_RANGE: RangeInclusive<u32> = 1_200..=4_000_000;
/// A serial path's `baud` unless the file says otherwise.
pub const DEFAULT_BAUD: u32 = 115_200;
/// Most gateways of `pair.track`.
pub const MAX_GATEWAYS: usize = 8;
/// What `pair.track.gateway_interval` can be.
pub const GATEWAY_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
/// `pair.track.gateway_interval` unless the file says otherwise.
pub const DEFAULT_GATEWAY_INTERVAL: Duration = Duration::from_secs(1);
/// What `pair.hooks.timeout` can be.
pub const HOOK_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
/// `pair.hooks.timeout` unless the file says otherwise.
pub const DEFAULT_HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What `checkpoint.interval` (Tc) and `checkpoint.max_interval` can be; both are longer than Tm, too.
pub const CHECKPOINT_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
/// `checkpoint.max_interval` unless the file says otherwise, or Tm is longer than half of it.
pub const DEFAULT_MAX_CHECKPOINT_INTERVAL: Duration = Duration::from_mins(1);
/// What `checkpoint.stream_interval` can be.
pub const STREAM_INTERVAL_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(100);
/// `checkpoint.stream_interval` unless the file says otherwise: less than a handshake takes.
pub const DEFAULT_STREAM_INTERVAL: Duration = Duration::from_millis(2);
/// What `checkpoint.write_ahead_timeout` can be.
pub const WRITE_AHEAD_TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);
/// `checkpoint.write_ahead_timeout` unless the file says otherwise.
pub const DEFAULT_WRITE_AHEAD_TIMEOUT: Duration = Duration::from_millis(50);
/// What `checkpoint.grace` can be.
pub const GRACE_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(10);
/// `checkpoint.grace` unless the file says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(3);
/// Where checkpoints are in `state_dir` unless the file says otherwise.
pub const CHECKPOINT_DIRECTORY: &str = "checkpoint";
/// `checkpoint.cluster` unless the file says otherwise.
pub const DEFAULT_CLUSTER: &str = "understudy";
/// What `checkpoint.max_size` can be, in bytes.
pub const CHECKPOINT_SIZE_RANGE: RangeInclusive<u64> = 16 << 20..=1 << 40;
/// `checkpoint.max_size` unless the file says otherwise, in bytes.
pub const DEFAULT_CHECKPOINT_SIZE: u64 = 1 << 30;
/// What `checkpoint.max_backlog` can be, in bytes.
pub const BACKLOG_RANGE: RangeInclusive<u64> = 1 << 20..=1 << 30;
/// `checkpoint.max_backlog` unless the file says otherwise, in bytes.
pub const DEFAULT_BACKLOG: u64 = 16 << 20;
/// What `checkpoint.flow_events_size` can be, in bytes; it is a power of two, too.
pub const FLOW_EVENTS_SIZE_RANGE: RangeInclusive<u32> = 64 << 10..=256 << 20;
/// `checkpoint.flow_events_size` unless the file says otherwise, in bytes.
pub const DEFAULT_FLOW_EVENTS_SIZE: u32 = 1 << 20;
/// What `checkpoint.mean_time_between_failures` can be.
pub const MEAN_TIME_BETWEEN_FAILURES_RANGE: RangeInclusive<Duration> =
    Duration::from_hours(1)..=Duration::from_hours(24 * 3_650);
/// `checkpoint.mean_time_between_failures` unless the file says otherwise: 30 days.
pub const DEFAULT_MEAN_TIME_BETWEEN_FAILURES: Duration = Duration::from_hours(24 * 30);
/// What `checkpoint.flow_weight` can be, in CPU time.
pub const FLOW_WEIGHT_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);
/// `checkpoint.flow_weight` unless the file says otherwise.
pub const DEFAULT_FLOW_WEIGHT: Duration = Duration::from_secs(1);
