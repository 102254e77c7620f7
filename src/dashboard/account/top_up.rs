//! Top-ups: the page that the API's `deposit_url` leads to.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::money::Micros;
use nexo_entities::store::billing::deposits::{Deposit, MAX_OPEN_DEPOSITS};
use nexo_entities::store::{Conflict, StoreError};
use uuid::Uuid;

use crate::dashboard::auth::credentials::form_status;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::figures::{Value, Vnd, amount_to_edit, parse_usd};
use crate::dashboard::texts::{Translate, frame, wallet as texts};
use crate::dashboard::web::*;
use crate::deposits::{MAX_TOP_UP, TopUpError};

/// The number of top-ups that the page lists.
const LISTED: u32 = 50;
/// The amount that the form suggests.
const SUGGESTED: Micros = Micros::new(20_000_000);

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/wallet/top-up").get(show).post(open))
        .service(web::resource("/wallet/top-up/{id}").get(show_one))
        .service(web::resource("/wallet/top-up/{id}/qr.svg").get(qr_code))
        .service(web::resource("/wallet/top-up/{id}/withdraw").get(confirm_cancel).post(cancel));
}

async fn show(member: Member, site: Site) -> PageResult {
    draw(&member, &site, &amount_to_edit(member.locale().language, SUGGESTED), None).await
}

async fn draw(
    member: &Member,
    site: &SiteState,
    amount: &str,
    error: Option<String>,
) -> PageResult {
    let l = member.locale();
    let deposits = site.store.billing().deposits(member.id(), LISTED).await?;
    let methods: Vec<&str> = site.top_ups.names().collect();
    let lead = match methods.first() {
        Some(&"bank_transfer") => texts::TOP_UP_LEAD,
        _ => texts::TOP_UP_BY_HAND,
    };
    let hint = l.t_with(
        texts::TOP_UP_HINT,
        &[("least", &site.top_ups.minimum), ("rate", &Vnd(site.top_ups.rate.get()))],
    );
    let body = html! {
        (page_head(l.t(texts::TOP_UP), Some(l.t(lead)), html! {}))
        @if let Some(error) = &error { (error_notice(error)) }
        section.card {
            form method="post" action="/dashboard/wallet/top-up" {
                (form_token(member))
                (Field::new("amount", l.t(texts::TOP_UP_AMOUNT)).value(amount).hint(hint.as_str()))
                @if methods.len() > 1 {
                    (select("provider", l.t(texts::PAYMENT_METHOD), "", methods.iter().map(|method| {
                        (*method, l.t(payment_method_name(method)))
                    })))
                }
                button type="submit" { (l.t(texts::DO_OPEN)) }
            }
        }
        @if !deposits.is_empty() {
            h2 { (l.t(texts::DEPOSITS)) }
            (list(l, &deposits))
        }
    };
    Ok(Page::new(NavItem::Wallet, l.t(texts::TOP_UP), body)
        .with_status(form_status(error))
        .respond(member))
}

fn list(l: Locale, deposits: &[Deposit]) -> Markup {
    html! {
        (table(l, texts::DEPOSITS, [
            Head(texts::REFERENCE), Left(texts::WHEN), Right(texts::AMOUNT), Right(frame::TRANSFER_AMOUNT),
            Left(texts::STATE),
        ], deposits.iter().map(|deposit| [
            html! { a href=(path_of(deposit)) { (deposit.reference) } },
            time(l, deposit.created_at_ms),
            usd(l, deposit.credited.unwrap_or(deposit.amount)),
            vnd(l, deposit.vnd),
            state(l, &deposit.status),
        ])))
    }
}

fn state(l: Locale, status: &str) -> Markup {
    match status {
        "credited" => pill(Tone::Good, l.t(texts::CREDITED)),
        "open" => pill(Tone::Busy, l.t(texts::OPEN)),
        _ => pill(Tone::Plain, l.t(texts::CANCELLED)),
    }
}

async fn open(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let l = member.locale();
    let typed = fields.trimmed("amount");
    let Some(amount) = parse_usd(l.language, typed) else {
        let error = l.t(texts::AMOUNT_WRONG).to_owned();
        return draw(&member, &site, typed, Some(error)).await;
    };
    site.quotas.take(QuotaKind::TopUps, member.id()).await?;
    let provider = fields.get("provider");
    let opened = site.top_ups.open(&site.store, member.id(), provider, amount).await;
    match opened {
        Ok(id) => Ok(redirect(&member, &format!("/dashboard/wallet/top-up/{id}"))),
        Err(TopUpError::Amount { minimum }) => {
            let range: [(&str, &dyn Value); 2] = [("least", &minimum), ("most", &MAX_TOP_UP)];
            let error = l.t_with(texts::TOP_UP_WRONG, &range);
            draw(&member, &site, typed, Some(error)).await
        }
        Err(TopUpError::Store(StoreError::Conflict(Conflict::TooManyDeposits { .. }))) => {
            let error = l.t_with(texts::TOO_MANY, &[("count", &MAX_OPEN_DEPOSITS)]);
            draw(&member, &site, typed, Some(error)).await
        }
        Err(TopUpError::Store(error)) => Err(error.into()),
    }
}

