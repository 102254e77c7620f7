//! Sections about calls: `[calls]`, `[[carriers]]`, `[sip]`, `[sandbox]`.

pub mod calls;
pub mod carriers;
pub mod sandbox;
pub mod sip;
