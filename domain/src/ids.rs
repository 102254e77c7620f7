//! Identifiers, each its own type, so that an account's id cannot stand where a key's belongs.

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
    /// A customer's account: one wallet, its keys and its webhook endpoints.
    AccountId
);
id!(
    /// An API key's record; not the key itself.
    KeyId
);
id!(
    /// One OTP, from acceptance to its terminal state.
    DeliveryId
);
id!(
    /// One leg on one gateway: a row of the call detail records.
    AttemptId
);
id!(
    /// A registered webhook URL.
    EndpointId
);
id!(
    /// One POST of one event to one endpoint.
    WebhookAttemptId
);
id!(
    /// A browser that is signed in; not the token that it holds.
    SessionId
);
