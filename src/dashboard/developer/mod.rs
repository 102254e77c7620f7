//! A developer's pages: API keys, webhooks, documentation.

pub(super) mod allowlist;
pub(super) mod api_keys;
pub(super) mod docs;
pub(super) mod openapi_page;
pub(super) mod receiver_examples;
pub(super) mod webhook_attempts;
pub(super) mod webhooks;
