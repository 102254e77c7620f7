//! A trunk's gateways: where they are, how they want numbers, and which is tried next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_domain::call::breaker::Standing;
use nexo_domain::phone::Phone;
use nexo_voice::audio::g711::Codec;
use nexo_voice::net::streams::tls::TlsProfile;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use nexo_voice::sip::message::hop::Hop;
use nexo_voice::sip::user_agent::digest::Credentials;

use crate::trunk::gateway_state::GatewayState;

/// How a gateway wants to see a number.
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

/// Which number a gateway is shown, and where (RFC 3325, RFC 3323).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerStyle {
    /// From holds this instead of the caller ID: some carriers want to see the account there.
    pub from_user: Option<String>,
    /// The domain of From and of the asserted identity. `None`: our own address.
    pub from_domain: Option<String>,
    /// Whether the caller ID is asserted in P-Asserted-Identity.
    pub asserts_identity: bool,
    /// Whether the callee is kept from seeing the caller ID.
    pub is_private: bool,
}

/// One signalling endpoint of a trunk.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub name: String,
    pub uri: GatewayUri,
    /// Who we are to it, should it ask.
    pub credentials: Option<Arc<Credentials>>,
    pub number_format: NumberFormat,
    pub caller: CallerStyle,
    pub codecs: Vec<Codec>,
    /// Whether the audio must be protected.
    pub srtp: bool,
    /// Lower is tried first.
    pub priority: u16,
    /// Its share among gateways of the same priority.
    pub weight: u16,
    /// How long it may stay silent before another one is tried.
    pub timeout: Duration,
    /// How often it is asked whether it is there.
    pub probe_every: Option<Duration>,
    /// For how long we register, where it wants that.
    pub register_seconds: Option<u32>,
    /// How TLS is spoken to it, where it is.
    pub tls: Option<Arc<TlsProfile>>,
    /// What is known of it while the process runs.
    pub state: Arc<GatewayState>,
}

/// Chooses among the places of the gateways that were not tried yet: the ready gateways first, of them
/// the lowest priority, and within it by weight; then those that are the last resort.
///
/// `random` is evenly spread over all of `u32`. Returns the place in `gateways`, and where it is.
pub fn choose(
    gateways: &[Gateway],
    tried: &[(usize, Hop)],
    now: Instant,
    random: u32,
) -> Option<(usize, Hop)> {
    let among = untried(gateways, tried, now);
    let (place, hop) = by_weight(gateways, &among, random)?;
    gateways[place].state.begin(now);
    Some((place, hop))
}

/// Whether there is a place that was not tried yet.
pub fn is_one_left(gateways: &[Gateway], tried: &[(usize, Hop)], now: Instant) -> bool {
    !untried(gateways, tried, now).is_empty()
}

/// The places that come into question, one of each gateway.
fn untried(gateways: &[Gateway], tried: &[(usize, Hop)], now: Instant) -> Vec<(usize, Hop)> {
    let mut ready = Vec::with_capacity(gateways.len());
    let mut last = Vec::new();
    for (place, gateway) in gateways.iter().enumerate() {
        let targets = gateway.state.targets();
        let open = targets.iter().find(|hop| !tried.contains(&(place, **hop)));
        let Some(hop) = open.copied() else { continue };
        match gateway.state.standing(now) {
            Standing::Ready | Standing::Trial => ready.push((place, hop)),
            Standing::LastResort => last.push((place, hop)),
            Standing::Shut => {}
        }
    }
    if ready.is_empty() { last } else { ready }
}

fn by_weight(gateways: &[Gateway], among: &[(usize, Hop)], random: u32) -> Option<(usize, Hop)> {
    let priority = among.iter().map(|(place, _)| gateways[*place].priority);
    let lowest = priority.min()?;
    let best = || {
        among
            .iter()
            .filter(move |(place, _)| gateways[*place].priority == lowest)
    };
    // A weight of 0 still gets a call when there is nobody else.
    let share = |place: usize| u64::from(gateways[place].weight.max(1));
    let all: u64 = best().map(|(place, _)| share(*place)).sum();
    let mut ticket = u64::from(random) * all / (u64::from(u32::MAX) + 1);
    best()
        .find(|(place, _)| match ticket.checked_sub(share(*place)) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        })
        .copied()
}

/// How long the gateways that take no calls want to be left in peace: the shortest time.
pub fn peace_left(gateways: &[Gateway], now: Instant) -> Option<Duration> {
    let gateways = gateways.iter();
    gateways
        .filter_map(|gateway| gateway.state.peace_left(now))
        .min()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::trunk::gateway_state::Judged;
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
            probe_every: None,
            register_seconds: None,
            tls: None,
            state: GatewayState::new(Judged::ByCalls, false, vec![hop(5060)]),
        }
    }

    fn hop(port: u16) -> Hop {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    /// The place that is chosen when these were tried.
    fn chosen(gateways: &[Gateway], tried: &[usize], random: u32) -> Option<usize> {
        let tried: Vec<_> = tried.iter().map(|place| (*place, hop(5060))).collect();
        choose(gateways, &tried, Instant::now(), random).map(|(place, _)| place)
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
    fn a_dead_gateway_is_out_of_the_way_and_a_failing_one_the_last_resort() {
        let gateways = [gateway(1, 10), gateway(1, 10), gateway(2, 10)];
        for _ in 0..3 {
            gateways[0].state.refused(&Refusal::Silent, hop(5060));
        }
        let failed = Refusal::Rejected {
            code: 500,
            retry_after_seconds: None,
        };
        for _ in 0..3 {
            gateways[1].state.refused(&failed, hop(5060));
        }
        assert_eq!(chosen(&gateways, &[], 0), Some(2));
        assert_eq!(chosen(&gateways, &[2], 0), Some(1));
        assert_eq!(chosen(&gateways, &[2, 1], 0), None);
    }

    #[test]
    fn each_place_of_a_gateway_is_tried_before_the_gateway_is_given_up() {
        let gateways = [gateway(1, 10), gateway(2, 10)];
        gateways[0].state.moved(vec![hop(5061), hop(5062)]);
        let choose = |tried: &[(usize, Hop)]| choose(&gateways, tried, Instant::now(), 0);
        let (first, second) = ((0, hop(5061)), (0, hop(5062)));
        assert_eq!(choose(&[]), Some(first));
        assert_eq!(choose(&[first]), Some(second));
        assert_eq!(choose(&[first, second]), Some((1, hop(5060))));
        gateways[0].state.moved(vec![]);
        assert_eq!(choose(&[]), Some((1, hop(5060))), "its name is unknown");
    }

    #[test]
    fn a_number_is_written_as_the_gateway_wants_it() {
        let phone = Phone::parse("+84981234567", &CarrierPlan::vietnam()).unwrap();
        assert_eq!(NumberFormat::E164.write(phone), "+84981234567");
        assert_eq!(NumberFormat::International.write(phone), "84981234567");
        assert_eq!(NumberFormat::National.write(phone), "0981234567");
    }
}
