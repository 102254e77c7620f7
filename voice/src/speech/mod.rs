//! What the gateway speaks: the built-in prompts, studio recordings, and the script of a call.

mod language_prompts;
pub mod prompts;
pub mod recordings;
mod script;
