//! Referrals, and their revocation.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::ids::AccountId;
use nexo_entities::store::billing::referrals::Referral;
use serde::Deserialize;

use super::{back, decider, language, note, outcome, said, slim_field};
use crate::dashboard::Site;
use crate::dashboard::account::referrals::standing;
use crate::dashboard::texts::{Say, frame, operators as texts, referrals};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::Operator;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{head, nothing, time, usd};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token};

const PATH: &str = "/dashboard/operators/revocations";
const ROWS: u32 = 100;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/revocations").get(show))
        .service(web::resource("/revocations/{id}").post(revoke));
}

#[derive(Deserialize)]
struct Asked {
    came: Option<String>,
    #[serde(default)]
    skip: u32,
}

async fn show(
    operator: Operator,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let l = language(&operator);
    let found = site.store.referrals(None, asked.skip, ROWS + 1).await?;
    let title = l.say(frame::REVOCATIONS);
    let body = html! {
        (head(title, Some(l.say(texts::REVOCATIONS_LEAD)), html! {}))
        (said(l, asked.came.as_deref()))
        @if found.is_empty() {
            (nothing(l.say(texts::NO_REFERRAL)))
        } @else {
            (table(&operator, &found))
        }
        div.pager {
            @if asked.skip > 0 { a.button.second href=(PATH) { (l.say(frame::NEWEST)) } }
            @if found.len() > ROWS as usize {
                a.button.second href={ (PATH) "?skip=" (asked.skip.saturating_add(ROWS)) } {
                    (l.say(frame::OLDER))
                }
            }
        }
    };
    Ok(Page::at(Place::Revocations, title, body).answer(&operator))
}

fn table(operator: &Operator, found: &[Referral]) -> Markup {
    let l = language(operator);
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(frame::REVOCATIONS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::ACCOUNT)) }
                    th scope="col" { (l.say(texts::BROUGHT_BY)) }
                    th scope="col" { (l.say(texts::SINCE)) }
                    th scope="col" { (l.say(texts::STATE)) }
                    th.right scope="col" { (l.say(referrals::ACCRUED)) }
                    th.right scope="col" { (l.say(referrals::PENDING)) }
                    th scope="col" {}
                } }
                tbody { @for referral in found.iter().take(ROWS as usize) {
                    tr {
                        td { a href={ "/dashboard/operators/accounts/" (referral.referred) } { (referral.email) } }
                        td { a href={ "/dashboard/operators/accounts/" (referral.referrer) } { (referral.referrer_email) } }
                        td { (time(referral.created_at_ms)) }
                        td { (standing(l, referral)) }
                        td.right { (usd(referral.accrued)) }
                        td.right { (usd(referral.pending)) }
                        td {
                            @if referral.revoked {
                                (referral.ended_for.as_deref().unwrap_or_default())
                            } @else {
                                form.actions method="post" action={ (PATH) "/" (referral.referred) } {
                                    (form_token(operator))
                                    (slim_field("reason", l.say(texts::REASON)))
                                    button.small.danger type="submit" { (l.say(texts::REVOKE)) }
                                }
                            }
                        }
                    }
                } }
            }
        }
    }
}

async fn revoke(
    posted: Posted<Operator>,
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let referred: AccountId = id.parse().map_err(|_| Refused::not_found(operator))?;
    let came = match note(posted.fields.get("reason")) {
        Err(came) => came,
        Ok(reason) => {
            let revoked = site
                .store
                .revoke_referral(decider(operator), referred, &reason, unix_ms())
                .await;
            outcome(revoked.map(|reversed| reversed.is_some()))?
        }
    };
    Ok(back(operator, PATH, came))
}
