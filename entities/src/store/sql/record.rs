//! Parses domain types from stored values.

use nexo_domain::call::outcome::Status;
use nexo_domain::customer_fields::{CustomerFields, Metadata, Reference};
use nexo_domain::otp::Language;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::{Phone, RecordedPhone};

use crate::store::StoreError;

pub(crate) fn phone(table: &'static str, text: &str) -> Result<Phone, StoreError> {
    Phone::from_record(text).ok_or(StoreError::unreadable(table, "phone"))
}

pub(crate) fn recorded_phone(table: &'static str, text: &str) -> Result<RecordedPhone, StoreError> {
    RecordedPhone::from_record(text).ok_or(StoreError::unreadable(table, "phone"))
}

pub(crate) fn carrier(table: &'static str, name: &str) -> Result<Carrier, StoreError> {
    Carrier::named(name).ok_or(StoreError::unreadable(table, "carrier"))
}

pub(crate) fn status(name: &str) -> Result<Status, StoreError> {
    Status::named(name).ok_or(StoreError::unreadable("deliveries", "status"))
}

pub(crate) fn customer_fields(
    table: &'static str,
    reference: Option<String>,
    metadata: Option<String>,
) -> Result<CustomerFields, StoreError> {
    let reference = reference
        .map(|text| Reference::parse(&text).ok_or(StoreError::unreadable(table, "reference")));
    let metadata = metadata
        .map(|json| Metadata::parse(&json).map_err(|_| StoreError::unreadable(table, "metadata")));
    Ok(CustomerFields { reference: reference.transpose()?, metadata: metadata.transpose()? })
}

pub(crate) fn language(code: Option<&str>) -> Result<Option<Language>, StoreError> {
    code.map(|code| Language::from_code(code).ok_or(StoreError::unreadable("accounts", "language")))
        .transpose()
}

/// Returns `live` or `test`. A phone has one window in each realm.
pub(crate) fn realm(test: bool) -> &'static str {
    if test { "test" } else { "live" }
}
