//! Sends the audio of all calls: the media clock, its threads, their streams and ports.

mod batch;
pub mod clock;
mod mailbox;
mod media_event;
pub mod ports;
mod script_cursor;
mod stats;
mod stream;
mod stream_config;
mod wheel;
