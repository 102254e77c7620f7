//! The settings: languages, e-mail address, password, sessions.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::ids::SessionId;
use nexo_domain::otp::Language;
use nexo_domain::time_zone::Zone;
use nexo_entities::store::accounts::Account;
use nexo_entities::store::accounts::email_changes::PendingEmailChange;
use nexo_entities::store::accounts::passwords::NewPassword;
use nexo_entities::store::accounts::sessions::Session;

use crate::dashboard::auth::credentials::{
    email_field, hash_password, is_password, password_field, password_hint,
};
use crate::dashboard::auth::email_change::{self, EmailChange};
use crate::dashboard::auth::session::{ACCESS_REVIEW_PATH, remember_browser};
use crate::dashboard::auth::totp;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::mail::notices;
use crate::dashboard::texts::{Text, Translate, account::settings as texts, accounts, frame};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/settings";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/settings").get(show))
        .service(web::resource("/settings/languages").post(set_languages))
        .service(web::resource("/settings/email").post(set_email))
        .service(web::resource("/settings/email/cancel").post(cancel_email))
        .service(web::resource("/settings/password").post(set_password))
        .service(web::resource("/settings/sessions/{id}/end").post(end_session));
}

async fn show(request: HttpRequest, member: Member, site: Site) -> PageResult {
    let notices = [
        ("saved", texts::SAVED),
        ("sent", texts::EMAIL_SENT),
        ("reviewed", texts::ACCESS_REVIEWED),
    ];
    let notice = notices.into_iter().find(|(name, _)| query(&request, name).is_some());
    let notice = notice.map(|(_, text)| success_notice(member.locale().t(text)));
    draw(&site, &member, notice, StatusCode::OK).await
}

async fn rejected(site: &SiteState, member: &Member, text: &str) -> PageResult {
    draw(site, member, Some(error_notice(text)), StatusCode::BAD_REQUEST).await
}

fn saved(member: &Member) -> HttpResponse {
    redirect(member, &format!("{PATH}?saved=1"))
}

async fn draw(
    site: &SiteState,
    member: &Member,
    notice: Option<Markup>,
    status: StatusCode,
) -> PageResult {
    let l = member.locale();
    let now = unix_ms();
    let mut sessions = site.store.accounts().sessions(member.id(), now).await?;
    sessions.retain(|session| site.session_expiry(session.created_at_ms, now) > now);
    let pending = site.store.accounts().pending_email_change(member.id(), now).await?;
    let has_factor = member.account.totp_sealed.is_some();
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(&member.account.email), html! {}))
        @if let Some(notice) = notice { (notice) }
        div.grid {
            (language_form(site, member))
            section.card {
                h2 { (l.t(texts::FACTOR)) }
                p { (l.t(if has_factor { texts::FACTOR_ON } else { texts::FACTOR_OFF })) }
                a.button.second[has_factor] href={ (PATH) "/second-factor" } {
                    (l.t(if has_factor { texts::DO_FACTOR_OFF } else { texts::DO_FACTOR_ON }))
                }
            }
            (password_form(member))
            (email_form(site, member, pending.as_ref()))
            section.card {
                h2 { (l.t(texts::ACCESS)) }
                p { (l.t(texts::ACCESS_LEAD)) }
                a.button.second href=(ACCESS_REVIEW_PATH) { (l.t(texts::DO_ACCESS)) }
            }
        }
        (session_table(member, &sessions))
    };
    let page = Page::new(NavItem::Settings, l.t(texts::TITLE), body).with_status(status);
    Ok(page.respond(member))
}

fn language_name(language: Language) -> Text {
    match language {
        Language::En => texts::ENGLISH,
        Language::Vi => texts::VIETNAMESE,
    }
}

