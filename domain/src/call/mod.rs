//! The life of a call, and what follows from its end.

pub mod acceptance;
pub mod breaker;
mod end;
mod machine;
pub mod outcome;
pub mod steps;
#[cfg(test)]
mod tests;

pub use end::{CallEnd, Refusal, WeakChallenge};
pub use machine::{Call, CallEffect, CallInput, CallLimits, CallState, MAX_REPEATS, ReadingTimes};
