//! Webhook events that wait to be sent.

mod outbox;
