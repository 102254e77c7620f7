//! The settings: languages, e-mail address, password, sessions.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::account::password::MIN_CHARACTERS;
use nexo_domain::ids::SessionId;
use nexo_domain::otp::Language;
use nexo_entities::store::accounts::passwords::NewPassword;
use nexo_entities::store::accounts::sessions::Session;
use nexo_entities::store::{Conflict, StoreError};

use crate::dashboard::auth::sign_in::{email_field, password_field, query, throttled};
use crate::dashboard::auth::sign_up::refusal;
use crate::dashboard::auth::throttle::Attempt;
use crate::dashboard::auth::totp;
use crate::dashboard::auth::totp::FactorSecret;
use crate::dashboard::texts::{Say, Text, accounts, settings as texts};
use crate::dashboard::web::error::{Refused, Why};
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::{Fields, Posted};
use crate::dashboard::web::markup::{Tone, head, notice, pill, problem, time};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};
use crate::dashboard::{Letter, Site};
use crate::password::PasswordError;

const HOME: &str = "/dashboard/settings";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/settings").get(show))
        .service(web::resource("/settings/languages").post(set_languages))
        .service(web::resource("/settings/email").post(set_email))
        .service(web::resource("/settings/password").post(set_password))
        .service(web::resource("/settings/sessions/{id}/end").post(end_session));
}

async fn show(
    request: HttpRequest,
    member: Member,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let told = query(&request, "saved").map(|_| notice(member.language().say(texts::SAVED)));
    page(&site, &member, told, StatusCode::OK).await
}

async fn wrong(site: &Site, member: &Member, text: &str) -> Result<HttpResponse, Refused> {
    page(site, member, Some(problem(text)), StatusCode::BAD_REQUEST).await
}

fn saved(member: &Member) -> HttpResponse {
    go(member, &format!("{HOME}?saved=1"))
}

async fn page(
    site: &Site,
    member: &Member,
    told: Option<Markup>,
    status: StatusCode,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let sessions = site.store.sessions(member.id(), unix_ms()).await?;
    let has_factor = member.account.totp_sealed.is_some();
    let body = html! {
        (head(l.say(texts::TITLE), Some(&member.account.email), html! {}))
        @if let Some(told) = told { (told) }
        div.grid {
            (languages(site, member))
            section.card {
                h2 { (l.say(texts::FACTOR)) }
                p { (l.say(if has_factor { texts::FACTOR_ON } else { texts::FACTOR_OFF })) }
                a.button.second[has_factor] href={ (HOME) "/second-factor" } {
                    (l.say(if has_factor { texts::DO_FACTOR_OFF } else { texts::DO_FACTOR_ON }))
                }
            }
            (password(member))
            (email(member))
        }
        (session_list(member, &sessions))
    };
    let page = Page::at(Place::Settings, l.say(texts::TITLE), body).with_status(status);
    Ok(page.answer(member))
}

fn language_name(language: Language) -> Text {
    match language {
        Language::En => texts::ENGLISH,
        Language::Vi => texts::VIETNAMESE,
    }
}

fn languages(site: &Site, member: &Member) -> Markup {
    let l = member.language();
    let of_calls = member.account.language;
    let configured = l.say(language_name(site.terms.now().reading.language));
    html! {
        section.card {
            h2 { (l.say(texts::LANGUAGES)) }
            form method="post" action={ (HOME) "/languages" } {
                (form_token(member))
                div.field {
                    label for="pages" { (l.say(texts::PAGES)) }
                    select #pages name="pages" {
                        @for language in [Language::En, Language::Vi] {
                            option value=(language.code()) selected[language == l] {
                                (l.say(language_name(language)))
                            }
                        }
                    }
                }
                div.field {
                    label for="calls" { (l.say(texts::CALLS)) }
                    select #calls name="calls" {
                        option value="" selected[of_calls.is_none()] {
                            (l.tell(texts::AS_CONFIGURED, &[("language", &configured)]))
                        }
                        @for language in [Language::En, Language::Vi] {
                            option value=(language.code()) selected[of_calls == Some(language)] {
                                (l.say(language_name(language)))
                            }
                        }
                    }
                }
                button type="submit" { (l.say(crate::dashboard::texts::frame::SAVE)) }
            }
        }
    }
}

fn password(member: &Member) -> Markup {
    let l = member.language();
    let hint = l.tell(accounts::PASSWORD_HINT, &[("count", &MIN_CHARACTERS)]);
    html! {
        section.card {
            h2 { (l.say(texts::PASSWORD)) }
            form method="post" action={ (HOME) "/password" } {
                (form_token(member))
                (password_field(member, "present", texts::PRESENT_PASSWORD, "current-password", None))
                (password_field(member, "new", accounts::NEW_PASSWORD, "new-password", Some(&hint)))
                p.hint { (l.say(texts::PASSWORD_TELL)) }
                button type="submit" { (l.say(texts::DO_PASSWORD)) }
            }
        }
    }
}

fn email(member: &Member) -> Markup {
    let l = member.language();
    html! {
        section.card {
            h2 { (l.say(texts::EMAIL)) }
            form method="post" action={ (HOME) "/email" } {
                (form_token(member))
                (email_field(member, &member.account.email))
                (password_field(member, "confirm", texts::PRESENT_PASSWORD, "current-password", None))
                button.second type="submit" { (l.say(texts::DO_EMAIL)) }
            }
        }
    }
}

