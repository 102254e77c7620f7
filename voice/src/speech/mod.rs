//! What is spoken: the built-in prompts and studio recordings.

pub mod prompts;
pub mod recordings;
