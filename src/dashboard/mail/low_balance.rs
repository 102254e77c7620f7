//! The e-mail to an account whose wallet runs low.

use std::sync::Arc;

use nexo_actors::jobs::low_balance::LowBalanceNotifier;
use nexo_domain::otp::Language;
use nexo_entities::store::ledger::low_balance::NotifiedAccount;

use super::Email;
use crate::dashboard::texts::{Translate, wallet as texts};
use crate::dashboard::web::SiteState;

/// Sends low-balance notices with the site's mailer.
pub struct LowBalanceEmails {
    site: Arc<SiteState>,
}

impl LowBalanceEmails {
    pub fn new(site: Arc<SiteState>) -> LowBalanceEmails {
        LowBalanceEmails { site }
    }
}

impl LowBalanceNotifier for LowBalanceEmails {
    fn notify(&self, account: &NotifiedAccount) {
        let language = account.language.unwrap_or(Language::En);
        let notice = &account.notice;
        let link = self.site.public_url.link("/dashboard/wallet/top-up");
        let email = Email {
            to: account.email.clone(),
            subject: language.t(texts::LOW_SUBJECT).to_owned(),
            text: language.t_with(
                texts::LOW_EMAIL,
                &[
                    ("total", &notice.held.total()),
                    ("threshold", &notice.threshold),
                    ("link", &link),
                ],
            ),
        };
        let site = Arc::clone(&self.site);
        actix_web::rt::spawn(async move { site.send_within_quota(email).await });
    }
}
