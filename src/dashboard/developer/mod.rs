//! The developers' pages: API keys, webhooks and documentation.

pub(super) mod allowlist;
pub(super) mod api_keys;
pub(super) mod docs;
mod key;
pub(super) mod openapi_page;
pub(super) mod webhook_attempts;
pub(super) mod webhooks;
