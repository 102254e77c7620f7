//! Referrals: the link, the referred accounts, the earnings, and the wallet that they are paid to.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::payout::{PayoutWallet, PayoutWalletError};
use nexo_domain::billing::referral::masked_email;
use nexo_domain::otp::Language;
use nexo_entities::store::billing::payouts::Payout;
use nexo_entities::store::billing::referrals::{CommissionEntry, Earnings, Referral};
use serde::Deserialize;

use crate::dashboard::auth::credentials::{form_status, is_password, password_field};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::mail::notices;
use crate::dashboard::texts::{Text, Translate, account::settings, frame, referrals as texts};
use crate::dashboard::web::*;

/// The number of referrals on a page.
const PAGE_SIZE: u32 = 50;
/// The number of commissions shown.
const COMMISSIONS: u32 = 20;
/// Five years of payouts.
const PAYOUTS: u32 = 60;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/referrals").get(show))
        .service(web::resource("/referrals/wallet").post(set_wallet));
}

#[derive(Deserialize)]
struct Query {
    skip: Option<u32>,
    done: Option<String>,
}

/// The rejected input of the wallet form, and the error.
struct RejectedWallet<'a> {
    kind: &'a str,
    address: &'a str,
    error: Text,
}

async fn show(member: Member, site: Site, query: web::Query<Query>) -> PageResult {
    let is_saved = query.done.as_deref() == Some("wallet");
    let skip = query.skip.unwrap_or(0);
    draw(&member, &site, skip, is_saved, None).await
}

async fn draw(
    member: &Member,
    site: &SiteState,
    skip: u32,
    is_saved: bool,
    rejected: Option<RejectedWallet<'_>>,
) -> PageResult {
    let l = member.locale();
    let id = member.id();
    let store = &site.store;
    let earnings = store.billing().earnings(id).await?;
    let referrals = store.billing().referrals(Some(id), skip, PAGE_SIZE + 1).await?;
    let commissions = store.billing().commission_entries(id, COMMISSIONS).await?;
    let payouts = store.billing().payouts(Some(id), None, PAYOUTS).await?;
    let wallet = store.billing().payout_wallet(id).await?;
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), html! {}))
        @if is_saved { (success_notice(l.t(texts::WALLET_SAVED))) }
        @if let Some(rejected) = &rejected { (error_notice(l.t(rejected.error))) }
        (link_card(member, site))
        (totals(l, &earnings))
        (referral_table(l, &referrals, skip))
        @if !commissions.is_empty() { (commission_table(l, &commissions)) }
        section.card {
            h2 { (l.t(texts::PAYOUTS)) }
            (payout_table(l, &payouts))
        }
        (wallet_form(member, wallet.as_ref(), rejected.as_ref()))
    };
    Ok(Page::new(NavItem::Referrals, l.t(texts::TITLE), body)
        .with_status(form_status(rejected))
        .respond(member))
}

fn link_card(member: &Member, site: &SiteState) -> Markup {
    let l = member.locale();
    let code = &member.account.referral_code;
    let link =
        |language: Language| site.public_url.link(&format!("/{}?ref={code}", language.code()));
    let other = match l.language {
        Language::En => Language::Vi,
        Language::Vi => Language::En,
    };
    html! {
        section.card {
            div.field {
                label for="link" { (l.t(texts::LINK)) }
                div.copy-row {
                    input #link.code type="text" readonly value=(link(l.language)) aria-describedby="link-hint";
                    (copy_button(l))
                }
                p.hint #link-hint { (l.t_with(texts::LINK_HINT, &[("link", &link(other))])) }
            }
        }
    }
}

fn totals(l: Locale, earnings: &Earnings) -> Markup {
    html! {
        dl.figures {
            div.figure.strong {
                dt { (l.t(texts::PENDING)) }
                dd { (usd(l, earnings.pending)) span.more { (l.t(texts::PENDING_MORE)) } }
            }
            div.figure { dt { (l.t(texts::ACCRUED)) } dd { (usd(l, earnings.accrued)) } }
            div.figure { dt { (l.t(texts::PAID)) } dd { (usd(l, earnings.paid)) } }
            div.figure { dt { (l.t(texts::REFERRED_ACCOUNTS)) } dd { (l.show(earnings.people)) } }
        }
    }
}

fn referral_table(l: Locale, referrals: &[Referral], skip: u32) -> Markup {
    html! {
        h2 { (l.t(texts::REFERRED_ACCOUNTS)) }
        @if referrals.is_empty() {
            (empty_state(l.t(texts::NO_REFERRALS)))
        } @else {
            (table(l, texts::REFERRED_ACCOUNTS, [
                Head(texts::ACCOUNT), Left(texts::SINCE), Left(texts::STATE), Right(texts::ACCRUED),
                Right(texts::PENDING),
            ], referrals.iter().take(PAGE_SIZE as usize).map(|referral| [
                html! { (masked_email(&referral.email)) },
                time(l, referral.created_at_ms),
                referral_state(l, referral),
                usd(l, referral.accrued),
                usd(l, referral.pending),
            ])))
            (offset_pager(l, NavItem::Referrals.path(), &[], skip, PAGE_SIZE, referrals.len()))
        }
    }
}

