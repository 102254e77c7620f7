//! Ported numbers: which carrier hosts a number that has left the carrier of its range.
//!
//! The table holds millions of numbers in memory, at five bytes each, so a lookup needs no query.

use thiserror::Error;

use crate::phone::Phone;
use crate::phone::carrier_plan::Carrier;

/// Bytes of a packed row: the national number, big-endian, and the index of the carrier.
pub const ROW_BYTES: usize = 5;

/// Why rows do not form a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PortsError {
    #[error("{phone} is ported to two carriers, {one} and {other}")]
    TwoCarriers { phone: Phone, one: Carrier, other: Carrier },
    #[error("the packed table of ported numbers is damaged")]
    Damaged,
}

/// A set of ported numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortTable {
    /// In ascending order.
    phones: Vec<Phone>,
    carriers: Vec<Carrier>,
}

impl PortTable {
    /// Creates a table from rows in any order. Duplicate rows are allowed.
    ///
    /// # Errors
    /// [`PortsError::TwoCarriers`].
    pub fn of(mut rows: Vec<(Phone, Carrier)>) -> Result<PortTable, PortsError> {
        rows.sort_unstable();
        rows.dedup();
        let duplicate = rows.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some([(phone, one), (_, other)]) = duplicate {
            return Err(PortsError::TwoCarriers { phone: *phone, one: *one, other: *other });
        }
        let (phones, carriers) = rows.into_iter().unzip();
        Ok(PortTable { phones, carriers })
    }

    /// The carrier that hosts the number, if the number is ported.
    pub fn carrier(&self, phone: Phone) -> Option<Carrier> {
        let index = self.phones.binary_search(&phone).ok()?;
        Some(self.carriers[index])
    }

    pub fn len(&self) -> usize {
        self.phones.len()
    }

    pub fn is_empty(&self) -> bool {
        self.phones.is_empty()
    }

    /// The packed rows in order, in chunks of at most `rows` rows, [`ROW_BYTES`] per row. A carrier is written as its
    /// index in [`Carrier::all`].
    pub fn packed(&self, rows: usize) -> impl Iterator<Item = Vec<u8>> {
        let phones = self.phones.chunks(rows.max(1));
        let carriers = self.carriers.chunks(rows.max(1));
        phones.zip(carriers).map(|(phones, carriers)| {
            let mut bytes = Vec::with_capacity(phones.len() * ROW_BYTES);
            for (phone, carrier) in phones.iter().zip(carriers) {
                bytes.extend(phone.number().to_be_bytes());
                bytes.push(carrier.index() as u8);
            }
            bytes
        })
    }

    /// Restores a table from its packed chunks, in their order. `carriers` are the carriers that the indexes meant
    /// when the table was packed.
    ///
    /// # Errors
    /// [`PortsError::Damaged`] when the chunks are not a packed table.
    pub fn unpacked<'p>(
        pieces: impl Iterator<Item = &'p [u8]>,
        carriers: &[Carrier],
    ) -> Result<PortTable, PortsError> {
        let mut table = PortTable::default();
        for piece in pieces {
            let (rows, rest) = piece.as_chunks::<ROW_BYTES>();
            if !rest.is_empty() {
                return Err(PortsError::Damaged);
            }
            table.phones.reserve(rows.len());
            table.carriers.reserve(rows.len());
            for [a, b, c, d, index] in rows {
                let phone = Phone::from_number(u32::from_be_bytes([*a, *b, *c, *d]));
                let carrier = carriers.get(usize::from(*index)).copied();
                let (phone, carrier) = phone.zip(carrier).ok_or(PortsError::Damaged)?;
                if table.phones.last().is_some_and(|last| *last >= phone) {
                    return Err(PortsError::Damaged);
                }
                table.phones.push(phone);
                table.carriers.push(carrier);
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::carrier_plan::CarrierPlan;
    use proptest::prelude::*;

    fn phone(number: u32) -> Phone {
        let text = format!("+8498{number:07}");
        Phone::parse(&text, &CarrierPlan::vietnam()).unwrap()
    }

    fn carrier(name: &str) -> Carrier {
        Carrier::named(name).unwrap()
    }

    #[test]
    fn only_ported_numbers_have_a_carrier() {
        let rows = vec![
            (phone(7), carrier("mobifone")),
            (phone(3), carrier("itel")),
            (phone(7), carrier("mobifone")),
        ];
        let table = PortTable::of(rows).unwrap();
        assert_eq!(table.len(), 2);
        assert_eq!(table.carrier(phone(3)), Some(carrier("itel")));
        assert_eq!(table.carrier(phone(7)), Some(carrier("mobifone")));
        for other in [2, 4, 6, 8] {
            assert_eq!(table.carrier(phone(other)), None);
        }
    }

    #[test]
    fn a_number_with_two_carriers_is_refused() {
        let rows = vec![(phone(1), carrier("itel")), (phone(1), carrier("viettel"))];
        let error = PortTable::of(rows).unwrap_err();
        assert!(matches!(error, PortsError::TwoCarriers { .. }));
        assert!(!error.to_string().contains("Phone("), "{error}");
    }

    #[test]
    fn a_damaged_table_is_refused() {
        let carriers: Vec<Carrier> = Carrier::all().collect();
        let unpacked = |pieces: &[&[u8]]| PortTable::unpacked(pieces.iter().copied(), &carriers);
        let row = |number: u32, place: u8| [&number.to_be_bytes()[..], &[place]].concat();
        let good = row(980_000_001, 0);
        assert_eq!(unpacked(&[&good]).unwrap().len(), 1);
        for pieces in [
            vec![&good[..4]],
            vec![&good[..], &good[..]],
            vec![&row(980_000_001, 200)[..]],
            vec![&row(1_000_000_000, 0)[..]],
        ] {
            assert_eq!(unpacked(&pieces), Err(PortsError::Damaged));
        }
    }

    proptest! {
        #[test]
        fn a_packed_table_is_unpacked_unchanged(
            numbers in proptest::collection::btree_map(0u32..10_000_000, 0usize..7, 0..200),
            piece in 1usize..50,
        ) {
            let all: Vec<Carrier> = Carrier::all().collect();
            let rows = numbers.iter().map(|(n, c)| (phone(*n), all[*c])).collect();
            let table = PortTable::of(rows).unwrap();
            let pieces: Vec<Vec<u8>> = table.packed(piece).collect();
            prop_assert!(pieces.iter().all(|p| p.len() <= piece * ROW_BYTES));
            let back = PortTable::unpacked(pieces.iter().map(Vec::as_slice), &all);
            prop_assert_eq!(back, Ok(table));
        }
    }
}