fn path_of(deposit: &Deposit) -> String {
    format!("/dashboard/wallet/top-up/{}", deposit.id)
}

async fn deposit_of(member: &Member, site: &SiteState, id: &str) -> Result<Deposit, PageError> {
    let not_found = || PageError::not_found(member.locale());
    let id: Uuid = id.parse().map_err(|_| not_found())?;
    site.store.billing().deposit(member.id(), id).await?.ok_or_else(not_found)
}

async fn show_one(member: Member, site: Site, id: Id) -> PageResult {
    let l = member.locale();
    let deposit = deposit_of(&member, &site, &id).await?;
    let title = l.t_with(texts::PAY_TITLE, &[("amount", &deposit.amount)]);
    let body = html! {
        (page_head(&title, None, html! {}))
        @match (deposit.status.as_str(), deposit.credited) {
            ("credited", Some(credited)) => {
                (success_notice(&l.t_with(texts::PAID_LEAD, &[("credited", &credited)])))
            }
            ("open", _) => (instructions(&member, &site, &deposit)),
            _ => (error_notice(l.t(texts::CANCELLED_LEAD))),
        }
        p { a href="/dashboard/wallet/top-up" { (l.t(texts::DEPOSITS)) } }
    };
    Ok(Page::new(NavItem::Wallet, &title, body).respond(&member))
}

fn instructions(member: &Member, site: &SiteState, deposit: &Deposit) -> Markup {
    let l = member.locale();
    let instructions = site.top_ups.instructions(deposit);
    let lead = match &instructions.account {
        Some(_) => texts::PAY_LEAD,
        None => texts::PAY_BY_HAND,
    };
    html! {
        section.card {
            p { (l.t(lead)) }
            @if instructions.qr_svg.is_some() {
                img.qr src={ (path_of(deposit)) "/qr.svg" }
                    alt=(l.t(texts::QR_ALT)) width="208" height="208";
            }
            dl.facts {
                dt { (l.t(texts::AMOUNT)) }
                dd { strong { (vnd(l, deposit.vnd)) } " " (copy_value(l, &deposit.vnd.to_string())) }
                dt { (l.t(texts::MEMO)) }
                dd { code { (deposit.reference) } " " (copy_button(l)) }
                @if let Some(bank) = &instructions.account {
                    dt { (l.t(texts::BANK)) } dd { (bank_text(&bank.bin)) }
                    dt { (l.t(texts::ACCOUNT_NUMBER)) } dd { code { (bank.number) } " " (copy_button(l)) }
                    dt { (l.t(texts::HOLDER)) } dd { (bank.holder) }
                }
            }
        }
        div.actions.filters {
            a.button.danger href={ (path_of(deposit)) "/withdraw" } { (l.t(texts::CANCEL)) }
        }
    }
}

async fn qr_code(member: Member, site: Site, id: Id) -> PageResult {
    let deposit = deposit_of(&member, &site, &id).await?;
    match site.top_ups.instructions(&deposit).qr_svg {
        Some(svg) => Ok(HttpResponse::Ok().content_type("image/svg+xml").body(svg)),
        None => Err(PageError::not_found(member.locale())),
    }
}

async fn confirm_cancel(member: Member, site: Site, id: Id) -> PageResult {
    let l = member.locale();
    let deposit = deposit_of(&member, &site, &id).await?;
    let title = l.t(texts::CANCEL_TITLE);
    let page = Confirmation {
        title,
        details: html! { p { code { (deposit.reference) } } p { (l.t(texts::CANCEL_TEXT)) } },
        fields: html! {},
        action: &format!("{}/withdraw", path_of(&deposit)),
        button: l.t(texts::CANCEL),
        back: &path_of(&deposit),
    };
    Ok(Page::new(NavItem::Wallet, title, page.draw(&member)).respond(&member))
}

async fn cancel(Posted(member, _): Posted<Member>, site: Site, id: Id) -> PageResult {
    let deposit = deposit_of(&member, &site, &id).await?;
    // A top-up that was paid in the meantime stays paid.
    site.store.billing().withdraw_deposit(member.id(), deposit.id, unix_ms()).await?;
    Ok(redirect(&member, &path_of(&deposit)))
}
