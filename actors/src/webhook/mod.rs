//! The webhook actor: from the outbox to signed POSTs, each sent at most once.
//!
//! | attempt | when |
//! |---|---|
//! | pending → sending | committed before the POST |
//! | sending → delivered, failed | committed after it, with others that ended meanwhile |
//! | sending → unknown | the process died in between, or was declared dead; only an operator or customer replays it |
//!
//! POSTs run beside the actor. If the actor dies, no POST is interrupted, and their results wait in a
//! [`WebhookState`] that outlives the actor. The number of POSTs to one endpoint is limited. The outbox skips a
//! slow endpoint, so it delays no other endpoint.
//!
//! A scan of the outbox does not wait for an earlier scan whose database connection hangs, so two scans may claim
//! attempts for the same endpoint. The limit still holds, because each POST waits for one of the endpoint's slots.

mod actor;
mod back_off;
pub mod client;
mod messages;
mod meters;
mod outbox;
mod sender;
mod state;
pub mod traces;

pub use actor::{MAILBOX_CAPACITY, WebhookActor};
pub use messages::Wake;
pub use sender::{finished, outgoing};
pub use state::WebhookState;
