//! Payouts of commissions: the month, and the destination.

use std::fmt;

use sha2::{Digest, Sha256};
use thiserror::Error;
use time::{Date, Month as CalendarMonth};

use crate::money::Micros;

/// A month in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u8,
}

impl Month {
    /// `2026-11`.
    pub fn parse(text: &str) -> Option<Month> {
        let (year, month) = text.split_once('-')?;
        let is_number =
            |part: &str, width| part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(year, 4) || !is_number(month, 2) {
            return None;
        }
        let month = Month { year: year.parse().ok()?, month: month.parse().ok()? };
        ((1..=12).contains(&month.month) && month.year >= 1970).then_some(month)
    }

    /// The start of the month, in Unix milliseconds.
    pub fn start_ms(self) -> i64 {
        let month = CalendarMonth::try_from(self.month).unwrap_or(CalendarMonth::January);
        let first = Date::from_calendar_date(self.year, month, 1);
        first.map_or(0, |date| date.midnight().assume_utc().unix_timestamp() * 1_000)
    }

    /// The end of the month (exclusive), in Unix milliseconds.
    pub fn end_ms(self) -> i64 {
        self.next().start_ms()
    }

    fn next(self) -> Month {
        match self.month {
            12 => Month { year: self.year + 1, month: 1 },
            month => Month { month: month + 1, ..self },
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The part of a referral's pending commissions that a payout run pays: all except those earned after its month.
///
/// `later` is the amount earned since the end of the month. Commissions reversed or paid meanwhile count against the
/// older ones, so nothing is paid twice, in whatever order the months are run.
pub fn due(pending: Micros, later: Micros) -> Micros {
    Micros::new(pending.get().saturating_sub(later.get()).max(0))
}

/// Where the commissions of a referrer are paid to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PayoutWallet {
    /// A Vietnamese bank account: `970436 0123456789 NGUYEN VAN A`.
    Bank {
        /// The bank's six-digit NAPAS code.
        bin: String,
        number: String,
        holder: String,
    },
    /// USDT on Tron (TRC-20).
    Usdt { address: String },
    /// The referrer's own wallet, as cash.
    Balance,
}

/// Why a payout wallet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PayoutWalletError {
    #[error(
        "the payout wallet must be a bank account (bank), a USDT address (usdt) or your own wallet (balance)"
    )]
    UnknownKind,
    #[error(
        "a bank account must be the bank's 6 digits (BIN), the account number of 6 to 19 letters or digits, and the holder's name"
    )]
    BankMalformed,
    #[error("a USDT address must be on Tron (TRC-20): T and 33 more characters")]
    UsdtMalformed,
    #[error("the USDT address has a typing error: its checksum is wrong")]
    UsdtChecksum,
    #[error("your own wallet takes no address")]
    BalanceWithAddress,
}

/// The version byte of a Tron address.
const TRON_VERSION: u8 = 0x41;

impl PayoutWallet {
    /// Parses a wallet of the kind `bank`, `usdt` or `balance`.
    ///
    /// # Errors
    /// The reason, in a sentence for the person who typed it.
    pub fn parse(kind: &str, address: &str) -> Result<PayoutWallet, PayoutWalletError> {
        let address = address.trim();
        match kind {
            "bank" => bank(address).ok_or(PayoutWalletError::BankMalformed),
            "usdt" => tron(address),
            "balance" if address.is_empty() => Ok(PayoutWallet::Balance),
            "balance" => Err(PayoutWalletError::BalanceWithAddress),
            _ => Err(PayoutWalletError::UnknownKind),
        }
    }

    /// `bank`, `usdt` or `balance`.
    pub fn kind(&self) -> &'static str {
        match self {
            PayoutWallet::Bank { .. } => "bank",
            PayoutWallet::Usdt { .. } => "usdt",
            PayoutWallet::Balance => "balance",
        }
    }

    /// The address, in the form that [`PayoutWallet::parse`] accepts.
    pub fn address(&self) -> String {
        match self {
            PayoutWallet::Bank { bin, number, holder } => format!("{bin} {number} {holder}"),
            PayoutWallet::Usdt { address } => address.clone(),
            PayoutWallet::Balance => String::new(),
        }
    }
}

