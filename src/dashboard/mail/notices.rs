//! E-mails that tell an account's owner about a change of its security settings.

use nexo_domain::otp::Language;
use nexo_entities::store::accounts::Account;

use super::{Email, Mailer};
use crate::dashboard::texts::{Text, Translate, account::notices as texts};

/// Sends a notice to an address, in the account's language.
fn send(mailer: &Mailer, to: &str, l: Language, subject: Text, text: String) {
    let text = format!("{text}\n\n{}", l.t(texts::NOT_YOU));
    mailer.send(Email { to: to.to_owned(), subject: l.t(subject).to_owned(), text });
}

fn language(account: &Account, viewed_in: Language) -> Language {
    account.page_language.unwrap_or(viewed_in)
}

/// The password was changed or reset.
pub fn password_changed(mailer: &Mailer, account: &Account, viewed_in: Language) {
    let l = language(account, viewed_in);
    let text = l.t(texts::PASSWORD).to_owned();
    send(mailer, &account.email, l, texts::PASSWORD_SUBJECT, text);
}

/// The second factor was turned on or off.
pub fn second_factor_changed(mailer: &Mailer, account: &Account, viewed_in: Language, is_on: bool) {
    let l = language(account, viewed_in);
    let text = l.t(if is_on { texts::FACTOR_ON } else { texts::FACTOR_OFF });
    send(mailer, &account.email, l, texts::FACTOR_SUBJECT, text.to_owned());
}

/// The payout method was changed. `payout_method` names it without the whole account number.
pub fn payout_method_changed(
    mailer: &Mailer,
    account: &Account,
    viewed_in: Language,
    payout_method: &str,
) {
    let l = language(account, viewed_in);
    let text = l.t_with(texts::PAYOUT, &[("method", &payout_method)]);
    send(mailer, &account.email, l, texts::PAYOUT_SUBJECT, text);
}

/// A change of the address was requested: to the old address.
pub fn email_change_requested(mailer: &Mailer, account: &Account, viewed_in: Language, new: &str) {
    let l = language(account, viewed_in);
    let text = l.t_with(texts::EMAIL_REQUESTED, &[("email", &new)]);
    send(mailer, &account.email, l, texts::EMAIL_REQUESTED_SUBJECT, text);
}

/// The address was changed: to the old and to the new address.
pub fn email_changed(mailer: &Mailer, before: &Account, viewed_in: Language, new: &str) {
    let l = language(before, viewed_in);
    for to in [before.email.as_str(), new] {
        let text = l.t_with(texts::EMAIL, &[("email", &new)]);
        send(mailer, to, l, texts::EMAIL_SUBJECT, text);
    }
}
