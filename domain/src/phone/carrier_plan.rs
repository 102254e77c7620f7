//! The Vietnamese numbering plan: which carrier hosts a range of mobile numbers.

use std::fmt;

/// The published ranges, `prefix,carrier`, compiled in.
const PLAN: &str = include_str!("../../data/vn-mobile-prefixes.csv");

/// A carrier of the numbering plan. Its number is its place in [`Carrier::all`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Carrier(u8);

const NAMES: [&str; 7] = [
    "viettel",
    "vinaphone",
    "mobifone",
    "vietnamobile",
    "gmobile",
    "itel",
    "wintel",
];

impl Carrier {
    /// Every carrier that hosts a mobile range.
    pub fn all() -> impl Iterator<Item = Carrier> {
        (0..NAMES.len() as u8).map(Carrier)
    }

    /// The carrier of this name, as the configuration and the API write it.
    pub fn named(name: &str) -> Option<Carrier> {
        NAMES
            .iter()
            .position(|n| *n == name)
            .map(|n| Carrier(n as u8))
    }

    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Its place in [`Carrier::all`], for tables that hold something a carrier.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Look-up of a number's first two national digits.
#[derive(Debug, Clone)]
pub struct CarrierPlan {
    by_prefix: [Option<Carrier>; 100],
}

impl CarrierPlan {
    /// The plan in force, read from the table that comes with the product.
    ///
    /// # Panics
    /// When the compiled-in table is malformed, which a test rules out.
    pub fn vietnam() -> Self {
        let mut by_prefix = [None; 100];
        let rows = PLAN
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("prefix"));
        for row in rows {
            let (prefix, name) = row.split_once(',').expect("a row is prefix,carrier");
            let prefix: usize = prefix.parse().expect("a prefix is two digits");
            by_prefix[prefix] = Some(Carrier::named(name).expect("a carrier of the plan"));
        }
        Self { by_prefix }
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
    fn every_published_range_has_its_carrier() {
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
    fn every_carrier_is_found_by_its_own_name() {
        for carrier in Carrier::all() {
            assert_eq!(Carrier::named(carrier.name()), Some(carrier));
        }
        assert_eq!(Carrier::named("Viettel"), None);
    }
}
