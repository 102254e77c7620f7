//! Webhook endpoints and pending webhook events.

mod events;
mod outbox;
