//! One call of an endpoint: its order, its keys, its events, its report, and its state while it lasts.

pub use events::CallEvents;
pub use order::{CallLabels, CallOrder, CallerId, Permit};
pub use report::{CallEvent, CallReport, Quality};

mod events;
pub(super) mod keys;
pub(super) mod live_call;
pub(super) mod order;
pub(super) mod report;
