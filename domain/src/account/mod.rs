//! Rules for accounts: API keys, e-mail addresses, passwords, allowlists, quotas, suspicious traffic.

pub mod api_key;
pub mod client_ip;
pub mod email;
pub mod password;
pub mod quota;
pub mod traffic;
