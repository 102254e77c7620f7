//! A table of verifications, and a verification's status.

use maud::{Markup, html};
use nexo_domain::verification::{MAX_ATTEMPTS, MAX_SENDS, Status};
use nexo_entities::store::verifications::Verification;

use super::elements::{Tone, pill, time};
use super::table::Column::{Head, Left, Right};
use super::table::table;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, deliveries, verifications as texts};

pub fn verification_path(id: impl std::fmt::Display) -> String {
    format!("/dashboard/verifications/{id}")
}

pub fn verification_status_name(status: Status) -> Text {
    match status {
        Status::Pending => texts::PENDING,
        Status::Approved => texts::APPROVED,
        Status::Failed => texts::FAILED,
        Status::Expired => texts::EXPIRED,
        Status::Canceled => texts::CANCELED,
    }
}

/// The status now, and a mark for one by a test key.
pub fn verification_pills(l: Locale, verification: &Verification) -> Markup {
    let status = verification.state.status_at(l.now_ms);
    let tone = match status {
        Status::Pending => Tone::Busy,
        Status::Approved => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Expired | Status::Canceled => Tone::Plain,
    };
    html! {
        (pill(tone, l.t(verification_status_name(status))))
        @if verification.test { " " (pill(Tone::Plain, l.t(deliveries::TEST))) }
    }
}

/// `2 of 5`: the calls so far.
pub fn calls_made(l: Locale, verification: &Verification) -> String {
    of_most(l, verification.state.sends, MAX_SENDS)
}

/// `3 of 5`: the wrong codes that it still endures.
pub fn attempts_left(l: Locale, verification: &Verification) -> String {
    of_most(l, verification.state.attempts_left(), MAX_ATTEMPTS)
}

fn of_most(l: Locale, count: u8, most: u8) -> String {
    l.t_with(texts::OF_MOST, &[("count", &u32::from(count)), ("most", &u32::from(most))])
}

pub fn verification_table(l: Locale, verifications: &[Verification]) -> Markup {
    let columns = [
        Head(texts::STARTED),
        Left(texts::STATUS),
        Left(texts::PHONE),
        Left(texts::REFERENCE),
        Right(texts::CALLS),
        Right(texts::ATTEMPTS_LEFT),
    ];
    let rows = verifications.iter().map(|one| {
        [
            html! { a href=(verification_path(one.id)) { (time(l, one.created_at_ms)) } },
            verification_pills(l, one),
            html! { span.nowrap.number { (one.phone) } },
            html! { @if let Some(reference) = &one.fields.reference { (reference) } },
            html! { (calls_made(l, one)) },
            html! { (attempts_left(l, one)) },
        ]
    });
    table(l, texts::TITLE, columns, rows)
}