fn language_form(site: &SiteState, member: &Member) -> Markup {
    let l = member.locale();
    let languages = [Language::En, Language::Vi].map(|language| {
        let name = l.t(language_name(language)).to_owned();
        (language.code(), name)
    });
    let configured = l.t(language_name(site.terms.current().reading.language));
    let default = l.t_with(texts::DEFAULT, &[("language", &configured)]);
    let call_languages = [("", default)].into_iter().chain(languages.clone());
    let call_language = member.account.language.map_or("", Language::code);
    let zone = member.account.time_zone.map_or("", Zone::name);
    let automatic = Locale { zone: member.visitor.automatic_zone, ..l }.zone_label();
    let automatic = l.t_with(texts::ZONE_DEFAULT, &[("zone", &automatic)]);
    let zones = Zone::all().map(|zone| (zone.name(), Locale { zone, ..l }.zone_label()));
    let zones = [("", automatic)].into_iter().chain(zones);
    html! {
        section.card {
            h2 { (l.t(texts::LANGUAGES)) }
            form method="post" action={ (PATH) "/languages" } {
                (form_token(member))
                (select("pages", l.t(texts::PAGES), l.code(), languages))
                (select("calls", l.t(texts::CALLS), call_language, call_languages))
                (select("zone", l.t(texts::TIME_ZONE), zone, zones))
                p.hint { (l.t(texts::TIME_ZONE_HINT)) }
                button type="submit" { (l.t(frame::SAVE)) }
            }
        }
    }
}

fn password_form(member: &Member) -> Markup {
    let l = member.locale();
    let hint = password_hint(member);
    html! {
        section.card {
            h2 { (l.t(texts::PASSWORD)) }
            form method="post" action={ (PATH) "/password" } {
                (form_token(member))
                (password_field(member, "present", texts::CURRENT_PASSWORD))
                (password_field(member, "new", accounts::NEW_PASSWORD)
                    .autocomplete("new-password").hint(hint.as_str()))
                p.hint { (l.t(texts::PASSWORD_NOTE)) }
                button type="submit" { (l.t(texts::DO_PASSWORD)) }
            }
        }
    }
}

fn email_form(site: &SiteState, member: &Member, pending: Option<&PendingEmailChange>) -> Markup {
    let l = member.locale();
    let note = match site.mailer.is_configured() {
        true => texts::EMAIL_NOTE,
        false => texts::EMAIL_NOTE_AT_ONCE,
    };
    html! {
        section.card {
            h2 { (l.t(texts::EMAIL)) }
            @if let Some(pending) = pending {
                p { (l.t_with(texts::EMAIL_PENDING, &[("email", &pending.email)])) }
                div.field {
                    (button_form(member, &format!("{PATH}/email/cancel"), "second small", l.t(texts::EMAIL_CANCEL)))
                }
            }
            form method="post" action={ (PATH) "/email" } {
                (form_token(member))
                (email_field(member, &member.account.email))
                (password_field(member, "confirm", texts::CURRENT_PASSWORD))
                p.hint { (l.t(note)) }
                button.second type="submit" { (l.t(texts::DO_EMAIL)) }
            }
        }
    }
}

fn session_table(member: &Member, sessions: &[Session]) -> Markup {
    let l = member.locale();
    html! {
        h2 { (l.t(texts::SESSIONS)) }
        (table(l, texts::SESSIONS, [
            Head(texts::BROWSER), Left(texts::ADDRESS), Left(texts::SEEN), Actions,
        ], sessions.iter().map(|session| [
            html! { span.clipped title=(session.browser) { (browser_name(l, &session.browser)) } },
            html! { span.nowrap { (session.address) } },
            time(l, session.seen_at_ms),
            html! {
                @if session.id == member.session.id {
                    (pill(Tone::Good, l.t(texts::THIS_ONE)))
                } @else {
                    (button_form(member, &format!("{PATH}/sessions/{}/end", session.id), "second small", l.t(texts::END)))
                }
            },
        ])))
        (button_form(member, "/auth/sign-out-everywhere", "danger", l.t(texts::EVERYWHERE)))
    }
}

/// Browsers by their marks in a user agent. The first match counts: Edge also names Chrome, and Chrome also Safari.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("coc_coc_browser/", "Cốc Cốc"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems by their marks in a user agent. The first match counts: Android also names Linux, and an iPhone Mac OS X.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// The browser and its system, `Chrome · Windows`. Of any other user agent, the first 80 characters.
fn browser_name(l: Locale, text: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| text.contains(*mark)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} · {system}"),
        _ if text.trim().is_empty() => l.t(texts::UNKNOWN_BROWSER).to_owned(),
        _ => text.trim().chars().take(80).collect(),
    }
}

