//! Rules for accounts: API keys, e-mail addresses, passwords, suspicious bursts.

pub mod api_key;
pub mod burst;
pub mod client_ip;
pub mod email;
pub mod password;
