//! Identifiers. Each has a type of its own, so that an account's id cannot be used as a key's id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// A customer's account: one wallet, API keys and webhook endpoints.
    AccountId
);
id!(
    /// The record of an API key, not the key itself.
    KeyId
);
id!(
    /// An integration: an auth server that sends its codes to us.
    IntegrationId
);
id!(
    /// One OTP, from acceptance to its final state.
    DeliveryId
);
id!(
    /// One verification of a phone, with a code that the gateway makes and checks.
    VerificationId
);
id!(
    /// One call leg on one gateway: one call detail record.
    AttemptId
);
id!(
    /// A webhook endpoint.
    EndpointId
);
id!(
    /// One POST of one event to one endpoint.
    WebhookAttemptId
);
id!(
    /// The session of a signed-in browser, not its token.
    SessionId
);