async fn set_languages(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    if let Some(pages) = Language::from_code(fields.get("pages")) {
        site.store.accounts().set_page_language(member.id(), pages).await?;
    }
    if fields.has("zone") {
        let zone = match fields.get("zone") {
            "" => None,
            name => match Zone::named(name) {
                Some(zone) => Some(zone),
                None => {
                    let text = member.locale().t(texts::ZONE_WRONG);
                    return rejected(&site, &member, text).await;
                }
            },
        };
        site.store.accounts().set_time_zone(member.id(), zone).await?;
    }
    let calls = Language::from_code(fields.get("calls"));
    site.store.accounts().set_call_language(member.id(), calls, unix_ms()).await?;
    Ok(saved(&member))
}

async fn set_email(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let l = member.locale();
    let Ok(email) = fields.trimmed("email").parse::<EmailAddress>() else {
        return rejected(&site, &member, l.t(accounts::EMAIL_WRONG)).await;
    };
    if !is_password(&site, &member, &fields, "confirm").await? {
        return rejected(&site, &member, l.t(texts::PASSWORD_WRONG)).await;
    }
    if email.as_str() == member.account.email {
        return Ok(saved(&member));
    }
    site.quotas.take(QuotaKind::EmailChanges, member.id()).await?;
    match email_change::request(&site, &member, &email).await? {
        EmailChange::LinkSent => Ok(redirect(&member, &format!("{PATH}?sent=1"))),
        EmailChange::Taken => rejected(&site, &member, l.t(texts::EMAIL_TAKEN)).await,
        EmailChange::Done => {
            let account = Account { email: email.to_string(), ..member.account.clone() };
            let mut response = saved(&member);
            remember_browser(&site, &member.visitor, &account, &mut response);
            Ok(response)
        }
    }
}

async fn cancel_email(Posted(member, _): Posted<Member>, site: Site) -> PageResult {
    site.store.accounts().cancel_email_change(member.id()).await?;
    Ok(saved(&member))
}

async fn set_password(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let l = member.locale();
    if !is_password(&site, &member, &fields, "present").await? {
        return rejected(&site, &member, l.t(texts::PASSWORD_WRONG)).await;
    }
    let password = fields.secret("new");
    let hash = match hash_password(&site, &member, password, &member.account.email).await? {
        Ok(hash) => hash,
        Err(error) => return rejected(&site, &member, &error).await,
    };
    let totp_sealed = match &member.account.totp_sealed {
        Some(sealed) => Some(reseal_totp(&site, &member, &fields, sealed).await?),
        None => None,
    };
    site.store
        .accounts()
        .set_password(NewPassword {
            account_id: member.id(),
            hash: hash.clone(),
            totp_sealed: totp_sealed.clone(),
            kept_session: Some(member.session.id),
            at_ms: unix_ms(),
        })
        .await?;
    notices::password_changed(&site.mailer, &member.account, l.language);
    let account = Account { password_hash: Some(hash), totp_sealed, ..member.account.clone() };
    let mut response = saved(&member);
    remember_browser(&site, &member.visitor, &account, &mut response);
    Ok(response)
}

/// Decrypts the second factor's secret with the current password and encrypts it with the new one.
async fn reseal_totp(
    site: &SiteState,
    member: &Member,
    fields: &Fields,
    sealed: &[u8],
) -> Result<Vec<u8>, PageError> {
    let internal = || PageError::internal(member.locale());
    let key = totp::derive_key(&site.hasher, fields.secret("present"), sealed).await?;
    let key = key.ok_or_else(internal)?;
    let secret = totp::open(&key, sealed, member.id()).ok_or_else(internal)?;
    let sealed = secret.seal(&site.hasher, fields.secret("new"), member.id()).await?;
    sealed.ok_or_else(internal)
}

async fn end_session(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let not_found = || PageError::not_found(member.locale());
    let id: SessionId = id.parse().map_err(|_| not_found())?;
    match site.store.accounts().end_session(member.id(), id).await? {
        true => Ok(saved(&member)),
        false => Err(not_found()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_people_know_it() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
            Chrome/131.0.0.0 Safari/537.36";
        let edge = format!("{chrome} Edg/131.0.0.0");
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 \
            (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";
        for (user_agent, name) in [
            (chrome, "Chrome · Windows"),
            (edge.as_str(), "Edge · Windows"),
            (safari, "Safari · iPhone"),
            (firefox, "Firefox · Linux"),
            ("curl/8.5.0", "curl/8.5.0"),
            (" ", "unknown"),
        ] {
            assert_eq!(browser_name(Locale::now(Language::En, None), user_agent), name);
        }
    }
}
