//! A trunk's gateways: their settings, and which one is tried next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_domain::call::breaker::Availability;
use nexo_domain::phone::Phone;
use nexo_voice::audio::g711::Codec;
use nexo_voice::net::streams::tls::TlsProfile;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use nexo_voice::sip::message::hop::Hop;
use nexo_voice::sip::user_agent::digest::Credentials;

use crate::trunk::gateway_state::GatewayState;

/// How a gateway expects a number to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NumberFormat {
    /// `+84981234567`
    #[default]
    E164,
    /// `84981234567`
    International,
    /// `0981234567`
    National,
}

impl NumberFormat {
    /// The number as it is dialled.
    pub fn write(self, phone: Phone) -> String {
        match self {
            NumberFormat::E164 => phone.to_string(),
            NumberFormat::International => phone.international(),
            NumberFormat::National => phone.national(),
        }
    }
}

/// How the caller ID is presented to a gateway (RFC 3325, RFC 3323).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerStyle {
    /// Replaces the caller ID in From: some carriers expect the account there.
    pub from_user: Option<String>,
    /// The domain of From and of the asserted identity. `None`: our own address.
    pub from_domain: Option<String>,
    /// Whether the caller ID is asserted in P-Asserted-Identity.
    pub asserts_identity: bool,
    /// Whether the caller ID is hidden from the callee.
    pub is_private: bool,
}

/// One signalling endpoint of a trunk.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub name: String,
    pub uri: GatewayUri,
    /// For digest authentication, if the gateway asks for it.
    pub credentials: Option<Arc<Credentials>>,
    pub number_format: NumberFormat,
    pub caller: CallerStyle,
    pub codecs: Vec<Codec>,
    /// Whether the audio must be encrypted (SRTP).
    pub srtp: bool,
    /// Lower values are tried first.
    pub priority: u16,
    /// The share of calls among gateways of the same priority.
    pub weight: u16,
    /// How long the gateway may stay silent before another one is tried.
    pub timeout: Duration,
    /// How often the gateway is probed with OPTIONS. `None`: never.
    pub probe_interval: Option<Duration>,
    /// The expiry of our registrations. `None`: the gateway needs none.
    pub register_seconds: Option<u32>,
    /// The TLS settings, if the gateway uses TLS.
    pub tls: Option<Arc<TlsProfile>>,
    /// The runtime state.
    pub state: Arc<GatewayState>,
}

/// Chooses the next target to try. Ready gateways come before those of last resort. Among them the lowest priority
/// wins, and within a priority the weight decides.
///
/// `random` is uniformly distributed over `u32`. Returns the index in `gateways`, and the target.
pub fn choose(
    gateways: &[Gateway],
    tried: &[(usize, Hop)],
    now: Instant,
    random: u32,
) -> Option<(usize, Hop)> {
    let candidates = untried(gateways, tried, now);
    let (index, hop) = by_weight(gateways, &candidates, random)?;
    gateways[index].state.call_started(now);
    Some((index, hop))
}

/// Whether there is a target that was not tried yet.
pub fn has_untried(gateways: &[Gateway], tried: &[(usize, Hop)], now: Instant) -> bool {
    !untried(gateways, tried, now).is_empty()
}

/// The candidates: one untried target of each gateway.
fn untried(gateways: &[Gateway], tried: &[(usize, Hop)], now: Instant) -> Vec<(usize, Hop)> {
    let mut ready = Vec::with_capacity(gateways.len());
    let mut last_resort = Vec::new();
    for (index, gateway) in gateways.iter().enumerate() {
        let targets = gateway.state.targets();
        let next = targets.iter().find(|hop| !tried.contains(&(index, **hop)));
        let Some(hop) = next.copied() else { continue };
        match gateway.state.availability(now) {
            Availability::Ready | Availability::Trial => ready.push((index, hop)),
            Availability::LastResort => last_resort.push((index, hop)),
            Availability::Unavailable => {}
        }
    }
    if ready.is_empty() { last_resort } else { ready }
}

fn by_weight(
    gateways: &[Gateway],
    candidates: &[(usize, Hop)],
    random: u32,
) -> Option<(usize, Hop)> {
    let priority = candidates.iter().map(|(index, _)| gateways[*index].priority);
    let lowest = priority.min()?;
    let best = || candidates.iter().filter(move |(index, _)| gateways[*index].priority == lowest);
    // A gateway of weight 0 still receives calls when it is the only one.
    let share = |index: usize| u64::from(gateways[index].weight.max(1));
    let total: u64 = best().map(|(index, _)| share(*index)).sum();
    let mut ticket = u64::from(random) * total / (u64::from(u32::MAX) + 1);
    best()
        .find(|(index, _)| match ticket.checked_sub(share(*index)) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        })
        .copied()
}