fn commission_table(l: Locale, commissions: &[CommissionEntry]) -> Markup {
    let name = |kind: &str| match kind {
        "revocation" => texts::REVOCATION,
        "payout" => texts::PAYOUT,
        _ => texts::COMMISSION,
    };
    html! {
        h2 { (l.t(texts::COMMISSIONS)) }
        (table(l, texts::COMMISSIONS, [
            Head(texts::WHEN), Left(texts::WHAT), Left(texts::ACCOUNT), Right(texts::AMOUNT),
        ], commissions.iter().map(|entry| [
            time(l, entry.created_at_ms),
            html! { (l.t(name(&entry.kind))) },
            html! { (entry.email.as_deref().map(masked_email).unwrap_or_default()) },
            usd(l, entry.amount),
        ])))
    }
}

fn payout_table(l: Locale, payouts: &[Payout]) -> Markup {
    html! {
        @if payouts.is_empty() {
            p.faint { (l.t(texts::NO_PAYOUT)) }
        } @else {
            (table(l, texts::PAYOUTS, [
                Head(texts::MONTH), Right(texts::AMOUNT), Left(texts::TO), Left(texts::STATE),
            ], payouts.iter().map(|payout| [
                html! { span.nowrap { (payout.month) } },
                usd(l, payout.amount),
                html! {
                    (l.t(payout_wallet_name(&payout.wallet_kind))) " "
                    span.small.faint { (payout_address(&payout.wallet_kind, &payout.wallet_address)) }
                },
                payout_state(l, payout),
            ])))
        }
    }
}

fn wallet_form(
    member: &Member,
    wallet: Option<&PayoutWallet>,
    rejected: Option<&RejectedWallet<'_>>,
) -> Markup {
    let l = member.locale();
    let stored = wallet.map(PayoutWallet::address).unwrap_or_default();
    let stored = (wallet.map_or("bank", PayoutWallet::kind), stored.as_str());
    let (kind, address) = rejected.map_or(stored, |rejected| (rejected.kind, rejected.address));
    let kinds = ["bank", "usdt", "balance"].map(|kind| (kind, l.t(payout_wallet_name(kind))));
    html! {
        section.card {
            h2 { (l.t(texts::WALLET_TITLE)) }
            p { (l.t(texts::WALLET_LEAD)) }
            form method="post" action="/dashboard/referrals/wallet" {
                (form_token(member))
                (select("kind", l.t(texts::KIND), kind, kinds))
                (Field::new("address", l.t(texts::ADDRESS)).value(address).hint(l.t(texts::ADDRESS_HINT)).optional())
                (password_field(member, "password", settings::CURRENT_PASSWORD).hint(l.t(texts::PASSWORD_HINT)))
                button type="submit" { (l.t(frame::SAVE)) }
            }
        }
    }
}

async fn set_wallet(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let (kind, address) = (fields.get("kind"), fields.trimmed("address"));
    let rejected = |error| RejectedWallet { kind, address, error };
    let wallet = match PayoutWallet::parse(kind, address) {
        Ok(wallet) => wallet,
        Err(error) => {
            let error = match error {
                PayoutWalletError::UnknownKind => texts::KIND_WRONG,
                PayoutWalletError::BankMalformed => texts::BANK_WRONG,
                PayoutWalletError::UsdtMalformed => texts::USDT_WRONG,
                PayoutWalletError::UsdtChecksum => texts::USDT_TYPO,
                PayoutWalletError::BalanceWithAddress => texts::BALANCE_WRONG,
            };
            return draw(&member, &site, 0, false, Some(rejected(error))).await;
        }
    };
    if !is_password(&site, &member, &fields, "password").await? {
        let rejected = rejected(settings::PASSWORD_WRONG);
        return draw(&member, &site, 0, false, Some(rejected)).await;
    }
    let before = site.store.billing().payout_wallet(member.id()).await?;
    site.store.billing().set_payout_wallet(member.id(), Some(&wallet), unix_ms()).await?;
    if before.as_ref() != Some(&wallet) {
        let l = member.locale();
        let name = l.t(payout_wallet_name(wallet.kind()));
        let method = [name.to_owned(), masked_account(&wallet)].join(" ");
        notices::payout_method_changed(&site.mailer, &member.account, l.language, method.trim());
    }
    Ok(redirect(&member, "/dashboard/referrals?done=wallet"))
}

/// The last four characters of the account number or address; empty for the balance.
fn masked_account(wallet: &PayoutWallet) -> String {
    let address = wallet.address();
    let number = match wallet.kind() {
        // The bank's BIN, the account number, the holder's name.
        "bank" => address.split(' ').nth(1).unwrap_or_default(),
        _ => address.as_str(),
    };
    let skipped = number.chars().count().saturating_sub(4);
    let end: String = number.chars().skip(skipped).collect();
    match end.is_empty() {
        true => end,
        false => format!("…{end}"),
    }
}
