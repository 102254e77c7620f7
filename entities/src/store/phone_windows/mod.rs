//! Phone windows: for 30 s after an OTP no other OTP is sent to the phone.

pub(super) mod cache;
pub mod table;
