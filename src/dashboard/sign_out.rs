//! Signing out, here or everywhere.

use actix_web::{HttpResponse, web};

use super::Site;
use super::form::Posted;
use super::page::go;
use super::refused::Refused;
use super::sign_in::set_cookie;
use super::who::{Member, session_cookie};

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
