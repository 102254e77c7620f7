//! Sign-out, in this browser or in all browsers.

use actix_web::web;

use super::session::signed_out;
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/sign-out").post(sign_out))
        .service(web::resource("/sign-out-everywhere").post(sign_out_everywhere));
}

async fn sign_out(Posted(member, _): Posted<Member>, site: Site) -> PageResult {
    site.store.accounts().end_session(member.id(), member.session.id).await?;
    Ok(signed_out(&site, &member))
}

async fn sign_out_everywhere(Posted(member, _): Posted<Member>, site: Site) -> PageResult {
    site.store.accounts().end_sessions(member.id(), None).await?;
    Ok(signed_out(&site, &member))
}
