//! The Vietnamese numbering plan: which carrier hosts which range of mobile numbers.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::schema::{schema, words};

/// The published ranges, `prefix,carrier`, compiled in.
const PLAN: &str = include_str!("../../data/vn-mobile-prefixes.csv");

/// A carrier of the numbering plan. The number is its index in [`Carrier::all`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carrier(u8);

const NAMES: [&str; 7] =
    ["viettel", "vinaphone", "mobifone", "vietnamobile", "gmobile", "itel", "wintel"];
const BRANDS: [&str; NAMES.len()] =
    ["Viettel", "VinaPhone", "MobiFone", "Vietnamobile", "Gmobile", "Itelecom", "Wintel"];

impl Carrier {
    /// Every carrier that hosts a mobile range.
    pub fn all() -> impl Iterator<Item = Carrier> {
        (0..NAMES.len() as u8).map(Carrier)
    }

    /// The carrier with this name, as in the configuration and the API.
    pub fn named(name: &str) -> Option<Carrier> {
        NAMES.iter().position(|n| *n == name).map(|n| Carrier(n as u8))
    }

    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// The name as the carrier writes it, for people.
    pub fn brand(self) -> &'static str {
        BRANDS[usize::from(self.0)]
    }

    /// The index in [`Carrier::all`], for tables with one row per carrier.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Carrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

schema!(Carrier, "Carrier", words("The carrier of the call.", NAMES));

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The carriers by the first two national digits.
#[derive(Debug, Clone)]
pub struct CarrierPlan {
    by_prefix: [Option<Carrier>; 100],
}

impl CarrierPlan {
    /// The current plan.
    ///
    /// # Panics
    /// When the compiled-in table is malformed, which a test rules out.
    pub fn vietnam() -> Self {
        let mut by_prefix = [None; 100];
        let rows =
            PLAN.lines().filter(|line| !line.starts_with('#') && !line.starts_with("prefix"));
        for row in rows {
            let (prefix, name) = row.split_once(',').expect("a row is prefix,carrier");
            let prefix: usize = prefix.parse().expect("a prefix is two digits");
            by_prefix[prefix] = Some(Carrier::named(name).expect("a carrier of the plan"));
        }
        Self { by_prefix }
    }

    /// The hosted ranges: the first two digits after `+84`, ascending.
    pub fn prefixes(&self) -> impl Iterator<Item = u8> {
        (0..100).filter(|prefix| self.carrier(*prefix).is_some())
    }

    /// The carrier that hosts the range of `prefix`, a number's first two digits after `+84`.
    pub fn carrier(&self, prefix: u8) -> Option<Carrier> {
        self.by_prefix.get(usize::from(prefix)).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_range_has_a_carrier() {
        let plan = CarrierPlan::vietnam();
        assert_eq!(plan.carrier(98).unwrap().name(), "viettel");
        assert_eq!(plan.carrier(91).unwrap().name(), "vinaphone");
        assert_eq!(plan.carrier(90).unwrap().name(), "mobifone");
        assert_eq!(plan.carrier(55).unwrap().name(), "wintel");
        assert_eq!(plan.carrier(24), None);
        let hosted = (0..100).filter(|p| plan.carrier(*p).is_some()).count();
        assert_eq!(hosted, 36);
    }

    #[test]
    fn every_carrier_is_found_by_its_name() {
        for carrier in Carrier::all() {
            assert_eq!(Carrier::named(carrier.name()), Some(carrier));
        }
        assert_eq!(Carrier::named("Viettel"), None);
        assert_eq!(Carrier::named("vinaphone").map(Carrier::brand), Some("VinaPhone"));
    }
}
