//! Reading the domain's types back from rows.

use nexo_domain::call::outcome::Status;
use nexo_domain::otp::Language;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::{Phone, RecordedPhone};

use crate::store::StoreError;

pub(in crate::store) fn phone(table: &'static str, text: &str) -> Result<Phone, StoreError> {
    Phone::from_record(text).ok_or(StoreError::Unreadable {
        table,
        column: "phone",
    })
}

pub(in crate::store) fn recorded_phone(
    table: &'static str,
    text: &str,
) -> Result<RecordedPhone, StoreError> {
    RecordedPhone::from_record(text).ok_or(StoreError::Unreadable {
        table,
        column: "phone",
    })
}

pub(in crate::store) fn carrier(table: &'static str, name: &str) -> Result<Carrier, StoreError> {
    Carrier::named(name).ok_or(StoreError::Unreadable {
        table,
        column: "carrier",
    })
}

pub(in crate::store) fn status(name: &str) -> Result<Status, StoreError> {
    Status::named(name).ok_or(StoreError::Unreadable {
        table: "deliveries",
        column: "status",
    })
}

pub(in crate::store) fn language(code: Option<&str>) -> Result<Option<Language>, StoreError> {
    code.map(|code| {
        Language::from_code(code).ok_or(StoreError::Unreadable {
            table: "accounts",
            column: "language",
        })
    })
    .transpose()
}

/// `live` or `test`: a phone has one window in each.
pub(in crate::store) fn realm(test: bool) -> &'static str {
    if test { "test" } else { "live" }
}
