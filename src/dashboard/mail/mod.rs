//! E-mails to customers: plain text over SMTP, or in the log if no mail server is configured.

use std::sync::Arc;

use anyhow::Context;
use lettre::message::Mailbox;
use lettre::{Address, Message};
use nexo_actors::dns::Resolver;

use crate::config::outbound::mail::MailConfig;

pub mod low_balance;
pub mod notices;
mod smtp;

use smtp::SmtpServer;

/// A plain-text e-mail.
#[derive(Debug, Clone)]
pub struct Email {
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// Sends e-mails, or logs them if no mail server is configured.
#[derive(Clone)]
pub struct Mailer {
    server: Option<Arc<SmtpServer>>,
    from: Mailbox,
}

impl Mailer {
    /// The mailer of the configured server.
    ///
    /// # Errors
    /// If the URL is not that of an SMTP server.
    pub fn new(config: &MailConfig, resolver: Resolver) -> anyhow::Result<Mailer> {
        let server = match config.smtp_url.as_str() {
            "" => None,
            url => Some(Arc::new(
                SmtpServer::new(url, resolver)
                    .context("mail.smtp_url is not the URL of a mail server")?,
            )),
        };
        Ok(Mailer { server, from: config.from.clone() })
    }

    /// Whether a mail server is configured.
    pub fn is_configured(&self) -> bool {
        self.server.is_some()
    }

    /// Sends an e-mail in a separate task and logs a failure. The page does not wait for the mail server, so its
    /// response time does not reveal whether an e-mail was sent.
    pub fn send(&self, email: Email) {
        let mailer = self.clone();
        actix_web::rt::spawn(async move {
            let outcome = match mailer.deliver(&email).await {
                Ok(()) => "sent",
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "an e-mail could not be sent");
                    "failed"
                }
            };
            metrics::counter!("nexo_mail_total", "outcome" => outcome).increment(1);
        });
    }

    async fn deliver(&self, email: &Email) -> anyhow::Result<()> {
        let Some(server) = &self.server else {
            // Without a mail server, the operator takes links from the log.
            tracing::warn!(
                to = email.to,
                subject = email.subject,
                "no mail server is configured ([mail] smtp_url); the e-mail says:\n{}",
                email.text
            );
            return Ok(());
        };
        let to: Address = email.to.parse().context("the recipient is not valid")?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&email.subject)
            .body(email.text.clone())?;
        server.send(&message).await
    }
}
