//! Topping up: where the API's `deposit_url` leads.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_entities::store::billing::deposits::{Deposit, MAX_OPEN_DEPOSITS};
use nexo_entities::store::{Conflict, StoreError};
use uuid::Uuid;

use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, wallet as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Field, Tone, field, head, notice, pill, problem, time, usd};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};
use crate::deposits::{MOST, TopUpError};

/// How many top-ups the page lists.
const LISTED: u32 = 50;
/// What the form proposes.
const PROPOSED: &str = "20.00";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/wallet/top-up").get(show).post(open))
        .service(web::resource("/wallet/top-up/{id}").get(pay))
        .service(web::resource("/wallet/top-up/{id}/qr.svg").get(picture))
        .service(web::resource("/wallet/top-up/{id}/withdraw").post(withdraw));
}

async fn show(member: Member, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    draw(&member, &site, PROPOSED, None).await
}

async fn draw(
    member: &Member,
    site: &Site,
    amount: &str,
    wrong: Option<String>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let deposits = site.store.deposits(member.id(), LISTED).await?;
    let ways: Vec<&str> = site.top_ups.names().collect();
    let lead = match ways.first() {
        Some(&"bank_transfer") => texts::TOP_UP_LEAD,
        _ => texts::TOP_UP_BY_HAND,
    };
    let hint = l.tell(
        texts::TOP_UP_HINT,
        &[
            ("least", &site.top_ups.least),
            ("rate", &grouped(site.top_ups.rate.get())),
        ],
    );
    let body = html! {
        (head(l.say(texts::TOP_UP), Some(l.say(lead)), html! {}))
        @if let Some(wrong) = &wrong { (problem(wrong)) }
        section.card {
            form method="post" action="/dashboard/wallet/top-up" {
                (form_token(member))
                (field(&Field {
                    name: "amount",
                    label: l.say(texts::TOP_UP_AMOUNT),
                    kind: "text",
                    value: amount,
                    hint: Some(&hint),
                    autocomplete: "off",
                    required: true,
                }))
                @if ways.len() > 1 {
                    div.field {
                        label for="provider" { (l.say(texts::WAY)) }
                        select #provider name="provider" {
                            @for way in &ways { option value=(way) { (l.say(way_name(way))) } }
                        }
                    }
                }
                button type="submit" { (l.say(texts::DO_OPEN)) }
            }
        }
        @if !deposits.is_empty() {
            h2 { (l.say(texts::DEPOSITS)) }
            (list(l, &deposits))
        }
    };
    let status = match wrong {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    Ok(Page::at(Place::Wallet, l.say(texts::TOP_UP), body)
        .with_status(status)
        .answer(member))
}

fn list(l: Language, deposits: &[Deposit]) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(texts::DEPOSITS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::WHEN)) }
                    th scope="col" { (l.say(texts::REFERENCE)) }
                    th.right scope="col" { (l.say(texts::AMOUNT)) }
                    th.right scope="col" { "VND" }
                    th scope="col" { (l.say(texts::STATE)) }
                } }
                tbody { @for deposit in deposits {
                    tr {
                        td { (time(deposit.created_at_ms)) }
                        td { a href={ "/dashboard/wallet/top-up/" (deposit.id) } { (deposit.reference) } }
                        td.right { (usd(deposit.credited.unwrap_or(deposit.amount))) }
                        td.right.number { (grouped(deposit.vnd)) }
                        td { (state(l, &deposit.status)) }
                    }
                } }
            }
        }
    }
}

/// How a top-up stands.
pub fn state(l: Language, status: &str) -> Markup {
    match status {
        "credited" => pill(Tone::Good, l.say(texts::CREDITED)),
        "open" => pill(Tone::Busy, l.say(texts::OPEN)),
        _ => pill(Tone::Plain, l.say(texts::REFUSED)),
    }
}

/// What a way to pay is called.
pub fn way_name(way: &str) -> Text {
    match way {
        "bank_transfer" => texts::BANK_TRANSFER,
        _ => texts::BY_HAND,
    }
}

/// A whole number with its thousands apart, as both languages read it: `260 000`.
pub fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            // A narrow blank at which no line breaks.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

