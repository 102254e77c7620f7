//! A table of deliveries, and a delivery's status.

use maud::{Markup, html};
use nexo_domain::call::outcome::Status;
use nexo_domain::money::Micros;
use nexo_entities::store::deliveries::Delivery;

use super::elements::{Tone, pill, time, usd};
use super::table::Column::{Head, Left, Right};
use super::table::table;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, deliveries as texts};

pub fn status_name(status: Status) -> Text {
    match status {
        Status::Sent => texts::SENT,
        Status::Delivered => texts::DELIVERED,
        Status::Failed => texts::FAILED,
    }
}

pub fn status_pill(l: Locale, status: Status) -> Markup {
    let tone = match status {
        Status::Sent => Tone::Busy,
        Status::Delivered => Tone::Good,
        Status::Failed => Tone::Bad,
    };
    pill(tone, l.t(status_name(status)))
}

/// Marks a delivery that only the sandbox took: by a test key, or because no carrier has a gateway.
pub fn sandbox_pill(l: Locale, delivery: &Delivery) -> Markup {
    let text = match (delivery.test, delivery.sandbox) {
        (true, _) => texts::TEST,
        (false, true) => texts::SANDBOX,
        (false, false) => return html! {},
    };
    html! { " " (pill(Tone::Plain, l.t(text))) }
}

/// Whether money was paid back. A test OTP costs nothing.
pub fn is_paid_back(delivery: &Delivery) -> bool {
    delivery.refunded && delivery.cost > Micros::ZERO
}

pub fn refund_pill(l: Locale, delivery: &Delivery) -> Markup {
    html! { @if is_paid_back(delivery) { " " (pill(Tone::Plain, l.t(texts::REFUNDED))) } }
}

/// What the delivery has cost the account after a refund.
pub fn net_cost(delivery: &Delivery) -> Micros {
    match delivery.refunded {
        true => Micros::ZERO,
        false => delivery.cost,
    }
}

pub fn delivery_table(l: Locale, deliveries: &[Delivery]) -> Markup {
    let columns = [
        Head(texts::TIME),
        Left(texts::STATUS),
        Left(texts::PHONE),
        Left(texts::CARRIER),
        Left(texts::OUTCOME),
        Right(texts::COST),
    ];
    let rows = deliveries.iter().map(|delivery| {
        [
            html! { a href={ "/dashboard/deliveries/" (delivery.id) } { (time(l, delivery.created_at_ms)) } },
            html! { (status_pill(l, delivery.status)) (refund_pill(l, delivery)) },
            html! { span.nowrap.number { (delivery.phone) } (sandbox_pill(l, delivery)) },
            html! { (delivery.carrier.brand()) },
            html! { (delivery.error_code.as_deref().unwrap_or("–")) },
            usd(l, net_cost(delivery)),
        ]
    });
    table(l, texts::TITLE, columns, rows)
}
