//! Signing out, here or everywhere.

use actix_web::{HttpResponse, web};

use super::sign_in::set_cookie;
use crate::dashboard::Site;
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, session_cookie};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::page::go;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/sign-out").post(sign_out))
        .service(web::resource("/sign-out-everywhere").post(sign_out_everywhere));
}

async fn sign_out(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    site.store
        .end_session(member.id(), member.session.id)
        .await?;
    Ok(gone(&member, &site))
}

async fn sign_out_everywhere(
    posted: Posted<Member>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    site.store.end_sessions(member.id(), None).await?;
    Ok(gone(&member, &site))
}

fn gone(member: &Member, site: &Site) -> HttpResponse {
    let mut answer = go(member, "/auth/sign-in");
    set_cookie(&mut answer, &session_cookie(site, None));
    answer
}
