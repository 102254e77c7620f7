//! The table of an account's quotas: use and limit of each.

use maud::{Markup, html};
use nexo_domain::account::quota::QuotaKind;

use super::{Head, Right, Tone, pill, table};
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, account::limits as texts};
use crate::quotas::QuotaStatus;

/// The name of a quota of accounts.
pub fn quota_name(kind: QuotaKind) -> Text {
    match kind {
        QuotaKind::TestOtps => texts::TEST_OTPS,
        QuotaKind::TestEvents => texts::TEST_EVENTS,
        QuotaKind::WebhookReplays => texts::WEBHOOK_REPLAYS,
        QuotaKind::Exports => texts::EXPORTS,
        QuotaKind::ApiKeys => texts::API_KEYS,
        QuotaKind::WebhookEndpoints => texts::WEBHOOK_ENDPOINTS,
        QuotaKind::TopUps => texts::TOP_UPS,
        QuotaKind::LowBalanceChanges => texts::LOW_BALANCE_CHANGES,
        QuotaKind::EmailChanges => texts::EMAIL_CHANGES,
        QuotaKind::StoredRefusals => texts::STORED_REFUSALS,
        QuotaKind::PasswordResets
        | QuotaKind::Emails
        | QuotaKind::NetworkSignUps
        | QuotaKind::SignUps
        | QuotaKind::FreeCredits => texts::OTHER,
    }
}

/// A table of quotas. Used-up ones are marked.
pub fn quota_table(l: Locale, quotas: &[QuotaStatus]) -> Markup {
    let columns = [Head(texts::ACTION), Right(texts::USED), Right(texts::LIMIT)];
    table(l, texts::TITLE, columns, quotas.iter().map(|quota| row(l, quota)))
}

fn row(l: Locale, quota: &QuotaStatus) -> [Markup; 3] {
    let is_used_up = quota.limit.is_some_and(|limit| quota.used >= limit.into());
    [
        html! { (l.t(quota_name(quota.kind))) " " code.faint { (quota.kind) } },
        html! {
            @if is_used_up { (pill(Tone::Bad, &l.show(quota.used))) } @else { (l.show(quota.used)) }
        },
        html! {
            @if quota.own.is_some() { (pill(Tone::Plain, l.t(texts::OWN))) " " }
            @match quota.limit {
                Some(limit) => (l.show(limit)),
                None => (l.t(texts::UNLIMITED)),
            }
        },
    ]
}