fn session_list(member: &Member, sessions: &[Session]) -> Markup {
    let l = member.language();
    html! {
        h2 { (l.say(texts::SESSIONS)) }
        div.table tabindex="0" role="region" aria-label=(l.say(texts::SESSIONS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::BROWSER)) }
                    th scope="col" { (l.say(texts::ADDRESS)) }
                    th scope="col" { (l.say(texts::SEEN)) }
                    th scope="col" { (l.say(texts::END)) }
                } }
                tbody {
                    @for session in sessions {
                        tr {
                            td { (browser_name(l, &session.browser)) }
                            td.nowrap { (session.address) }
                            td { (time(session.seen_at_ms)) }
                            td {
                                @if session.id == member.session.id {
                                    (pill(Tone::Good, l.say(texts::THIS_ONE)))
                                } @else {
                                    form method="post" action={ (HOME) "/sessions/" (session.id) "/end" } {
                                        (form_token(member))
                                        button.second.small type="submit" { (l.say(texts::END)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        form method="post" action="/auth/sign-out-everywhere" {
            (form_token(member))
            button.danger type="submit" { (l.say(texts::EVERYWHERE)) }
        }
    }
}

/// A browser's own name for itself, shortened to what tells it apart.
fn browser_name(l: Language, text: &str) -> String {
    match text.trim() {
        "" => l.say(texts::UNKNOWN_BROWSER).to_owned(),
        text => text.chars().take(80).collect(),
    }
}

async fn set_languages(
    posted: Posted<Member>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    if let Some(pages) = Language::from_code(fields.get("pages")) {
        site.store.set_page_language(member.id(), pages).await?;
    }
    let calls = Language::from_code(fields.get("calls"));
    site.store
        .set_call_language(member.id(), calls, unix_ms())
        .await?;
    Ok(saved(&member))
}

/// Whether the form's password is the account's.
///
/// # Errors
/// Tried too often; what the database fails with.
pub async fn is_password(
    site: &Site,
    member: &Member,
    fields: &Fields,
    name: &str,
) -> Result<bool, Refused> {
    throttled(site, Attempt::SignIn, member, &member.account.email)?;
    let kept = member.account.password_hash.clone();
    Ok(site.hashing.verify(fields.secret(name), kept).await?)
}

async fn set_email(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let l = member.language();
    let Ok(email) = fields.trimmed("email").parse::<EmailAddress>() else {
        return wrong(&site, &member, l.say(accounts::EMAIL_WRONG)).await;
    };
    if !is_password(&site, &member, &fields, "confirm").await? {
        return wrong(&site, &member, l.say(texts::PASSWORD_WRONG)).await;
    }
    match site.store.set_email(member.id(), email.as_str()).await {
        Err(StoreError::Conflict(Conflict::EmailTaken)) => {
            return wrong(&site, &member, l.say(texts::EMAIL_TAKEN)).await;
        }
        changed => changed?,
    }
    if email.as_str() != member.account.email {
        // To the address before, too: whoever took the account over would not tell.
        for to in [member.account.email.as_str(), email.as_str()] {
            site.mailer.post(Letter {
                to: to.to_owned(),
                subject: l.say(texts::EMAIL_SUBJECT).to_owned(),
                text: l.tell(texts::EMAIL_TEXT, &[("email", &email)]),
            });
        }
    }
    Ok(saved(&member))
}

async fn set_password(
    posted: Posted<Member>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let l = member.language();
    if !is_password(&site, &member, &fields, "present").await? {
        return wrong(&site, &member, l.say(texts::PASSWORD_WRONG)).await;
    }
    let hashed = site
        .hashing
        .hash(fields.secret("new"), member.account.email.clone())
        .await?;
    let hash = match hashed {
        Ok(hash) => hash,
        Err(PasswordError::Refused(why)) => {
            let text = l.tell(refusal(why), &[("count", &MIN_CHARACTERS)]);
            return wrong(&site, &member, &text).await;
        }
        Err(PasswordError::NotHashed) => {
            return Err(Refused::because(Why::Internal).to(&member));
        }
    };
    let totp_sealed = match &member.account.totp_sealed {
        Some(sealed) => Some(sealed_anew(&site, &member, &fields, sealed).await?),
        None => None,
    };
    site.store
        .set_password(NewPassword {
            account_id: member.id(),
            hash,
            totp_sealed,
            spared: Some(member.session.id),
            at_ms: unix_ms(),
        })
        .await?;
    Ok(saved(&member))
}

/// The second factor's secret, taken from under the present password and put under the new one.
async fn sealed_anew(
    site: &Site,
    member: &Member,
    fields: &Fields,
    sealed: &[u8],
) -> Result<Vec<u8>, Refused> {
    let internal = || Refused::because(Why::Internal).to(member);
    let key = totp::key_of(&site.hashing, fields.secret("present"), sealed).await?;
    let key = key.ok_or_else(internal)?;
    let secret: FactorSecret = totp::open(&key, sealed, member.id()).ok_or_else(internal)?;
    let sealed = secret
        .seal(&site.hashing, fields.secret("new"), member.id())
        .await?;
    sealed.ok_or_else(internal)
}

async fn end_session(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let not_found = || Refused::not_found(&member);
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    match site.store.end_session(member.id(), id).await? {
        true => Ok(saved(&member)),
        false => Err(not_found()),
    }
}
