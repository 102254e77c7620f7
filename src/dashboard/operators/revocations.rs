//! Referrals and their revocation.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::ids::AccountId;
use nexo_entities::store::billing::referrals::Referral;
use serde::Deserialize;

use super::decision::{
    Rejection, account_link, decided_by, finish, note, outcome_notice, parse_id, row_form,
};
use crate::dashboard::components::*;
use crate::dashboard::texts::{Translate, frame, operators as texts, referrals};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/revocations";
const PAGE_SIZE: u32 = 100;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/revocations").get(show))
        .service(web::resource("/revocations/{id}").post(revoke));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
    #[serde(default)]
    skip: u32,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.language();
    let skip = query.skip;
    let referrals = site.store.billing().referrals(None, skip, PAGE_SIZE + 1).await?;
    let title = l.t(frame::REVOCATIONS);
    let body = html! {
        (page_head(title, Some(l.t(texts::REVOCATIONS_LEAD)), html! {}))
        (outcome_notice(l, query.came.as_deref()))
        @if referrals.is_empty() {
            (empty_state(l.t(texts::NO_REFERRAL)))
        } @else {
            (referral_table(&operator, &referrals))
        }
        (offset_pager(l, PATH, &[], skip, PAGE_SIZE, referrals.len()))
    };
    Ok(Page::new(NavItem::Revocations, title, body).respond(&operator))
}

fn referral_table(operator: &Operator, found: &[Referral]) -> Markup {
    let l = operator.language();
    let field = ("reason", texts::REASON);
    html! {
        (table(l, frame::REVOCATIONS, &[
            Left(texts::ACCOUNT), Left(texts::REFERRED_BY), Left(texts::SINCE),
            Left(texts::STATE), Right(referrals::ACCRUED), Right(referrals::PENDING), Unnamed,
        ], html! {
            @for referral in found.iter().take(PAGE_SIZE as usize) {
                tr {
                    td { (account_link(referral.referred, &referral.email)) }
                    td { (account_link(referral.referrer, &referral.referrer_email)) }
                    td { (time(referral.created_at_ms)) }
                    td { (referral_state(l, referral)) }
                    td.right { (usd(referral.accrued)) }
                    td.right { (usd(referral.pending)) }
                    td {
                        @if referral.revoked {
                            (referral.ended_for.as_deref().unwrap_or_default())
                        } @else {
                            (row_form(operator, &format!("{PATH}/{}", referral.referred), field, ("small danger", texts::REVOKE)))
                        }
                    }
                }
            }
        }))
    }
}

async fn revoke(Posted(operator, fields): Posted<Operator>, site: Site, id: Id) -> PageResult {
    let referred: AccountId = parse_id(&operator, &id)?;
    let by = decided_by(&operator);
    let decision = async {
        let reason = note(&fields, "reason")?;
        let revoked = site.store.billing().revoke_referral(by, referred, &reason, unix_ms());
        Ok::<_, Rejection>(revoked.await?.is_some())
    };
    finish(&operator, PATH, decision.await)
}
