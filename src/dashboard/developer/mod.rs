//! The developers' pages: API keys, webhooks, integrations and documentation.

pub(super) mod allowlist;
pub(super) mod api_keys;
pub(super) mod docs;
mod docs_examples;
pub(super) mod integrations;
mod key;
mod openapi_document;
pub(super) mod openapi_page;
mod sandbox_numbers;
pub(super) mod test_otp;
pub(super) mod webhooks;
