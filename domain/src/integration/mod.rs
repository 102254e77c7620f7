//! Integrations: auth servers that send their codes to us with their own hook, each in its own form.
//!
//! | kind | proof | phone | code |
//! |---|---|---|---|
//! | `supabase` | Standard Webhooks | `/sms/phone`, `/user/phone` | `/sms/otp` |
//! | `logto` | Bearer | `/to` | `/payload/code` |
//! | `kratos` | Bearer, or Basic | `/to` | `/code` |
//! | `zitadel` | `ZITADEL-Signature` | `/contextInfo/recipientPhoneNumber` | `/args/code`, `/args/oTP` |
//! | `authentik` | Bearer, or Basic | `/To` | `/Body` |
//! | `keycloak` | Bearer | `/phone` | the only run of 4–8 digits in `/message` |
//! | `auth0` | Bearer | `/recipient` | `/code` |
//! | `custom` | Bearer | a JSON pointer | a JSON pointer |
//!
//! [`proof`] checks who calls, [`HookBody`] reads what is asked, and [`Kind::answers_in_body`] tells the form of a
//! refusal. All else is the same for every kind.

mod body;
mod kind;
mod pointer;
pub mod proof;
pub mod ring;
mod secret;

pub use body::{HookBody, HookCodeError, HookRequest};
pub use kind::{Kind, ProofScheme};
pub use pointer::{Pointer, PointerError};
pub use secret::{HookSecret, SecretError};

/// The most integrations of an account.
pub const MAX_INTEGRATIONS: usize = 20;
