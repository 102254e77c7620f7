//! E-mail addresses: which are accepted, and which belong to the same mailbox.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A syntactically valid e-mail address, in lower case.
///
/// The local part is a dot-atom of ASCII characters (RFC 5322 §3.2.3). Quoted local parts and comments are refused:
/// with them, mail to different texts reaches one mailbox. Local parts that are not ASCII (RFC 6531) are refused too,
/// because one name then has several Unicode forms. A domain may be internationalised.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EmailAddress(String);

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an e-mail address such as ops@example.com")]
pub struct InvalidEmailAddress;

/// A mail provider whose mailboxes have more addresses than those with a `+tag`.
struct Provider {
    /// Its domains, which share all mailboxes. The first stands for all of them.
    domains: &'static [&'static str],
    /// Characters of the mailbox name that it ignores.
    ignored: &'static [char],
}

const PROVIDERS: [Provider; 3] = [
    Provider { domains: &["gmail.com", "googlemail.com"], ignored: &['.'] },
    Provider { domains: &["proton.me", "protonmail.com", "pm.me"], ignored: &['.', '-', '_'] },
    Provider { domains: &["icloud.com", "me.com", "mac.com"], ignored: &[] },
];

impl EmailAddress {
    /// The address in lower case, without surrounding blanks.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The mailbox of the address: without a `+tag`, without characters that the provider ignores, and with the
    /// ASCII form of the domain (UTS 46), which mail is sent to.
    ///
    /// Two addresses with the same mailbox belong to one person. Use it for comparisons, not as a recipient.
    pub fn mailbox(&self) -> String {
        let (local, domain) = self.0.split_once('@').unwrap_or((&self.0, ""));
        let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
        let untagged = match local.split_once('+') {
            Some((before, _)) if !before.is_empty() => before,
            Some(_) | None => local,
        };
        let mut providers = PROVIDERS.iter();
        match providers.find(|provider| provider.domains.contains(&domain.as_str())) {
            Some(provider) => {
                let name = untagged.replace(provider.ignored, "");
                format!("{name}@{}", provider.domains[0])
            }
            None => format!("{untagged}@{domain}"),
        }
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmailAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let typed = text.trim();
        let text = typed.to_lowercase();
        // Checked as typed, because the lower case of some other characters is ASCII: the Kelvin sign becomes k.
        let is_local = typed.split_once('@').is_some_and(|(local, _)| is_valid_local_part(local));
        let is_domain = text.split_once('@').is_some_and(|(_, domain)| is_valid_domain(domain));
        match is_local && is_domain && text.len() <= 254 {
            true => Ok(Self(text)),
            false => Err(InvalidEmailAddress),
        }
    }
}

/// Whether it is a dot-atom (RFC 5322 §3.2.3) of at most 64 bytes (RFC 5321 §4.5.3.1.1).
fn is_valid_local_part(local: &str) -> bool {
    let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
    local.len() <= 64 && local.split('.').all(is_atom)
}

fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_valid_domain(domain: &str) -> bool {
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

    fn email(text: &str) -> Result<String, InvalidEmailAddress> {
        text.parse::<EmailAddress>().map(|email| email.as_str().to_owned())
    }

    #[test]
    fn an_email_address_is_lower_cased_and_validated() {
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
    fn every_character_of_an_atom_is_accepted_in_a_local_part() {
        for text in [
            "lan.nguyen@example.com",
            "o'hara+otp@example.com",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "0@example.com",
            "lan@bücher.example",
        ] {
            assert_eq!(email(text), Ok(text.to_owned()));
        }
        assert!(email(&format!("{}@example.com", "a".repeat(64))).is_ok());
    }

    #[test]
    fn a_second_spelling_of_a_mailbox_is_not_an_email_address() {
        for text in [
            "\"lan\"@example.com",
            "\"l\\an\"@example.com",
            "\"lan@home\"@example.com",
            "l\\an@example.com",
            "lan(home)@example.com",
            "(home)lan@example.com",
            "<lan@example.com>",
            "lan,eve@example.com",
            "lan;eve@example.com",
            "lan:eve@example.com",
            "[lan]@example.com",
            ".lan@example.com",
            "lan.@example.com",
            "l..an@example.com",
        ] {
            assert!(email(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn invisible_and_other_than_ascii_characters_are_refused_in_a_local_part() {
        let invisible =
            "\0\t\n\r \u{7f}\u{a0}\u{ad}\u{200b}\u{200d}\u{202e}\u{2060}\u{3000}\u{feff}\u{e0061}";
        let others = "ä\u{308}\u{430}\u{130}\u{212a}\u{ff41}中";
        for character in invisible.chars().chain(others.chars()) {
            let text = format!("l{character}an@example.com");
            assert!(email(&text).is_err(), "{text:?}");
        }
        for text in ["\0lan@example.com", "lan\0@example.com", "lan@example.com\0"] {
            assert!(email(text).is_err(), "{text:?}");
        }
        assert!(email("lan@exam\0ple.com").is_err());
        assert!(email("lan@exam\u{200b}ple.com").is_err());
    }

    #[test]
    fn addresses_of_one_mailbox_are_recognised() {
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
