//! Every metric of the gateway. Handles are made once: a metric that is looked up by name on the way of each message
//! would cost more than the message's decoding.

use std::collections::BTreeMap;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tidings_limits::LimitMetrics;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::client_frame;

/// The handles, shared by everything in one gateway.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// TCP connections, handshakes included.
    pub connections: Gauge,
    /// Sessions that were admitted.
    pub sessions: Gauge,
    pub frames_in_hello: Counter,
    pub frames_in_send: Counter,
    pub frames_in_ack: Counter,
    pub frames_in_read: Counter,
    pub frames_in_ping: Counter,
    pub frames_in_request: Counter,
    pub frames_in_activity: Counter,
    pub frames_out_deliver: Counter,
    pub frames_out_transient: Counter,
    pub frames_out_accepted: Counter,
    pub frames_out_refused: Counter,
    pub frames_out_read_recorded: Counter,
    pub frames_out_response: Counter,
    pub frames_out_other: Counter,
    /// Transient frames that a slow client had no room for.
    pub transients_dropped: Counter,
    /// Transient frames whose place a later one took, before a slow client was given them.
    pub transients_conflated: Counter,
    /// Activities beyond what a client may send, or that found no way to the shard.
    pub activities_dropped: Counter,
    /// Users whom clients watch, and sessions that watch.
    pub watched_users: Gauge,
    pub watching_sessions: Gauge,
    /// Frames that asked shards for users, and frames that told clients of them.
    pub presence_asks: Counter,
    pub presence_frames: Counter,
    /// From the moment a send was taken to its `Accepted`.
    pub send_seconds: Histogram,
    pub resubmitted: Counter,
    pub reattached: Counter,
    pub links_up: Gauge,
    pub link_connects: Counter,
    pub link_breaks: Counter,
    /// Frames in one batch to a broker.
    pub link_batch_frames: Histogram,
    pub token_cache_hits: Counter,
    pub token_cache_misses: Counter,
    pub user_cache_hits: Counter,
    pub user_cache_misses: Counter,
    /// Messages refused with RATE_LIMITED, by whose limit it was.
    pub limited_by_connection: Counter,
    /// By a policy's limits; whether they are shared: 1 while Redis answers, 0 while each gateway goes by its own
    /// counts.
    pub limits: LimitMetrics,
    /// Bytes of files that came, and that were given out.
    pub file_bytes_in: Counter,
    pub file_bytes_out: Counter,
    /// Connects of the watch stream.
    pub watch_connects: Counter,
    closes: BTreeMap<i32, Counter>,
    /// Connections that the client ended, or that broke.
    pub closed_by_peer: Counter,
}

impl Metrics {
    pub fn new() -> Self {
        let frames_in = |kind| counter!("tidings_gateway_frames_in_total", "kind" => kind);
        let frames_out = |kind| counter!("tidings_gateway_frames_out_total", "kind" => kind);
        let cache = |cache, outcome| counter!("tidings_gateway_cache_total", "cache" => cache, "outcome" => outcome);
        let limited = |of| counter!("tidings_gateway_rate_limited_total", "of" => of);
        let shared_limits = |outcome| counter!("tidings_gateway_shared_limits_total", "outcome" => outcome);
        let codes = (1..200).filter_map(|number| ErrorCode::try_from(number).ok());
        let close = |code: ErrorCode| counter!("tidings_gateway_closes_total", "code" => code.as_str_name());
        Self {
            connections: gauge!("tidings_gateway_connections"),
            sessions: gauge!("tidings_gateway_sessions"),
            frames_in_hello: frames_in("hello"),
            frames_in_send: frames_in("send"),
            frames_in_ack: frames_in("ack"),
            frames_in_read: frames_in("read"),
            frames_in_ping: frames_in("ping"),
            frames_in_request: frames_in("request"),
            frames_in_activity: frames_in("activity"),
            frames_out_deliver: frames_out("deliver"),
            frames_out_transient: frames_out("transient"),
            frames_out_accepted: frames_out("accepted"),
            frames_out_refused: frames_out("refused"),
            frames_out_read_recorded: frames_out("read_recorded"),
            frames_out_response: frames_out("response"),
            frames_out_other: frames_out("other"),
            transients_dropped: counter!("tidings_gateway_transients_dropped_total"),
            transients_conflated: counter!("tidings_gateway_transients_conflated_total"),
            activities_dropped: counter!("tidings_gateway_activities_dropped_total"),
            watched_users: gauge!("tidings_gateway_watched_users"),
            watching_sessions: gauge!("tidings_gateway_watching_sessions"),
            presence_asks: counter!("tidings_gateway_presence_asks_total"),
            presence_frames: frames_out("presence"),
            send_seconds: histogram!("tidings_gateway_send_seconds"),
            resubmitted: counter!("tidings_gateway_resubmitted_total"),
            reattached: counter!("tidings_gateway_reattached_total"),
            links_up: gauge!("tidings_gateway_links_up"),
            link_connects: counter!("tidings_gateway_link_connects_total"),
            link_breaks: counter!("tidings_gateway_link_breaks_total"),
            link_batch_frames: histogram!("tidings_gateway_link_batch_frames"),
            token_cache_hits: cache("token", "hit"),
            token_cache_misses: cache("token", "miss"),
            user_cache_hits: cache("user", "hit"),
            user_cache_misses: cache("user", "miss"),
            limited_by_connection: limited("connection"),
            limits: LimitMetrics {
                limited_by_user: limited("user"),
                limited_by_app: limited("app"),
                shared_up: gauge!("tidings_gateway_shared_limits_up"),
                shared_granted: shared_limits("granted"),
                shared_refused: shared_limits("refused"),
                shared_failed: shared_limits("failed"),
            },
            file_bytes_in: counter!("tidings_gateway_file_bytes_total", "direction" => "in"),
            file_bytes_out: counter!("tidings_gateway_file_bytes_total", "direction" => "out"),
            watch_connects: counter!("tidings_gateway_watch_connects_total"),
            closes: codes.map(|code| (code as i32, close(code))).collect(),
            closed_by_peer: counter!("tidings_gateway_closes_total", "code" => "PEER"),
        }
    }

    /// Counts a connection that this gateway closed.
    pub fn closed(&self, code: ErrorCode) {
        if let Some(counter) = self.closes.get(&(code as i32)) {
            counter.increment(1);
        }
    }

    /// Counts a frame from a client.
    pub fn frame_in(&self, frame: &client_frame::Frame) {
        let counter = match frame {
            client_frame::Frame::Hello(_) => &self.frames_in_hello,
            client_frame::Frame::Send(_) => &self.frames_in_send,
            client_frame::Frame::Ack(_) => &self.frames_in_ack,
            client_frame::Frame::Read(_) => &self.frames_in_read,
            client_frame::Frame::Ping(_) => &self.frames_in_ping,
            client_frame::Frame::Request(_) => &self.frames_in_request,
            client_frame::Frame::Activity(_) => &self.frames_in_activity,
        };
        counter.increment(1);
    }
}
