//! Referrals and their revocation.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::ids::AccountId;
use nexo_entities::store::billing::referrals::Referral;
use serde::Deserialize;

use super::decision::{
    Decision, Rejection, account_link, already_decided, decided_by, decision_link, finish, note,
    outcome_notice, parse_id,
};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Translate, frame, operators as texts, referrals};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/operators/revocations";
const PAGE_SIZE: u32 = 100;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/revocations").get(show))
        .service(web::resource("/revocations/{id}").get(confirm).post(revoke));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
    #[serde(default)]
    skip: u32,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.locale();
    let skip = query.skip;
    let referrals = site.store.billing().referrals(None, skip, PAGE_SIZE + 1).await?;
    let title = l.t(frame::REVOCATIONS);
    let body = html! {
        (page_head(title, Some(l.t(texts::REVOCATIONS_LEAD)), html! {}))
        (outcome_notice(l, query.came.as_deref()))
        @if referrals.is_empty() {
            (empty_state(l.t(texts::NO_REFERRAL)))
        } @else {
            (referral_table(l, &referrals))
        }
        (offset_pager(l, PATH, &[], skip, PAGE_SIZE, referrals.len()))
    };
    Ok(Page::new(NavItem::Revocations, title, body).respond(&operator))
}

fn referral_table(l: Locale, found: &[Referral]) -> Markup {
    let columns = [
        Head(texts::ACCOUNT),
        Left(texts::REFERRED_BY),
        Left(texts::SINCE),
        Left(texts::STATE),
        Right(referrals::ACCRUED),
        Right(referrals::PENDING),
        Actions,
    ];
    let rows = found.iter().take(PAGE_SIZE as usize).map(|referral| {
        [
            account_link(referral.referred, &referral.email),
            account_link(referral.referrer, &referral.referrer_email),
            time(l, referral.created_at_ms),
            referral_state(l, referral),
            usd(l, referral.accrued),
            usd(l, referral.pending),
            html! {
                @if referral.revoked {
                    (referral.ended_for.as_deref().unwrap_or_default())
                } @else {
                    (decision_link(l, &path_of(referral), "danger", texts::REVOKE))
                }
            },
        ]
    });
    table(l, frame::REVOCATIONS, columns, rows)
}

fn path_of(referral: &Referral) -> String {
    format!("{PATH}/{}", referral.referred)
}

async fn confirm(operator: Operator, site: Site, id: Id) -> PageResult {
    let l = operator.locale();
    let referred: AccountId = parse_id(&operator, &id)?;
    let referral = site.store.billing().referral_of(referred).await?;
    let Some(referral) = referral.filter(|referral| !referral.revoked) else {
        return already_decided(&operator, PATH);
    };
    let decision = Decision {
        title: l.t(texts::REVOKE_TITLE),
        facts: vec![
            (texts::ACCOUNT, account_link(referral.referred, &referral.email)),
            (texts::REFERRED_BY, account_link(referral.referrer, &referral.referrer_email)),
            (referrals::PENDING, usd(l, referral.pending)),
        ],
        text: texts::REVOCATIONS_LEAD,
        fields: html! { (Field::new("reason", l.t(texts::REASON))) },
        path: &path_of(&referral),
        button: texts::REVOKE,
        is_harmful: true,
        back: PATH,
    };
    decision.page(&operator, NavItem::Revocations)
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
