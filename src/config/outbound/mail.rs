//! `[mail]`: the SMTP server and the sender of e-mails to customers.

use std::fmt;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use url::Url;

use crate::config::read::error::ConfigError;
use crate::config::read::section::{MASK, Reader};

/// `[mail]`.
#[derive(Clone)]
pub struct MailConfig {
    /// `smtps://USER:PASSWORD@HOST` or `smtp://HOST:587?tls=required`. Empty: e-mails are written to the log, for
    /// development. May contain a password.
    pub smtp_url: String,
    /// The sender.
    pub from: Mailbox,
}

impl MailConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("mail")?;
        Ok(Self {
            smtp_url: section.masked(
                "smtp_url",
                "",
                "empty, or smtps://USER:PASSWORD@HOST, or smtp://HOST:587?tls=required",
                parse_smtp_url,
                masked,
            )?,
            from: section.parsed(
                "from",
                "NEXO ROUTE <no-reply@localhost>",
                "an e-mail address, such as NEXO ROUTE <no-reply@example.com>",
                |text| text.parse().ok(),
            )?,
        })
    }
}

impl fmt::Debug for MailConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailConfig")
            .field("smtp_url", &masked(&self.smtp_url))
            .field("from", &self.from)
            .finish()
    }
}

fn parse_smtp_url(text: &str) -> Option<String> {
    let is_usable = text.is_empty() || AsyncSmtpTransport::<Tokio1Executor>::from_url(text).is_ok();
    is_usable.then(|| text.to_owned())
}

/// Masks the password. Text that is not a URL is masked completely.
fn masked(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) => {
            if url.password().is_some() {
                // Fails only for URLs that cannot have a password.
                let _ = url.set_password(Some(MASK));
            }
            url.to_string()
        }
        Err(_) if text.is_empty() => String::new(),
        Err(_) => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_password_is_never_shown() {
        let shown = masked("smtps://mailer:geheim@mail.example.com");
        assert_eq!(shown, format!("smtps://mailer:{MASK}@mail.example.com"));
        assert_eq!(masked("geheim"), MASK);
        assert_eq!(masked(""), "");
    }

    #[test]
    fn only_smtp_urls_with_a_host_are_accepted() {
        for url in ["", "smtps://u:p@mail.example.com", "smtp://localhost:1025"] {
            assert!(parse_smtp_url(url).is_some(), "{url:?}");
        }
        for url in ["mail.example.com", "https://mail.example.com", "smtp://"] {
            assert!(parse_smtp_url(url).is_none(), "{url:?}");
        }
    }
}
