//! Names and states of buckets, top-ups, referrals and payouts.

use maud::{Markup, html};
use nexo_domain::billing::banks::bank_name;
use nexo_domain::billing::ledger::{Bucket, Buckets};
use nexo_entities::store::billing::payouts::Payout;
use nexo_entities::store::billing::referrals::Referral;

use super::elements::{Tone, pill, usd};
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, overview, referrals, wallet};
use crate::dashboard::web::SiteState;

pub fn bucket_name(bucket: Bucket) -> Text {
    match bucket {
        Bucket::Free => overview::FREE,
        Bucket::Bonus => overview::BONUS,
        Bucket::Balance => overview::BALANCE,
    }
}

/// The wallet's total and its buckets, in the order of spending.
pub fn wallet_summary(l: Locale, wallet: &Buckets, site: &SiteState) -> Markup {
    let otps = wallet.total().get() / site.terms.current().price.get().max(1);
    html! {
        dl.figures {
            div.figure.strong {
                dt { (l.t(overview::TOTAL)) }
                dd { (usd(l, wallet.total())) span.more { (l.t_with(overview::ENOUGH_FOR, &[("count", &otps)])) } }
            }
            @for bucket in Bucket::ALL {
                div.figure {
                    dt { (l.t(bucket_name(bucket))) }
                    dd { (usd(l, wallet.of(bucket))) }
                }
            }
        }
    }
}

/// The name of a payment provider.
pub fn payment_method_name(provider: &str) -> Text {
    match provider {
        "bank_transfer" => wallet::BANK_TRANSFER,
        _ => wallet::BY_HAND,
    }
}

/// Whether a referral still earns commissions.
pub fn referral_state(l: Locale, referral: &Referral) -> Markup {
    match (referral.ended_at_ms, referral.revoked) {
        (None, _) => pill(Tone::Good, l.t(referrals::ACTIVE)),
        (Some(_), true) => pill(Tone::Bad, l.t(referrals::REVOKED)),
        (Some(_), false) => pill(Tone::Plain, l.t(referrals::ENDED)),
    }
}

/// Whether a payout's money was sent.
pub fn payout_state(l: Locale, payout: &Payout) -> Markup {
    match payout.sent_at_ms {
        Some(_) => pill(Tone::Good, l.t(referrals::SENT)),
        None => pill(Tone::Busy, l.t(referrals::TO_BE_SENT)),
    }
}

/// The name of a kind of payout wallet.
pub fn payout_wallet_name(kind: &str) -> Text {
    match kind {
        "bank" => referrals::BANK,
        "usdt" => referrals::USDT,
        _ => referrals::BALANCE,
    }
}

/// The name of the bank with this BIN, and the BIN.
pub fn bank_text(bin: &str) -> String {
    match bank_name(bin) {
        Some(name) => format!("{name} ({bin})"),
        None => bin.to_owned(),
    }
}

/// The address of a payout wallet, with the bank by its name.
pub fn payout_address(kind: &str, address: &str) -> String {
    match address.split_once(' ') {
        Some((bin, account)) if kind == "bank" => format!("{} {account}", bank_text(bin)),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_written_by_its_name() {
        let account = "970436 0123456789 NGUYEN VAN A";
        assert_eq!(payout_address("bank", account), "Vietcombank (970436) 0123456789 NGUYEN VAN A");
        assert_eq!(payout_address("bank", "123456 1 A"), "123456 1 A");
        assert_eq!(payout_address("usdt", "T9 x"), "T9 x");
    }
}
