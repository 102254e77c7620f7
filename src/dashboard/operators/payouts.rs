//! Monthly payouts: running a month, and noting what was sent.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::payout::Month;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::billing::payouts::Payout;
use serde::Deserialize;
use uuid::Uuid;

use super::{Came, back, decider, language, outcome, said, slim_field};
use crate::cli::args;
use crate::dashboard::Site;
use crate::dashboard::account::referrals::{payout_state, wallet_name};
use crate::dashboard::texts::{Say, frame, operators as texts, referrals};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::Operator;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Field, field, head, nothing, notice, usd};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};

const PATH: &str = "/dashboard/operators/payouts";
const ROWS: u32 = 500;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/payouts").get(show))
        .service(web::resource("/payouts/run").post(run))
        .service(web::resource("/payouts/{id}/sent").post(sent));
}

#[derive(Deserialize)]
struct Asked {
    came: Option<String>,
    made: Option<usize>,
    waiting: Option<usize>,
}

async fn show(
    operator: Operator,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let l = language(&operator);
    let payouts = site.store.payouts(None, None, ROWS).await?;
    let title = l.say(frame::PAYOUTS);
    let this_month: String = rfc3339(unix_ms()).chars().take(7).collect();
    let body = html! {
        (head(title, Some(l.say(texts::PAYOUTS_LEAD)), html! {}))
        (said(l, asked.came.as_deref()))
        @if let (Some(made), Some(waiting)) = (asked.made, asked.waiting) {
            (notice(&l.tell(texts::RAN, &[("made", &made), ("waiting", &waiting)])))
        }
        section.card {
            form.row.tight method="post" action={ (PATH) "/run" } {
                (form_token(&operator))
                (field(&Field {
                    name: "month",
                    label: l.say(texts::RUN_MONTH),
                    kind: "text",
                    value: &this_month,
                    hint: None,
                    autocomplete: "off",
                    required: true,
                }))
                button type="submit" { (l.say(texts::RUN)) }
            }
        }
        @if payouts.is_empty() {
            (nothing(l.say(texts::NO_PAYOUT)))
        } @else {
            (table(&operator, &payouts))
        }
    };
    Ok(Page::at(Place::Payouts, title, body).answer(&operator))
}

fn table(operator: &Operator, payouts: &[Payout]) -> Markup {
    let l = language(operator);
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(frame::PAYOUTS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(referrals::MONTH)) }
                    th scope="col" { (l.say(texts::ACCOUNT)) }
                    th.right scope="col" { (l.say(referrals::AMOUNT)) }
                    th scope="col" { (l.say(referrals::TO)) }
                    th scope="col" { (l.say(texts::STATE)) }
                    th scope="col" {}
                } }
                tbody { @for payout in payouts {
                    tr {
                        td.nowrap { (payout.month) }
                        td { a href={ "/dashboard/operators/accounts/" (payout.account_id) } { (payout.email) } }
                        td.right { (usd(payout.amount)) }
                        td { (l.say(wallet_name(&payout.wallet_kind))) " " code { (payout.wallet_address) } }
                        td { (payout_state(l, payout)) }
                        td {
                            @match &payout.sent_reference {
                                Some(reference) => span.faint { (reference) },
                                None => form.actions method="post" action={ (PATH) "/" (payout.id) "/sent" } {
                                    (form_token(operator))
                                    (slim_field("reference", l.say(texts::TRANSFER)))
                                    button.small type="submit" { (l.say(texts::MARK_SENT)) }
                                },
                            }
                        }
                    }
                } }
            }
        }
    }
}

async fn run(posted: Posted<Operator>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let month = Month::parse(posted.fields.trimmed("month"));
    let Some(month) = month.filter(|month| month.start_ms() <= unix_ms()) else {
        return Ok(back(operator, PATH, Came::WrongMonth));
    };
    let ran = site
        .store
        .run_payouts(decider(operator), month, unix_ms())
        .await?;
    let (made, waiting) = (ran.made.len(), ran.waiting.len());
    Ok(go(
        operator,
        &format!("{PATH}?made={made}&waiting={waiting}"),
    ))
}

async fn sent(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let id: Uuid = id.parse().map_err(|_| Refused::not_found(operator))?;
    let came = match args::reference(posted.fields.trimmed("reference")) {
        Err(_) => Came::WrongReference,
        Ok(reference) => outcome(
            site.store
                .note_payout_sent(decider(operator), id, &reference, unix_ms())
                .await,
        )?,
    };
    Ok(back(operator, PATH, came))
}
