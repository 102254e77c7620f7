//! The letter to an account whose wallet runs low.

use std::sync::Arc;

use nexo_actors::jobs::low_balance::WriteLowBalance;
use nexo_domain::otp::Language;
use nexo_entities::store::ledger::low_balance::ToldAccount;

use crate::dashboard::texts::{Say, wallet as texts};
use crate::dashboard::{Letter, Site};

/// Writes letters by the site's mail server.
pub struct LowBalanceLetters {
    site: Arc<Site>,
}

impl LowBalanceLetters {
    pub fn of(site: Arc<Site>) -> LowBalanceLetters {
        LowBalanceLetters { site }
    }
}

impl WriteLowBalance for LowBalanceLetters {
    fn write(&self, account: &ToldAccount) {
        self.site.mailer.post(letter(&self.site, account));
    }
}

fn letter(site: &Site, account: &ToldAccount) -> Letter {
    let language = account.language.unwrap_or(Language::En);
    let notice = &account.notice;
    let link = site.public_url.link("/dashboard/wallet/top-up");
    Letter {
        to: account.email.clone(),
        subject: language.say(texts::LOW_SUBJECT).to_owned(),
        text: language.tell(
            texts::LOW_LETTER,
            &[
                ("total", &notice.held.total()),
                ("threshold", &notice.threshold),
                ("link", &link),
            ],
        ),
    }
}