fn bank(address: &str) -> Option<PayoutWallet> {
    let mut parts = address.split_whitespace();
    let (bin, number) = (parts.next()?, parts.next()?);
    let holder = parts.collect::<Vec<_>>().join(" ");
    let is_bin = bin.len() == 6 && bin.bytes().all(|b| b.is_ascii_digit());
    let is_number =
        (6..=19).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_name = (2..=70).contains(&holder.chars().count())
        && holder.chars().all(|c| c.is_alphabetic() || " .'-".contains(c));
    (is_bin && is_number && is_name).then(|| PayoutWallet::Bank {
        bin: bin.to_owned(),
        number: number.to_owned(),
        holder: holder.to_uppercase(),
    })
}

/// Base58Check: 25 bytes. The last four are the start of the double SHA-256 of the others.
fn tron(address: &str) -> Result<PayoutWallet, PayoutWalletError> {
    if address.len() != 34 || !address.starts_with('T') {
        return Err(PayoutWalletError::UsdtMalformed);
    }
    let decoded = bs58::decode(address).into_vec();
    let bytes = decoded.map_err(|_| PayoutWalletError::UsdtMalformed)?;
    let Some((body, checksum)) = bytes.split_last_chunk::<4>() else {
        return Err(PayoutWalletError::UsdtMalformed);
    };
    if body.len() != 21 || body[0] != TRON_VERSION {
        return Err(PayoutWalletError::UsdtMalformed);
    }
    match Sha256::digest(Sha256::digest(body))[..4] == *checksum {
        true => Ok(PayoutWallet::Usdt { address: address.to_owned() }),
        false => Err(PayoutWalletError::UsdtChecksum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::rfc3339;

    #[test]
    fn a_month_starts_and_ends_at_midnight_in_utc() {
        let november = Month::parse("2026-11").unwrap();
        assert_eq!(rfc3339(november.start_ms()), "2026-11-01T00:00:00Z");
        assert_eq!(rfc3339(november.end_ms()), "2026-12-01T00:00:00Z");
        let december = Month::parse("2026-12").unwrap();
        assert_eq!(rfc3339(december.end_ms()), "2027-01-01T00:00:00Z");
        assert_eq!(december.to_string(), "2026-12");
        for text in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "2026-11-01", "-026-11"] {
            assert_eq!(Month::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn later_earnings_are_not_paid_yet() {
        let micros = Micros::new;
        assert_eq!(due(micros(100), micros(30)), micros(70));
        assert_eq!(due(micros(100), micros(0)), micros(100));
        assert_eq!(due(micros(20), micros(30)), Micros::ZERO);
    }

    #[test]
    fn a_wallet_is_a_bank_account_a_tron_address_or_the_own_wallet() {
        let bank = PayoutWallet::parse("bank", " 970436  0123456789 Nguyễn Văn A ").unwrap();
        assert_eq!(bank.address(), "970436 0123456789 NGUYỄN VĂN A");
        assert_eq!(PayoutWallet::parse("bank", &bank.address()), Ok(bank));
        // The address of the USDT contract.
        let usdt = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
        assert_eq!(PayoutWallet::parse("usdt", usdt).unwrap().address(), usdt);
        assert_eq!(PayoutWallet::parse("balance", ""), Ok(PayoutWallet::Balance));
    }

    #[test]
    fn invalid_wallets_are_refused() {
        use PayoutWalletError as E;
        for (kind, address, error) in [
            ("usdt", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6s", E::UsdtChecksum),
            ("usdt", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6", E::UsdtMalformed),
            ("usdt", "0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D", E::UsdtMalformed),
            ("usdt", "T00000000000000000000000000000000l", E::UsdtMalformed),
            ("usdt", "Té7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", E::UsdtMalformed),
            ("bank", "970436 0123456789", E::BankMalformed),
            ("bank", "97043 0123456789 A B", E::BankMalformed),
            ("bank", "970436 01234 A B", E::BankMalformed),
            ("bank", "970436 0123456789 <b>", E::BankMalformed),
            ("balance", "x", E::BalanceWithAddress),
            ("paypal", "x@example.com", E::UnknownKind),
        ] {
            assert_eq!(PayoutWallet::parse(kind, address), Err(error), "{kind} {address}");
        }
    }
}
