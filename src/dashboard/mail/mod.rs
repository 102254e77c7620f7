//! Letters to customers.

use std::time::Duration;

use anyhow::Context;
use lettre::message::Mailbox;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::config::mail::MailConfig;

pub mod low_balance;

/// How long the server may take for one letter.
const SEND_WITHIN: Duration = Duration::from_secs(20);

/// A letter of plain text.
#[derive(Debug, Clone)]
pub struct Letter {
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// Sends letters, or logs them where no server is configured.
#[derive(Clone)]
pub struct Mailer {
    transport: Option<AsyncSmtpTransport<Tokio1Executor>>,
    from: Mailbox,
}

impl Mailer {
    /// The configured one.
    ///
    /// # Errors
    /// When the transport cannot be made of its URL.
    pub fn of(config: &MailConfig) -> anyhow::Result<Mailer> {
        let transport = match config.smtp_url.as_str() {
            "" => None,
            url => Some(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
                    .context("mail.smtp_url is no mail server")?
                    .timeout(Some(SEND_WITHIN))
                    .build(),
            ),
        };
        Ok(Mailer {
            transport,
            from: config.from.clone(),
        })
    }

    /// Whether letters leave this machine.
    pub fn sends(&self) -> bool {
        self.transport.is_some()
    }

    /// Sends a letter in a task of its own: nobody waits for the mail server, and nobody can tell by the time
    /// whether there was a letter. What fails is logged.
    pub fn post(&self, letter: Letter) {
        let mailer = self.clone();
        actix_web::rt::spawn(async move {
            if let Err(error) = mailer.send(&letter).await {
                metrics::counter!("nexo_mail_total", "outcome" => "failed").increment(1);
                tracing::error!(error = format!("{error:#}"), "a letter could not be sent");
            } else {
                metrics::counter!("nexo_mail_total", "outcome" => "sent").increment(1);
            }
        });
    }

    async fn send(&self, letter: &Letter) -> anyhow::Result<()> {
        let Some(transport) = &self.transport else {
            // Without a mail server this is how an operator gets at a link.
            tracing::warn!(
                to = letter.to,
                subject = letter.subject,
                "no mail server is configured ([mail] smtp_url); the letter says:\n{}",
                letter.text
            );
            return Ok(());
        };
        let to: Address = letter.to.parse().context("the address takes no mail")?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&letter.subject)
            .body(letter.text.clone())?;
        transport.send(message).await?;
        Ok(())
    }
}
