//! The order of NAPTR and SRV records (RFC 3263 §4). Pure functions.

use crate::sip::message::hop::Transport;

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    pub services: String,
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// The supported transports of the NAPTR records, with the names of their SRV records, in order (RFC 3263
/// §4.1). Records with other flags than `s` are not for SIP, and are ignored.
pub fn by_naptr(records: &[Naptr]) -> Vec<(Transport, String)> {
    let mut supported: Vec<(u16, u16, Transport, String)> = records
        .iter()
        .filter(|naptr| naptr.flags.eq_ignore_ascii_case("s") && naptr.replacement != ".")
        .filter_map(|naptr| {
            let transport = match naptr.services.to_ascii_uppercase().as_str() {
                "SIP+D2U" => Transport::Udp,
                "SIP+D2T" => Transport::Tcp,
                "SIPS+D2T" => Transport::Tls,
                _ => return None,
            };
            let replacement = naptr.replacement.clone();
            Some((naptr.order, naptr.preference, transport, replacement))
        })
        .collect();
    supported.sort();
    supported.into_iter().map(|(_, _, transport, name)| (transport, name)).collect()
}

/// Orders the records by priority, and randomly by weight within a priority (RFC 2782). `draw` returns a
/// random number from 0 to its argument, inclusive.
pub fn by_weight(mut records: Vec<Srv>, mut draw: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // RFC 2782: records with weight 0 come first in their priority, which gives them a small chance.
    records.sort_by_key(|srv| (srv.priority, srv.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let same = records.iter().take_while(|srv| srv.priority == priority);
        let total: u32 = same.map(|srv| u32::from(srv.weight)).sum();
        let drawn = draw(total);
        let mut sum = 0;
        let index = records.iter().position(|srv| {
            sum += u32::from(srv.weight);
            sum >= drawn
        });
        ordered.push(records.remove(index.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn srv(priority: u16, weight: u16, port: u16) -> Srv {
        Srv { priority, weight, port, target: "sbc.example.".into() }
    }

    fn naptr(order: u16, preference: u16, flags: &str, services: &str) -> Naptr {
        Naptr {
            order,
            preference,
            flags: flags.into(),
            services: services.into(),
            replacement: format!("{services}.example."),
        }
    }

    #[test]
    fn naptr_records_give_the_transports_in_order() {
        let records = [
            naptr(20, 1, "s", "SIP+D2T"),
            naptr(10, 2, "S", "sip+d2u"),
            naptr(10, 1, "s", "SIPS+D2T"),
            naptr(1, 1, "s", "SIP+D2S"),
            naptr(1, 1, "u", "SIP+D2U"),
        ];
        let transports: Vec<Transport> = by_naptr(&records).iter().map(|(t, _)| *t).collect();
        assert_eq!(transports, [Transport::Tls, Transport::Udp, Transport::Tcp]);
    }

    #[test]
    fn weights_share_the_load_within_a_priority() {
        let mut random = StdRng::seed_from_u64(5);
        let mut first = [0; 3];
        for _ in 0..4000 {
            let records = vec![srv(1, 10, 1), srv(1, 30, 2), srv(2, 1000, 3)];
            let ordered = by_weight(records, |max| random.random_range(0..=max));
            assert_eq!(ordered[2].port, 3, "the lower priority is last");
            first[usize::from(ordered[0].port) - 1] += 1;
        }
        assert!((850..1150).contains(&first[0]), "{first:?}");
        assert_eq!(first[2], 0);
    }

    proptest! {
        #[test]
        fn no_record_is_lost_or_duplicated_and_priorities_ascend(
            records in proptest::collection::vec((0u16..4, any::<u16>(), any::<u16>()), 0..12),
            seed: u64,
        ) {
            let mut random = StdRng::seed_from_u64(seed);
            let records: Vec<Srv> = records.iter().map(|(p, w, port)| srv(*p, *w, *port)).collect();
            let ordered = by_weight(records.clone(), |max| random.random_range(0..=max));
            prop_assert!(ordered.is_sorted_by_key(|srv| srv.priority));
            let key = |srv: &Srv| (srv.priority, srv.weight, srv.port);
            let (mut before, mut after) = (records, ordered);
            before.sort_by_key(key);
            after.sort_by_key(key);
            prop_assert_eq!(before, after);
        }
    }
}
