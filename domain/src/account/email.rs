//! E-mail addresses: what is taken for one, and when two are the same person's.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An e-mail address, in lower case. Whether mail arrives there is not known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EmailAddress(String);

/// What was given is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no e-mail address such as ops@example.com")]
pub struct NoEmailAddress;

/// Domains whose mailboxes are the same with and without dots.
const DOTLESS: [&str; 2] = ["gmail.com", "googlemail.com"];

impl EmailAddress {
    /// The address as it is kept: lower-cased, without blanks around it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The mailbox behind the address: without a `+tag`, without dots where the provider ignores them.
    ///
    /// Two addresses with the same mailbox are one person's. It is for comparing, not for sending to.
    pub fn mailbox(&self) -> String {
        let (local, domain) = self.0.split_once('@').unwrap_or((&self.0, ""));
        let untagged = match local.split_once('+') {
            Some((before, _)) if !before.is_empty() => before,
            Some(_) | None => local,
        };
        match DOTLESS.contains(&domain) {
            true => format!("{}@gmail.com", untagged.replace('.', "")),
            false => format!("{untagged}@{domain}"),
        }
    }
}

impl FromStr for EmailAddress {
    type Err = NoEmailAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_lowercase();
        let is_sane = text.split_once('@').is_some_and(|(local, domain)| {
            (1..=64).contains(&local.len())
                && !local.chars().any(|c| c.is_whitespace() || c.is_control())
                && !domain.contains('@')
                && is_sane_domain(domain)
        });
        match is_sane && text.len() <= 254 {
            true => Ok(Self(text)),
            false => Err(NoEmailAddress),
        }
    }
}

fn is_sane_domain(domain: &str) -> bool {
    domain
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(text: &str) -> Result<String, NoEmailAddress> {
        text.parse::<EmailAddress>()
            .map(|email| email.as_str().to_owned())
    }

    #[test]
    fn an_email_address_is_lower_cased_and_sane() {
        assert_eq!(email(" Ops@Example.COM "), Ok("ops@example.com".to_owned()));
        assert_eq!(email("demo@localhost"), Ok("demo@localhost".to_owned()));
        for text in [
            "",
            "ops",
            "@example.com",
            "ops@",
            "ops@example..com",
            "a b@example.com",
            "ops@exa mple.com",
            "ops@a@b",
            "ops@.com",
            "ops@example.com\n,x@y",
        ] {
            assert!(email(text).is_err(), "{text:?}");
        }
        assert!(email(&format!("{}@example.com", "a".repeat(65))).is_err());
    }

    #[test]
    fn addresses_of_one_mailbox_are_told_as_such() {
        for (address, mailbox) in [
            ("Lan.Nguyen+otp@gmail.com", "lannguyen@gmail.com"),
            ("lannguyen@googlemail.com", "lannguyen@gmail.com"),
            ("lan.nguyen+a+b@example.com", "lan.nguyen@example.com"),
            ("+only@example.com", "+only@example.com"),
            ("ops@example.com", "ops@example.com"),
        ] {
            let parsed: EmailAddress = address.parse().unwrap();
            assert_eq!(parsed.mailbox(), mailbox, "{address}");
        }
    }
}
