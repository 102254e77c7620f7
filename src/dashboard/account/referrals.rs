//! Referrals: the link, whom it brought, what that earned, and where it is paid to.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::payout::{PayoutWallet, PayoutWalletError};
use nexo_domain::billing::referral::masked_email;
use nexo_domain::otp::Language;
use nexo_entities::store::billing::payouts::Payout;
use nexo_entities::store::billing::referrals::{CommissionEntry, Earnings, Referral};
use serde::Deserialize;

use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, frame, referrals as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{
    Field, Tone, field, head, nothing, notice, pill, problem, time, usd,
};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};

/// How many people a page shows.
const PEOPLE: u32 = 50;
/// How many of the latest commissions are shown.
const LATEST: u32 = 20;
/// Five years of payouts.
const PAYOUTS: u32 = 60;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/referrals").get(show))
        .service(web::resource("/referrals/wallet").post(nominate));
}

#[derive(Deserialize)]
struct Asked {
    skip: Option<u32>,
    done: Option<String>,
}

/// What was typed into the wallet's form, and what is wrong with it.
struct Typed<'a> {
    kind: &'a str,
    address: &'a str,
    wrong: Text,
}

async fn show(
    member: Member,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let saved = asked.done.as_deref() == Some("wallet");
    draw(&member, &site, asked.skip.unwrap_or(0), saved, None).await
}

async fn draw(
    member: &Member,
    site: &Site,
    skip: u32,
    saved: bool,
    typed: Option<Typed<'_>>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let id = member.id();
    let store = &site.store;
    let earned = store.earnings(id).await?;
    let people = store.referrals(Some(id), skip, PEOPLE + 1).await?;
    let latest = store.commission_entries(id, LATEST).await?;
    let payouts = store.payouts(Some(id), None, PAYOUTS).await?;
    let nominated = store.nominated_wallet(id).await?;
    let body = html! {
        (head(l.say(texts::TITLE), Some(l.say(texts::LEAD)), html! {}))
        @if saved { (notice(l.say(texts::WALLET_SAVED))) }
        @if let Some(typed) = &typed { (problem(l.say(typed.wrong))) }
        (link_card(member, site))
        (figures(l, &earned))
        (people_table(l, &people, skip))
        @if !latest.is_empty() { (commissions(l, &latest)) }
        section.card {
            h2 { (l.say(texts::PAYOUTS)) }
            (payout_table(l, &payouts))
        }
        (wallet_form(member, nominated.as_ref(), typed.as_ref()))
    };
    let status = match typed {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    Ok(Page::at(Place::Referrals, l.say(texts::TITLE), body)
        .with_status(status)
        .answer(member))
}

fn link_card(member: &Member, site: &Site) -> Markup {
    let l = member.language();
    let code = &member.account.referral_code;
    let link = |language: Language| {
        site.public_url
            .link(&format!("/{}?ref={code}", language.code()))
    };
    let other = match l {
        Language::En => Language::Vi,
        Language::Vi => Language::En,
    };
    html! {
        section.card {
            div.field {
                label for="link" { (l.say(texts::LINK)) }
                div.copy-row {
                    input #link.code type="text" readonly value=(link(l)) aria-describedby="link-hint";
                    button.copy type="button" hidden data-copy="link" data-done=(l.say(frame::COPIED)) {
                        (l.say(frame::COPY))
                    }
                }
                p.hint #link-hint { (l.tell(texts::LINK_HINT, &[("link", &link(other))])) }
            }
        }
    }
}

fn figures(l: Language, earned: &Earnings) -> Markup {
    html! {
        dl.figures {
            div.figure.strong {
                dt { (l.say(texts::PENDING)) }
                dd { (usd(earned.pending)) span.more { (l.say(texts::PENDING_MORE)) } }
            }
            div.figure { dt { (l.say(texts::ACCRUED)) } dd { (usd(earned.accrued)) } }
            div.figure { dt { (l.say(texts::PAID)) } dd { (usd(earned.paid)) } }
            div.figure { dt { (l.say(texts::PEOPLE)) } dd { (earned.people) } }
        }
    }
}

fn people_table(l: Language, people: &[Referral], skip: u32) -> Markup {
    let shown = people.iter().take(PEOPLE as usize);
    html! {
        h2 { (l.say(texts::PEOPLE)) }
        @if people.is_empty() {
            (nothing(l.say(texts::NOBODY)))
        } @else {
            div.table tabindex="0" role="region" aria-label=(l.say(texts::PEOPLE)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::WHO)) }
                        th scope="col" { (l.say(texts::SINCE)) }
                        th scope="col" { (l.say(texts::STATE)) }
                        th.right scope="col" { (l.say(texts::ACCRUED)) }
                        th.right scope="col" { (l.say(texts::PENDING)) }
                    } }
                    tbody { @for person in shown {
                        tr {
                            td { (masked_email(&person.email)) }
                            td { (time(person.created_at_ms)) }
                            td { (standing(l, person)) }
                            td.right { (usd(person.accrued)) }
                            td.right { (usd(person.pending)) }
                        }
                    } }
                }
            }
            div.pager {
                @if skip > 0 { a.button.second href="/dashboard/referrals" { (l.say(frame::NEWEST)) } }
                @if people.len() > PEOPLE as usize {
                    a.button.second href={ "/dashboard/referrals?skip=" (skip.saturating_add(PEOPLE)) } {
                        (l.say(frame::OLDER))
                    }
                }
            }
        }
    }
}

