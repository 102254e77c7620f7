//! Each carrier's gateways as operators see them: what `/trunks` beside the metrics answers, and
//! `nexo trunks` prints.

use std::time::Instant;

use nexo_actors::admission::Admission;
use nexo_actors::carrier::Trunk;
use nexo_actors::gateway::Gateway;
use nexo_actors::gateway_state::Registered;
use nexo_domain::timestamp::rfc3339;
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
            round_trip_ms: round_trip.map(|time| (time.as_secs_f64() * 1e6).round() / 1e3),
            last_failure: state.last_failure().map(|failure| FailureStatus {
                at: rfc3339(failure.at_ms),
                what: failure.what,
            }),
        }
    }
}
