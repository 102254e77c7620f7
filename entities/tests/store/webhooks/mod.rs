//! Webhook endpoints and pending webhook events.

mod outbox;