async fn open(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let l = member.language();
    let given = fields.trimmed("amount");
    let Ok(amount) = given.parse::<Micros>() else {
        let wrong = l.say(texts::AMOUNT_WRONG).to_owned();
        return draw(&member, &site, given, Some(wrong)).await;
    };
    let provider = fields.get("provider");
    let opened = site
        .top_ups
        .open(&site.store, member.id(), provider, amount)
        .await;
    match opened {
        Ok(id) => Ok(go(&member, &format!("/dashboard/wallet/top-up/{id}"))),
        Err(TopUpError::Amount { least }) => {
            let range: [(&str, &dyn std::fmt::Display); 2] = [("least", &least), ("most", &MOST)];
            let wrong = l.tell(texts::TOP_UP_WRONG, &range);
            draw(&member, &site, given, Some(wrong)).await
        }
        Err(TopUpError::Store(StoreError::Conflict(Conflict::TooManyDeposits { .. }))) => {
            let wrong = l.tell(texts::TOO_MANY, &[("count", &MAX_OPEN_DEPOSITS)]);
            draw(&member, &site, given, Some(wrong)).await
        }
        Err(TopUpError::Store(error)) => Err(error.into()),
    }
}

async fn own(member: &Member, site: &Site, id: &str) -> Result<Deposit, Refused> {
    let missing = || Refused::not_found(member);
    let id: Uuid = id.parse().map_err(|_| missing())?;
    site.store
        .deposit(member.id(), id)
        .await?
        .ok_or_else(missing)
}

async fn pay(
    member: Member,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let deposit = own(&member, &site, &id).await?;
    let title = l.tell(texts::PAY_TITLE, &[("amount", &deposit.amount)]);
    let body = html! {
        (head(&title, None, html! {}))
        @match (deposit.status.as_str(), deposit.credited) {
            ("credited", Some(credited)) => {
                (notice(&l.tell(texts::PAID_LEAD, &[("credited", &credited)])))
            }
            ("open", _) => (how(&member, &site, &deposit)),
            _ => (problem(l.say(texts::GONE_LEAD))),
        }
        p { a href="/dashboard/wallet/top-up" { (l.say(texts::DEPOSITS)) } }
    };
    Ok(Page::at(Place::Wallet, &title, body).answer(&member))
}

fn how(member: &Member, site: &Site, deposit: &Deposit) -> Markup {
    let l = member.language();
    let how = site.top_ups.instructions(deposit);
    let lead = match &how.account {
        Some(_) => texts::PAY_LEAD,
        None => texts::PAY_BY_HAND,
    };
    html! {
        section.card {
            p { (l.say(lead)) }
            @if how.qr_svg.is_some() {
                img.qr src={ "/dashboard/wallet/top-up/" (deposit.id) "/qr.svg" }
                    alt=(l.say(texts::QR_ALT)) width="208" height="208";
            }
            dl.facts {
                dt { (l.say(texts::PAY_AMOUNT)) }
                dd { strong { (grouped(deposit.vnd)) " VND" } }
                dt { (l.say(texts::MEMO)) }
                dd { code { (deposit.reference) } }
                @if let Some(bank) = &how.account {
                    dt { (l.say(texts::BANK)) } dd { (bank.bin) }
                    dt { (l.say(texts::ACCOUNT_NUMBER)) } dd { code { (bank.number) } }
                    dt { (l.say(texts::HOLDER)) } dd { (bank.holder) }
                }
            }
        }
        form method="post" action={ "/dashboard/wallet/top-up/" (deposit.id) "/withdraw" } {
            (form_token(member))
            button.danger type="submit" { (l.say(texts::WITHDRAW)) }
        }
    }
}

async fn picture(
    member: Member,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let deposit = own(&member, &site, &id).await?;
    match site.top_ups.instructions(&deposit).qr_svg {
        Some(svg) => Ok(HttpResponse::Ok().content_type("image/svg+xml").body(svg)),
        None => Err(Refused::not_found(&member)),
    }
}

async fn withdraw(
    posted: Posted<Member>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let deposit = own(&member, &site, &id).await?;
    // One that was paid meanwhile stays paid, and its page says so.
    site.store
        .withdraw_deposit(member.id(), deposit.id, unix_ms())
        .await?;
    let path = format!("/dashboard/wallet/top-up/{}", deposit.id);
    Ok(go(&member, &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (26_000, "26\u{202f}000"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
            (-123_456, "-123\u{202f}456"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
