//! Every metric: its name, its kind, its labels and its help. docs/reference/metrics.md has the same, and a test holds the
//! two together.
//!
//! Names begin with `understudy_`, and times are in seconds, sizes in bytes, shares from 0 to 1. A label's values come from the
//! configuration (services, reals, checks, paths, interfaces) or from a list in the code (states, reasons), never from packets.

use super::text::{Kind, Metric};

/// A metric, as the reference describes it.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $constant: Metric<{ <[&str]>::len(&[$($label),*]) }> =
            Metric { name: $name, kind: Kind::$kind, labels: [$($label),*], help: $help };)+

        /// All of them, in the order in which they are shown.
        #[cfg(test)]
        pub(super) const ALL: &[Entry] =
            &[$(Entry { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help }),+];
    };
}

metrics! {
    BUILD_INFO = Gauge "understudy_build_info" ["version", "abi"] "Always 1. The version of lbd, and of its agreement with the XDP program.";
    UPTIME = Gauge "understudy_uptime_seconds" [] "Since lbd started.";
    DEGRADED = Gauge "understudy_degraded" [] "1: something that should work does not. lbctl status says what.";
    WARNINGS = Gauge "understudy_warnings" [] "How many warnings lbctl status shows.";
    GENERATION = Gauge "understudy_table_generation" [] "Generation of the scheduling table: grows with each change.";
    CONFIG_AGE = Gauge "understudy_config_age_seconds" [] "Since the configuration in use was taken over.";
    STATE_SAVED = Gauge "understudy_state_saved" [] "1: the newest administrative state is on disk.";
    INTERFACE_ATTACHED = Gauge "understudy_interface_attached" ["interface", "mode"] "1: the XDP program is attached, in this mode; 0 with mode none: it is not.";
    FLOWS = Gauge "understudy_flows" [] "Flows in the flow table, which holds the exceptions only.";
    FLOW_LIMIT = Gauge "understudy_flow_limit" [] "Flows that the flow table can hold.";
    DROPPED = Counter "understudy_dropped_packets_total" ["reason"] "Packets for a VIP that were dropped.";
    EVENTS = Counter "understudy_packet_events_total" ["event"] "What else happened to packets for a VIP.";

    SERVICE_INFO = Gauge "understudy_service_info" ["service", "vip", "protocol", "port", "mode"] "Always 1. What is configured.";
    SERVICE_PACKETS = Counter "understudy_service_packets_total" ["service"] "Packets that the service was sent.";
    SERVICE_BYTES = Counter "understudy_service_bytes_total" ["service"] "IP lengths of these packets, without outer headers.";
    SERVICE_SEGMENTS = Counter "understudy_service_tcp_segments_total" ["service", "flag"] "TCP segments that the service was sent with SYN (and without ACK), FIN or RST.";
    SERVICE_SLOTS = Gauge "understudy_service_slots" ["service", "state"] "Slots of the service's ring that are clean, remember, or are marked.";
    SERVICE_REALS = Gauge "understudy_service_reals" ["service"] "Reals that are members of the service.";
    SERVICE_REALS_SERVING = Gauge "understudy_service_reals_serving" ["service"] "Members that new flows can go to.";
    SERVICE_FLOODED = Gauge "understudy_service_syn_flood" ["service"] "1: the service is under a SYN flood. Of services with syn_flood only.";

    REAL_INFO = Gauge "understudy_real_info" ["real", "address"] "Always 1. What is configured.";
    REAL_PACKETS = Counter "understudy_real_packets_total" ["real"] "Packets that the real was sent.";
    REAL_BYTES = Counter "understudy_real_bytes_total" ["real"] "IP lengths of these packets, without outer headers.";
    REAL_SEGMENTS = Counter "understudy_real_tcp_segments_total" ["real", "flag"] "TCP segments that the real was sent with SYN (and without ACK), FIN or RST.";
    REAL_SLOTS = Gauge "understudy_real_slots" ["real", "service"] "Slots of the service's ring that send new flows to the real.";
    REAL_HEALTH = Gauge "understudy_real_health" ["real", "health"] "1 for the health that the real has, 0 for the others.";
    REAL_ADMIN = Gauge "understudy_real_admin" ["real", "state"] "1 for what the operator says of the real, 0 for the others.";
    REAL_NEXT_HOP = Gauge "understudy_real_next_hop_resolved" ["real"] "1: the way to the real is known.";
    REAL_CONFIGURED_WEIGHT = Gauge "understudy_real_configured_weight" ["real"] "Weight by the configuration, or the operator's in its place.";
    REAL_WEIGHT = Gauge "understudy_real_weight" ["real"] "Weight in use, in the same unit; 0 while the real gets no new flows.";
    REAL_HOT = Gauge "understudy_real_hot" ["real"] "1: the real is overloaded for the moment.";
    REAL_UTILISATION = Gauge "understudy_real_utilisation_ratio" ["real"] "Utilisation of the real's busiest resource, smoothed.";
    REAL_CPU = Gauge "understudy_real_cpu_ratio" ["real"] "CPU time used, as the real reports it.";
    REAL_MEMORY = Gauge "understudy_real_memory_ratio" ["real"] "Time for which some task waited for memory, as the real reports it.";
    REAL_NETWORK = Gauge "understudy_real_network_ratio" ["real", "direction"] "Traffic as a share of what the link carries, as the real reports it.";
    REAL_HITS = Gauge "understudy_real_hits_per_second" ["real"] "Hits per second, smoothed: reported, or else new flows as counted here.";
    REAL_CAPACITY = Gauge "understudy_real_capacity_hits_per_second" ["real"] "Hits per second that the real could serve.";
    REAL_REPORT_AGE = Gauge "understudy_real_report_age_seconds" ["real"] "Since the real's newest report, or its agent's newest answer.";
    CHECK_UP = Gauge "understudy_check_up" ["service", "real", "check"] "1: the check says that the real can serve the service.";
    CHECK_LATENCY = Gauge "understudy_check_latency_seconds" ["service", "real", "check"] "How long the last success of the check took.";

    REPORTS_ACCEPTED = Counter "understudy_reports_accepted_total" [] "Reports of reals that were taken.";
    REPORTS_REFUSED = Counter "understudy_reports_refused_total" ["reason"] "Datagrams that were refused.";
    AGENT_FAILURES = Gauge "understudy_agent_check_failures" ["real"] "Times in a row that the real's agent could not be asked.";

    PAIR_ROLE = Gauge "understudy_pair_role" ["role"] "1 for the role that the node is configured for, 0 for the other.";
    PAIR_STATE = Gauge "understudy_pair_state" ["state"] "1 for what the node is, 0 for the others.";
    PAIR_EPOCH = Gauge "understudy_pair_epoch" [] "The highest epoch that the node knows: grows by one with each takeover.";
    PAIR_TAKEOVERS = Counter "understudy_pair_takeovers_total" [] "Takeovers by this node since lbd started.";
    PAIR_FITNESS = Gauge "understudy_pair_fitness_ratio" [] "How able the node is to serve.";
    PAIR_HELD = Gauge "understudy_pair_held" [] "1: an operator holds the node back from becoming active.";
    PAIR_LEASE = Gauge "understudy_pair_lease_remaining_seconds" [] "For how long the lease of the data plane still runs.";
    PAIR_LEASE_EXPIRED = Gauge "understudy_pair_lease_expired" [] "1: the node would serve, and its lease has ended.";
    PAIR_PEER = Gauge "understudy_pair_peer_health" ["health"] "1 for the health that the peer has, 0 for the others.";
    PAIR_HEARD = Gauge "understudy_pair_peer_heard_seconds" [] "Since the peer was heard.";
    PAIR_SYNC = Gauge "understudy_pair_sync" ["state"] "1 for how the two nodes compare, 0 for the others.";
    PAIR_DETECTION = Gauge "understudy_pair_detection_seconds" ["bound"] "From the peer's last sign of life to the verdict that it is dead, without loss: at least, in the mean, at most.";
    PAIR_DETECTIONS = Counter "understudy_pair_detections_total" [] "Deaths of the peer that were found out.";
    PAIR_MISTAKES = Counter "understudy_pair_mistakes_total" [] "Times that a peer that lived was called dead.";
    PAIR_ACCURACY = Gauge "understudy_pair_accuracy_ratio" [] "Share of the time without such a mistake.";
    PAIR_STALLS = Counter "understudy_pair_stalls_total" [] "Times that the heartbeat thread was off the CPU.";
    PAIR_STALLED = Counter "understudy_pair_stalled_seconds_total" [] "For how long it was, all together.";
    PAIR_LONGEST_STALL = Gauge "understudy_pair_longest_stall_seconds" [] "For how long it was, at most.";

    PATH_UP = Gauge "understudy_path_up" ["path", "kind"] "1: the path to the peer works.";
    PATH_RTT = Gauge "understudy_path_rtt_seconds" ["path"] "From ask to ack, smoothed.";
    PATH_LONGEST_RTT = Gauge "understudy_path_longest_rtt_seconds" ["path"] "From ask to ack, at most.";
    PATH_LOSS = Gauge "understudy_path_loss_ratio" ["path"] "Share of the last asks without an ack in time.";
    PATH_HEARD = Gauge "understudy_path_heard_seconds" ["path"] "Since a fresh frame of the peer came in.";
    PATH_SENT = Counter "understudy_path_sent_frames_total" ["path"] "Frames sent.";
    PATH_UNSENT = Counter "understudy_path_unsent_frames_total" ["path"] "Frames that could not be sent.";
    PATH_RECEIVED = Counter "understudy_path_received_frames_total" ["path"] "Authentic frames of the peer.";
    PATH_ASKS = Counter "understudy_path_asks_total" ["path", "outcome"] "Asks of this node with an ack in time, without one, or that count neither way.";
    PATH_REFUSED = Counter "understudy_path_refused_frames_total" ["path", "reason"] "Frames that were refused.";

    CHECKPOINT_ROLE = Gauge "understudy_checkpoint_role" ["role"] "1 for what the node does about checkpoints, 0 for the others.";
    CHECKPOINT_IN_SYNC = Gauge "understudy_checkpoint_in_sync" [] "1: all that the owner knows is with the peer, or on the disk of a node that is alone.";
    CHECKPOINT_SEQUENCE = Gauge "understudy_checkpoint_sequence" [] "The newest batch that was made, or applied by a node that follows.";
    CHECKPOINT_INTERVAL = Gauge "understudy_checkpoint_interval_seconds" [] "The checkpoint interval now.";
    CHECKPOINT_AGE = Gauge "understudy_checkpoint_age_seconds" [] "Since the newest durable checkpoint.";
    CHECKPOINT_BYTES = Gauge "understudy_checkpoint_bytes" [] "What the newest durable checkpoint wrote.";
    CHECKPOINT_ENTRIES = Gauge "understudy_checkpoint_entries" [] "Entries in the newest durable checkpoint.";
    CHECKPOINT_COMMIT = Gauge "understudy_checkpoint_commit_seconds" [] "How long the newest durable checkpoint took.";
    CHECKPOINT_COMMITS = Counter "understudy_checkpoint_commits_total" [] "Checkpoints that became durable.";
    CHECKPOINT_FAILURES = Counter "understudy_checkpoint_failures_total" [] "Checkpoints that the disk did not take.";
    CHECKPOINT_STORE = Gauge "understudy_checkpoint_store_bytes" [] "What all files of the store take.";
    CHECKPOINT_STORE_LIMIT = Gauge "understudy_checkpoint_store_limit_bytes" [] "What they may take.";
    CHECKPOINT_FLOWS = Gauge "understudy_checkpoint_flows" [] "Flows that are exceptions, as the newest batch knows them.";
    CHECKPOINT_AT_RISK = Gauge "understudy_checkpoint_flows_at_risk" [] "Flows that a failover at this instant would break.";
    CHECKPOINT_OVERRUNS = Counter "understudy_checkpoint_flow_event_overruns_total" [] "Times that the program found its ring buffer full.";
    CHECKPOINT_RESYNCS = Counter "understudy_checkpoint_flow_resyncs_total" [] "Times that all flows were sent again for that.";
    STREAM_CONNECTED = Gauge "understudy_checkpoint_stream_connected" [] "1: the nodes are connected.";
    STREAM_LAG = Gauge "understudy_checkpoint_stream_lag_seconds" [] "How long the oldest batch that the peer has not applied has waited.";
    STREAM_BACKLOG = Gauge "understudy_checkpoint_stream_backlog_bytes" [] "Bytes kept for a peer that has not acked them.";
    STREAM_BACKLOG_LIMIT = Gauge "understudy_checkpoint_stream_backlog_limit_bytes" [] "Most that are kept.";
    STREAM_CONNECTIONS = Counter "understudy_checkpoint_stream_connections_total" [] "Connections between the nodes.";
    STREAM_FULLS = Counter "understudy_checkpoint_stream_fulls_total" [] "Full checkpoints that went over the stream.";
    STREAM_BYTES = Counter "understudy_checkpoint_stream_bytes_total" [] "Bytes that went over the stream.";
}
