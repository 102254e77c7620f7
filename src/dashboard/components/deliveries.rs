//! A table of deliveries, and a delivery's status.

use maud::{Markup, html};
use nexo_domain::call::outcome::Status;
use nexo_domain::otp::Language;
use nexo_entities::store::deliveries::Delivery;

use super::elements::{Tone, pill, time, usd};
use super::table::Column::{Left, Right};
use super::table::table;
use crate::dashboard::texts::{Text, Translate, deliveries as texts};

pub fn status_name(status: Status) -> Text {
    match status {
        Status::Sent => texts::SENT,
        Status::Delivered => texts::DELIVERED,
        Status::Failed => texts::FAILED,
    }
}

pub fn status_pill(l: Language, status: Status) -> Markup {
    let tone = match status {
        Status::Sent => Tone::Busy,
        Status::Delivered => Tone::Good,
        Status::Failed => Tone::Bad,
    };
    pill(tone, l.t(status_name(status)))
}

pub fn delivery_table(l: Language, deliveries: &[Delivery]) -> Markup {
    html! {
        (table(l, texts::TITLE, &[
            Left(texts::TIME), Left(texts::STATUS), Left(texts::PHONE), Left(texts::CARRIER),
            Left(texts::OUTCOME), Right(texts::COST),
        ], html! {
            @for delivery in deliveries {
                tr {
                    td { a href={ "/dashboard/deliveries/" (delivery.id) } { (time(delivery.created_at_ms)) } }
                    td { (status_pill(l, delivery.status)) }
                    td.nowrap.number {
                        (delivery.phone)
                        @if delivery.test { " " (pill(Tone::Plain, l.t(texts::TEST))) }
                    }
                    td { (delivery.carrier) }
                    td { (delivery.error_code.as_deref().unwrap_or("–")) }
                    td.right { (usd(delivery.cost)) }
                }
            }
        }))
    }
}
