//! The gateways of each carrier as operators see them: the answer of `/trunks` on the metrics port, and the output of
//! `nexo trunks`.

use std::time::{Duration, Instant};

use nexo_actors::trunk::admission::Admission;
use nexo_actors::trunk::carrier::Trunk;
use nexo_actors::trunk::gateway::Gateway;
use nexo_actors::trunk::gateway_state::RegistrationStatus;
use nexo_domain::timestamp::rfc3339;
use nexo_voice::endpoint::{Direction, TracedMessage};
use serde::{Deserialize, Serialize};

/// All trunks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Whether a running process reports it. Otherwise the command has probed the gateways itself.
    pub running: bool,
    pub carriers: Vec<CarrierStatus>,
}

/// One carrier's trunk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CarrierStatus {
    pub carrier: String,
    pub channels_in_use: u32,
    pub channels: u32,
    pub gateways: Vec<GatewayStatus>,
}

/// One gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatewayStatus {
    pub gateway: String,
    pub uri: String,
    /// The resolved addresses in the order in which they are tried.
    pub addresses: Vec<String>,
    /// Whether it is used. `None` before the first probe or call.
    pub reachable: Option<bool>,
    /// `None` if it needs no registration, or no process is running.
    pub registered: Option<bool>,
    /// The round trip of the last probe.
    pub round_trip_ms: Option<f64>,
    pub last_failure: Option<FailureStatus>,
    /// The messages of the last probe in order.
    #[serde(default)]
    pub ladder: Vec<Rung>,
}

/// One message of a probe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rung {
    /// Milliseconds since the first one.
    pub ms: f64,
    /// `sent` or `received`.
    pub direction: String,
    pub message: String,
    pub peer: String,
    pub repeated: bool,
}

/// The last failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureStatus {
    pub at: String,
    pub what: String,
}

impl CarrierStatus {
    /// `admission` is that of the running process, if any.
    pub fn of(trunk: &Trunk, admission: Option<&Admission>) -> CarrierStatus {
        CarrierStatus {
            carrier: trunk.carrier.name().to_owned(),
            channels_in_use: admission.map_or(0, Admission::channels_used),
            channels: trunk.channels,
            gateways: trunk.gateways.iter().map(GatewayStatus::of).collect(),
        }
    }
}

impl GatewayStatus {
    fn of(gateway: &Gateway) -> GatewayStatus {
        let state = &gateway.state;
        let targets = state.targets();
        let round_trip = state.round_trip();
        GatewayStatus {
            gateway: gateway.name.clone(),
            uri: gateway.uri.to_string(),
            addresses: targets.iter().map(ToString::to_string).collect(),
            reachable: Some(state.is_up()),
            registered: match state.registration(Instant::now()) {
                RegistrationStatus::NotRequired => None,
                RegistrationStatus::Registered => Some(true),
                RegistrationStatus::Pending | RegistrationStatus::Failed(_) => Some(false),
            },
            round_trip_ms: round_trip.map(thousandths),
            last_failure: state
                .last_failure()
                .map(|failure| FailureStatus { at: rfc3339(failure.at_ms), what: failure.what }),
            ladder: ladder(&state.probe_ladder()),
        }
    }
}

fn ladder(messages: &[TracedMessage]) -> Vec<Rung> {
    let Some(first) = messages.first() else {
        return Vec::new();
    };
    let rung = |message: &TracedMessage| Rung {
        ms: thousandths(message.at.saturating_duration_since(first.at)),
        direction: match message.direction {
            Direction::Sent => "sent".to_owned(),
            Direction::Received => "received".to_owned(),
        },
        message: message.summary.clone(),
        peer: message.peer.to_string(),
        repeated: message.is_retransmission,
    };
    messages.iter().map(rung).collect()
}

/// Milliseconds with three decimals.
fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
