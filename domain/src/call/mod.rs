//! The life of a call, and what follows from its end.

pub mod acceptance;
pub mod breaker;
mod end;
mod machine;
pub mod outcome;
mod signals;
pub mod steps;
#[cfg(test)]
mod tests;

pub use end::{CallEnd, Refusal, WeakChallenge};
pub use machine::{Call, CallLimits, CallState, MAX_MEDIA_WAIT, MAX_REPEATS, ReadingTimes};
pub use signals::{CallEffect, CallInput};
