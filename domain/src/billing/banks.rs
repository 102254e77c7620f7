//! The banks of Vietnam by their NAPAS codes.

/// The codes of NAPAS's transfer service, `bin,name`, compiled in.
const BANKS: &str = include_str!("../../data/vn-banks.csv");

/// The name that a bank uses for itself, by its six-digit NAPAS code (BIN).
pub fn bank_name(bin: &str) -> Option<&'static str> {
    let mut rows = BANKS.lines().filter_map(|line| line.split_once(','));
    rows.find_map(|(known, name)| (known == bin).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_found_by_its_code() {
        assert_eq!(bank_name("970436"), Some("Vietcombank"));
        assert_eq!(bank_name("970418"), Some("BIDV"));
        for unknown in ["000000", "", "bin"] {
            assert_eq!(bank_name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_code_has_six_digits_and_one_name() {
        let mut codes: Vec<&str> = BANKS
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once(',').expect("bin,name").0)
            .collect();
        assert!(codes.iter().all(|bin| bin.len() == 6 && bin.bytes().all(|b| b.is_ascii_digit())));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
