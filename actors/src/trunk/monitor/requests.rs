//! Requests to a gateway outside a call: OPTIONS and REGISTER.

use std::sync::Arc;
use std::time::Duration;

use nexo_voice::endpoint::{
    Endpoint, OutOfDialogRequest, RequestKind, RequestOutcome, TraceSender,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::trunk::gateway::Gateway;

/// How long a gateway may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// If this many targets of a gateway do not answer, the gateway is treated as down.
const MAX_TARGETS: usize = 4;

/// Requests of one kind to one gateway: they share a Call-ID and number their CSeq.
pub(super) struct Requests<'a> {
    pub endpoint: &'a Endpoint,
    pub gateway: &'a Gateway,
    pub call_id: String,
    pub cseq: &'a mut u32,
}

/// A new Call-ID for requests outside a call.
pub(super) fn new_call_id() -> String {
    format!("{}@nexo", Uuid::new_v4())
}

impl Requests<'_> {
    /// Sends a request to the gateway's first target. If a target does not answer, the next one is tried (RFC 3263
    /// §4.3), and the silent one moves behind the others, for calls too.
    pub async fn send(
        &mut self,
        kind: RequestKind,
        timeout: Duration,
        trace: Option<TraceSender>,
    ) -> RequestOutcome {
        let gateway = self.gateway;
        let mut outcome = RequestOutcome::TransportFailed { cseq: *self.cseq };
        for target in gateway.state.targets().iter().take(MAX_TARGETS) {
            let request = OutOfDialogRequest {
                kind: kind.clone(),
                gateway: *target,
                gateway_host: gateway.uri.host_and_port(),
                gateway_domain: gateway.uri.domain(),
                credentials: gateway.credentials.clone(),
                call_id: self.call_id.clone(),
                cseq: *self.cseq,
                timeout,
                trace: trace.clone(),
            };
            outcome = self.endpoint.send_request(request).await;
            let (RequestOutcome::Answered { cseq: last, .. }
            | RequestOutcome::TimedOut { cseq: last }
            | RequestOutcome::TransportFailed { cseq: last }) = &outcome;
            *self.cseq = last + 1;
            if let RequestOutcome::Answered { .. } = outcome {
                return outcome;
            }
            gateway.state.demote(*target);
        }
        outcome
    }
}

/// Sends OPTIONS once. Returns the round-trip time if the gateway is up. Keeps the messages in the gateway's state.
pub async fn probe(endpoint: &Endpoint, gateway: &Gateway, cseq: &mut u32) -> Option<Duration> {
    let (trace, mut messages) = mpsc::unbounded_channel();
    let mut requests = Requests { endpoint, gateway, call_id: new_call_id(), cseq };
    let answer = requests.send(RequestKind::Options, PROBE_TIMEOUT, Some(trace));
    let answer = answer.await;
    let ladder = std::iter::from_fn(|| messages.try_recv().ok());
    gateway.state.set_probe_ladder(ladder.collect());
    if let RequestOutcome::Answered { weak_challenge: Some(challenge), .. } = &answer {
        gateway.state.record_failure(format!("a probe was {challenge}"));
    }
    match answer {
        // A gateway that is up but cannot work answers 408 or 503. Any other answer proves that it is up: many
        // gateways refuse OPTIONS from callers.
        RequestOutcome::Answered { code: 408 | 503, .. } => None,
        RequestOutcome::Answered { round_trip, .. } => Some(round_trip),
        RequestOutcome::TimedOut { .. } | RequestOutcome::TransportFailed { .. } => None,
    }
}

/// Why the connection to the gateway's first target failed, if it did.
pub fn connection_error(endpoint: &Endpoint, gateway: &Gateway) -> Option<Arc<str>> {
    let target = gateway.state.targets().first().copied()?;
    endpoint.last_connection_error(target)
}