/// Whether a referral still earns.
pub fn standing(l: Language, referral: &Referral) -> Markup {
    match (referral.ended_at_ms, referral.revoked) {
        (None, _) => pill(Tone::Good, l.say(texts::ACTIVE)),
        (Some(_), true) => pill(Tone::Bad, l.say(texts::REVOKED)),
        (Some(_), false) => pill(Tone::Plain, l.say(texts::ENDED)),
    }
}

fn commissions(l: Language, latest: &[CommissionEntry]) -> Markup {
    let name = |kind: &str| match kind {
        "revocation" => texts::REVOCATION,
        "payout" => texts::PAYOUT,
        _ => texts::COMMISSION,
    };
    html! {
        h2 { (l.say(texts::LAST)) }
        div.table tabindex="0" role="region" aria-label=(l.say(texts::LAST)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::WHEN)) }
                    th scope="col" { (l.say(texts::WHAT)) }
                    th scope="col" { (l.say(texts::WHO)) }
                    th.right scope="col" { (l.say(texts::AMOUNT)) }
                } }
                tbody { @for entry in latest {
                    tr {
                        td { (time(entry.created_at_ms)) }
                        td { (l.say(name(&entry.kind))) }
                        td { (entry.email.as_deref().map(masked_email).unwrap_or_default()) }
                        td.right { (usd(entry.amount)) }
                    }
                } }
            }
        }
    }
}

fn payout_table(l: Language, payouts: &[Payout]) -> Markup {
    html! {
        @if payouts.is_empty() {
            p.faint { (l.say(texts::NO_PAYOUT)) }
        } @else {
            div.table tabindex="0" role="region" aria-label=(l.say(texts::PAYOUTS)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::MONTH)) }
                        th.right scope="col" { (l.say(texts::AMOUNT)) }
                        th scope="col" { (l.say(texts::TO)) }
                        th scope="col" { (l.say(texts::STATE)) }
                    } }
                    tbody { @for payout in payouts {
                        tr {
                            td.nowrap { (payout.month) }
                            td.right { (usd(payout.amount)) }
                            td { (l.say(wallet_name(&payout.wallet_kind))) " " span.small.faint { (payout.wallet_address) } }
                            td { (payout_state(l, payout)) }
                        }
                    } }
                }
            }
        }
    }
}

/// Whether a payout's money has gone.
pub fn payout_state(l: Language, payout: &Payout) -> Markup {
    match payout.sent_at_ms {
        Some(_) => pill(Tone::Good, l.say(texts::SENT)),
        None => pill(Tone::Busy, l.say(texts::TO_BE_SENT)),
    }
}

/// What a kind of payout wallet is called.
pub fn wallet_name(kind: &str) -> Text {
    match kind {
        "bank" => texts::BANK,
        "usdt" => texts::USDT,
        _ => texts::BALANCE,
    }
}

fn wallet_form(
    member: &Member,
    nominated: Option<&PayoutWallet>,
    typed: Option<&Typed<'_>>,
) -> Markup {
    let l = member.language();
    let kept = nominated.map(PayoutWallet::address).unwrap_or_default();
    let kind = typed.map_or(nominated.map_or("bank", PayoutWallet::kind), |t| t.kind);
    let address = typed.map_or(kept.as_str(), |typed| typed.address);
    html! {
        section.card {
            h2 { (l.say(texts::WALLET_TITLE)) }
            p { (l.say(texts::WALLET_LEAD)) }
            form method="post" action="/dashboard/referrals/wallet" {
                (form_token(member))
                div.field {
                    label for="kind" { (l.say(texts::KIND)) }
                    select #kind name="kind" {
                        @for choice in ["bank", "usdt", "balance"] {
                            option value=(choice) selected[choice == kind] {
                                (l.say(wallet_name(choice)))
                            }
                        }
                    }
                }
                (field(&Field {
                    name: "address",
                    label: l.say(texts::ADDRESS),
                    kind: "text",
                    value: address,
                    hint: Some(l.say(texts::ADDRESS_HINT)),
                    autocomplete: "off",
                    required: false,
                }))
                button type="submit" { (l.say(frame::SAVE)) }
            }
        }
    }
}

async fn nominate(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let (kind, address) = (fields.get("kind"), fields.trimmed("address"));
    let wallet = match PayoutWallet::parse(kind, address) {
        Ok(wallet) => wallet,
        Err(error) => {
            let wrong = match error {
                PayoutWalletError::UnknownKind => texts::KIND_WRONG,
                PayoutWalletError::BankMalformed => texts::BANK_WRONG,
                PayoutWalletError::UsdtMalformed => texts::USDT_WRONG,
                PayoutWalletError::UsdtChecksum => texts::USDT_TYPO,
                PayoutWalletError::BalanceWithAddress => texts::BALANCE_WRONG,
            };
            let typed = Typed {
                kind,
                address,
                wrong,
            };
            return draw(&member, &site, 0, false, Some(typed)).await;
        }
    };
    site.store
        .nominate_wallet(member.id(), Some(&wallet), unix_ms())
        .await?;
    Ok(go(&member, "/dashboard/referrals?done=wallet"))
}
