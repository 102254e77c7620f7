//! The limits of what the account may do for free, and how much of them is used today.

use actix_web::web;
use maud::html;
use nexo_domain::account::quota::resets_at_ms;

use crate::dashboard::components::*;
use crate::dashboard::texts::{Translate, account::limits as texts};
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/limits").get(show));
}

async fn show(member: Member, site: Site) -> PageResult {
    let l = member.locale();
    let quotas = site.quotas.status(member.id()).await?;
    let resets_at = l.minute(resets_at_ms(l.now_ms));
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), html! {}))
        (quota_table(l, &quotas))
        p.hint { (l.t_with(texts::RESETS, &[("time", &resets_at)])) " " (l.t(texts::RAISE)) }
    };
    Ok(Page::new(NavItem::Limits, l.t(texts::TITLE), body).respond(&member))
}
