//! A trunk's gateways: where they are, how they want numbers, and which is tried next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::phone::Phone;
use nexo_voice::g711::Codec;
use nexo_voice::sip::digest::Credentials;

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

/// One signalling endpoint of a trunk.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub name: String,
    /// Where its SIP goes.
    pub address: SocketAddr,
    /// Host and port as they stand in SIP URIs.
    pub host: String,
    /// Who we are to it, should it ask.
    pub credentials: Option<Arc<Credentials>>,
    pub number_format: NumberFormat,
    pub codecs: Vec<Codec>,
    /// Lower is tried first.
    pub priority: u16,
    /// Its share among gateways of the same priority.
    pub weight: u16,
    /// How long it may stay silent before another one is tried.
    pub timeout: Duration,
}

/// Chooses among the gateways not yet tried: the lowest priority, and within it by weight.
///
/// `random` is evenly spread over all of `u32`. Returns the place in `gateways`.
pub fn choose(gateways: &[Gateway], tried: &[usize], random: u32) -> Option<usize> {
    let open = || (0..gateways.len()).filter(|place| !tried.contains(place));
    let priority = open().map(|place| gateways[place].priority).min()?;
    let best = || open().filter(|place| gateways[*place].priority == priority);
    // A weight of 0 still gets a call when there is nobody else.
    let share = |place: usize| u64::from(gateways[place].weight.max(1));
    let all: u64 = best().map(share).sum();
    let mut ticket = u64::from(random) * all / (u64::from(u32::MAX) + 1);
    best().find(|place| match ticket.checked_sub(share(*place)) {
        Some(rest) => {
            ticket = rest;
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::carrier_plan::CarrierPlan;

    fn gateway(priority: u16, weight: u16) -> Gateway {
        Gateway {
            name: "hn1".into(),
            address: ([127, 0, 0, 1], 5060).into(),
            host: "127.0.0.1:5060".into(),
            credentials: None,
            number_format: NumberFormat::E164,
            codecs: vec![Codec::Pcma],
            priority,
            weight,
            timeout: Duration::from_secs(2),
        }
    }

    #[test]
    fn the_lowest_priority_goes_first_and_the_tried_are_left_out() {
        let gateways = [gateway(2, 10), gateway(1, 10), gateway(1, 10)];
        let half = u32::MAX / 2;
        assert_eq!(choose(&gateways, &[], half - 10), Some(1));
        assert_eq!(choose(&gateways, &[], half + 10), Some(2));
        assert_eq!(choose(&gateways, &[1], 0), Some(2));
        assert_eq!(choose(&gateways, &[1, 2], u32::MAX), Some(0));
        assert_eq!(choose(&gateways, &[0, 1, 2], 7), None);
    }

    #[test]
    fn weight_shares_the_calls_within_a_priority() {
        let gateways = [gateway(1, 10), gateway(1, 30), gateway(1, 0)];
        let mut calls = [0_u32; 3];
        for n in 0..4100u32 {
            let random = n.wrapping_mul(u32::MAX / 4100);
            calls[choose(&gateways, &[], random).unwrap()] += 1;
        }
        assert!(calls[0].abs_diff(1000) < 10, "{calls:?}");
        assert!(calls[1].abs_diff(3000) < 10, "{calls:?}");
        assert!(calls[2].abs_diff(100) < 10, "{calls:?}");
    }

    #[test]
    fn a_number_is_written_as_the_gateway_wants_it() {
        let phone = Phone::parse("+84981234567", &CarrierPlan::vietnam()).unwrap();
        assert_eq!(NumberFormat::E164.write(phone), "+84981234567");
        assert_eq!(NumberFormat::International.write(phone), "84981234567");
        assert_eq!(NumberFormat::National.write(phone), "0981234567");
    }
}
