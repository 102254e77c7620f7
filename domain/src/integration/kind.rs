//! The auth servers whose hooks we take.

use std::fmt;

use crate::schema::{schema, words};

/// An auth server's hook, in the form of that server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Supabase,
    Logto,
    Kratos,
    Zitadel,
    Authentik,
    Keycloak,
    Auth0,
    /// A server whose body the customer describes with two JSON pointers.
    Custom,
}

/// What proves the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProofScheme {
    /// A signature by the Standard Webhooks specification.
    StandardWebhooks,
    /// `ZITADEL-Signature: t=<unix>,v1=<hex>`.
    Zitadel,
    /// `Authorization: Bearer <secret>`.
    Bearer,
    /// `Authorization: Bearer <secret>`, or Basic with the secret as the password.
    BearerOrBasic,
}

impl ProofScheme {
    /// Whether the body is signed. Verifying a signature needs the secret itself; for the others its hash suffices.
    pub fn is_signature(self) -> bool {
        match self {
            ProofScheme::StandardWebhooks | ProofScheme::Zitadel => true,
            ProofScheme::Bearer | ProofScheme::BearerOrBasic => false,
        }
    }
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Supabase,
        Kind::Logto,
        Kind::Kratos,
        Kind::Zitadel,
        Kind::Authentik,
        Kind::Keycloak,
        Kind::Auth0,
        Kind::Custom,
    ];

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in URLs, commands and records.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Supabase => "supabase",
            Kind::Logto => "logto",
            Kind::Kratos => "kratos",
            Kind::Zitadel => "zitadel",
            Kind::Authentik => "authentik",
            Kind::Keycloak => "keycloak",
            Kind::Auth0 => "auth0",
            Kind::Custom => "custom",
        }
    }

    /// The product's name as its makers write it.
    pub fn product(self) -> &'static str {
        match self {
            Kind::Supabase => "Supabase",
            Kind::Logto => "Logto",
            Kind::Kratos => "Ory Kratos",
            Kind::Zitadel => "ZITADEL",
            Kind::Authentik => "authentik",
            Kind::Keycloak => "Keycloak",
            Kind::Auth0 => "Auth0",
            Kind::Custom => "your auth server",
        }
    }

    /// What proves the caller.
    pub fn proof(self) -> ProofScheme {
        match self {
            Kind::Supabase => ProofScheme::StandardWebhooks,
            Kind::Zitadel => ProofScheme::Zitadel,
            Kind::Kratos | Kind::Authentik => ProofScheme::BearerOrBasic,
            Kind::Logto | Kind::Keycloak | Kind::Auth0 | Kind::Custom => ProofScheme::Bearer,
        }
    }

    /// Whether a refusal is a 200 whose body has the status. Such a server repeats a request at once on some statuses,
    /// and on any `Retry-After`.
    pub fn answers_in_body(self) -> bool {
        self == Kind::Supabase
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

schema!(Kind, "IntegrationKind", words("The kind of the integration.", Kind::ALL.map(Kind::name)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("Supabase"), None);
        assert_eq!(Kind::named(""), None);
    }
}