/// The shortest `Retry-After` of the gateways that currently want no calls.
pub fn retry_after(gateways: &[Gateway], now: Instant) -> Option<Duration> {
    let gateways = gateways.iter();
    gateways.filter_map(|gateway| gateway.state.retry_after(now)).min()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::trunk::gateway_state::HealthSource;
    use nexo_domain::call::Refusal;
    use nexo_domain::phone::carrier_plan::CarrierPlan;

    fn gateway(priority: u16, weight: u16) -> Gateway {
        Gateway {
            name: "hn1".into(),
            uri: "sip:127.0.0.1:5060".parse().unwrap(),
            credentials: None,
            number_format: NumberFormat::E164,
            caller: CallerStyle::default(),
            codecs: vec![Codec::Pcma],
            srtp: false,
            priority,
            weight,
            timeout: Duration::from_secs(2),
            probe_interval: None,
            register_seconds: None,
            tls: None,
            state: GatewayState::new(HealthSource::Calls, false, vec![hop(5060)]),
        }
    }

    fn hop(port: u16) -> Hop {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    /// The index of the chosen gateway when those in `tried` were tried.
    fn chosen(gateways: &[Gateway], tried: &[usize], random: u32) -> Option<usize> {
        let tried: Vec<_> = tried.iter().map(|index| (*index, hop(5060))).collect();
        choose(gateways, &tried, Instant::now(), random).map(|(index, _)| index)
    }

    #[test]
    fn the_lowest_priority_goes_first_and_the_tried_are_left_out() {
        let gateways = [gateway(2, 10), gateway(1, 10), gateway(1, 10)];
        let half = u32::MAX / 2;
        assert_eq!(chosen(&gateways, &[], half - 10), Some(1));
        assert_eq!(chosen(&gateways, &[], half + 10), Some(2));
        assert_eq!(chosen(&gateways, &[1], 0), Some(2));
        assert_eq!(chosen(&gateways, &[1, 2], u32::MAX), Some(0));
        assert_eq!(chosen(&gateways, &[0, 1, 2], 7), None);
    }

    #[test]
    fn weight_shares_the_calls_within_a_priority() {
        let gateways = [gateway(1, 10), gateway(1, 30), gateway(1, 0)];
        let mut calls = [0_u32; 3];
        for n in 0..4100u32 {
            let random = n.wrapping_mul(u32::MAX / 4100);
            calls[chosen(&gateways, &[], random).unwrap()] += 1;
        }
        assert!(calls[0].abs_diff(1000) < 10, "{calls:?}");
        assert!(calls[1].abs_diff(3000) < 10, "{calls:?}");
        assert!(calls[2].abs_diff(100) < 10, "{calls:?}");
    }

    #[test]
    fn a_silent_gateway_is_skipped_and_a_failing_one_is_the_last_resort() {
        let gateways = [gateway(1, 10), gateway(1, 10), gateway(2, 10)];
        for _ in 0..3 {
            gateways[0].state.call_refused(&Refusal::Silent, hop(5060));
        }
        let failed = Refusal::Rejected { code: 500, retry_after_seconds: None };
        for _ in 0..3 {
            gateways[1].state.call_refused(&failed, hop(5060));
        }
        assert_eq!(chosen(&gateways, &[], 0), Some(2));
        assert_eq!(chosen(&gateways, &[2], 0), Some(1));
        assert_eq!(chosen(&gateways, &[2, 1], 0), None);
    }

    #[test]
    fn every_target_of_a_gateway_is_tried_before_the_next_gateway() {
        let gateways = [gateway(1, 10), gateway(2, 10)];
        gateways[0].state.set_targets(vec![hop(5061), hop(5062)]);
        let choose = |tried: &[(usize, Hop)]| choose(&gateways, tried, Instant::now(), 0);
        let (first, second) = ((0, hop(5061)), (0, hop(5062)));
        assert_eq!(choose(&[]), Some(first));
        assert_eq!(choose(&[first]), Some(second));
        assert_eq!(choose(&[first, second]), Some((1, hop(5060))));
        gateways[0].state.set_targets(vec![]);
        assert_eq!(choose(&[]), Some((1, hop(5060))), "its name does not resolve");
    }

    #[test]
    fn a_number_is_written_in_the_format_of_the_gateway() {
        let phone = Phone::parse("+84981234567", &CarrierPlan::vietnam()).unwrap();
        assert_eq!(NumberFormat::E164.write(phone), "+84981234567");
        assert_eq!(NumberFormat::International.write(phone), "84981234567");
        assert_eq!(NumberFormat::National.write(phone), "0981234567");
    }
}
