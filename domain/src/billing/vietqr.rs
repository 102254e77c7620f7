//! VietQR: a bank transfer as the text of a QR code.
//!
//! EMVCo "QR Code Specification for Payment Systems, Merchant-Presented Mode" 1.1, with the account in object 38 as
//! NAPAS defines it: data objects with a two-digit id and a two-digit length, and a CRC-16 at the end.

use crc::{CRC_16_IBM_3740, Crc};

/// The bank account of a receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BankAccount {
    /// The bank's six-digit NAPAS code, such as 970436.
    pub bin: String,
    pub number: String,
    pub holder: String,
}

const NAPAS: &str = "A000000727";
/// The service code of a transfer to an account, not to a card.
const TRANSFER_TO_ACCOUNT: &str = "QRIBFTTA";
/// The ISO 4217 code of the đồng.
const VND: &str = "704";

/// The text of a QR code for one transfer of `vnd` đồng with an ASCII `memo`.
///
/// `None` if the account or the memo does not fit.
pub fn payload(account: &BankAccount, vnd: i64, memo: &str) -> Option<String> {
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_plain(&account.bin) || !is_plain(&account.number) || !is_plain(memo) || vnd <= 0 {
        return None;
    }
    let receiver = object("00", &account.bin)? + &object("01", &account.number)?;
    let merchant =
        object("00", NAPAS)? + &object("01", &receiver)? + &object("02", TRANSFER_TO_ACCOUNT)?;
    let objects = [
        object("00", "01")?,
        // 12: for one payment only.
        object("01", "12")?,
        object("38", &merchant)?,
        object("53", VND)?,
        object("54", &vnd.to_string())?,
        object("58", "VN")?,
        object("62", &object("08", memo)?)?,
    ];
    let before = objects.concat() + "6304";
    let crc = Crc::<u16>::new(&CRC_16_IBM_3740).checksum(before.as_bytes());
    Some(format!("{before}{crc:04X}"))
}

fn object(id: &str, value: &str) -> Option<String> {
    let length = value.len();
    (1..=99).contains(&length).then(|| format!("{id}{length:02}{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> BankAccount {
        BankAccount {
            bin: "970403".to_owned(),
            number: "0011012345678".to_owned(),
            holder: "NEXO".to_owned(),
        }
    }

    #[test]
    fn a_transfer_has_the_form_of_napas() {
        let text = payload(&account(), 180_000, "thanhtoanquy").unwrap();
        let body = "00020101021238570010A00000072701270006970403011300110123456780208QRIBFTTA\
                    530370454061800005802VN62160812thanhtoanquy6304";
        assert!(text.starts_with(body), "{text}");
        assert_eq!(text.len(), body.len() + 4);
    }

    #[test]
    fn the_checksum_matches_the_specification() {
        // CRC-16 with polynomial 0x1021 and start value 0xFFFF; its check value.
        assert_eq!(Crc::<u16>::new(&CRC_16_IBM_3740).checksum(b"123456789"), 0x29B1);
        // An example that NAPAS has published.
        let example = "00020101021238570010A00000072701270006970403011300110123456780208QRIBFTTA\
                       530370454061800005802VN62340107NPS68690819thanh toan don hang6304";
        let crc = Crc::<u16>::new(&CRC_16_IBM_3740).checksum(example.as_bytes());
        assert_eq!(format!("{crc:04X}"), "2E2E");
    }

    #[test]
    fn a_transfer_that_does_not_fit_has_no_code() {
        assert_eq!(payload(&account(), 0, "NX1"), None);
        assert_eq!(payload(&account(), 1, ""), None);
        assert_eq!(payload(&account(), 1, "chuyển"), None);
        assert_eq!(payload(&account(), 1, &"x".repeat(100)), None);
    }
}
