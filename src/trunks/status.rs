//! Each carrier's gateways as operators see them: what `/trunks` beside the metrics answers, and
//! `nexo trunks` prints.

use std::time::{Duration, Instant};

use nexo_actors::trunk::admission::Admission;
use nexo_actors::trunk::carrier::Trunk;
use nexo_actors::trunk::gateway::Gateway;
use nexo_actors::trunk::gateway_state::Registered;
use nexo_domain::timestamp::rfc3339;
use nexo_voice::endpoint::{Direction, Traced};
use serde::{Deserialize, Serialize};

/// All trunks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Whether a running gateway says so. Otherwise the command has asked the gateways itself.
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
    /// Where its name leads, in the order in which they are tried.
    pub addresses: Vec<String>,
    /// Whether it is counted on. `None`: it was never asked.
    pub reachable: Option<bool>,
    /// `None`: it does not ask for a registration, or nothing runs that would be registered.
    pub registered: Option<bool>,
    /// Of the last probe.
    pub round_trip_ms: Option<f64>,
    pub last_failure: Option<FailureStatus>,
    /// The messages of the last probe, in their order.
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

/// What went wrong last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureStatus {
    pub at: String,
    pub what: String,
}

impl CarrierStatus {
    /// `admission`: of the running gateway.
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
            registered: match state.registered(Instant::now()) {
                Registered::NotAsked => None,
                Registered::Yes => Some(true),
                Registered::Asking | Registered::No(_) => Some(false),
            },
            round_trip_ms: round_trip.map(thousandths),
            last_failure: state.last_failure().map(|failure| FailureStatus {
                at: rfc3339(failure.at_ms),
                what: failure.what,
            }),
            ladder: ladder(&state.probe_ladder()),
        }
    }
}

fn ladder(messages: &[Traced]) -> Vec<Rung> {
    let Some(first) = messages.first() else {
        return Vec::new();
    };
    let rung = |message: &Traced| Rung {
        ms: thousandths(message.at.saturating_duration_since(first.at)),
        direction: match message.direction {
            Direction::Sent => "sent".to_owned(),
            Direction::Received => "received".to_owned(),
        },
        message: message.what.clone(),
        peer: message.peer.to_string(),
        repeated: message.is_repeat,
    };
    messages.iter().map(rung).collect()
}

/// Milliseconds to three places.
fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
