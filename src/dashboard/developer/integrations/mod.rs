//! The pages of integrations: create, show what to paste where, test, remove.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::ids::IntegrationId;
use nexo_domain::integration::{HookBody, HookSecret, Kind, MAX_INTEGRATIONS, Pointer};
use nexo_entities::store::accounts::integrations::Integration;
use nexo_entities::store::{Conflict, StoreError};

mod settings;
mod test;

use crate::api::ApiState;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::integrations as texts;
use crate::dashboard::texts::{Text, Translate};
use crate::dashboard::web::*;
use crate::{input, integrations};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/integrations").get(show).post(create))
        .service(web::resource("/integrations/{id}").get(show_one))
        .service(web::resource("/integrations/{id}/test").post(test::send))
        .service(web::resource("/integrations/{id}/remove").get(confirm_remove).post(remove));
}

/// The fields of the form, as typed. A typed secret is not written into a page again.
#[derive(Default)]
struct Typed<'a> {
    name: &'a str,
    kind: &'a str,
    phone_pointer: &'a str,
    code_pointer: &'a str,
}

impl<'a> Typed<'a> {
    fn of(fields: &'a Fields) -> Typed<'a> {
        Typed {
            name: fields.trimmed("name"),
            kind: fields.get("kind"),
            phone_pointer: fields.trimmed("phone_pointer"),
            code_pointer: fields.trimmed("code_pointer"),
        }
    }
}

/// A checked form.
struct Checked {
    name: String,
    body: HookBody,
    secret: HookSecret,
}

fn check(fields: &Fields) -> Result<Checked, Text> {
    let typed = Typed::of(fields);
    let name = input::name(typed.name).map_err(|_| texts::NAME_WRONG)?;
    let kind = Kind::named(typed.kind).unwrap_or(Kind::Custom);
    let pointer = |text: &str| match text {
        "" => Ok(None),
        text => Pointer::parse(text).map(Some).map_err(|_| texts::POINTERS_WRONG),
    };
    let body = match (pointer(typed.phone_pointer)?, pointer(typed.code_pointer)?) {
        (Some(phone), Some(code)) => HookBody::new(kind, Some((phone, code))),
        (None, None) => HookBody::new(kind, None),
        _ => None,
    };
    let body = body.ok_or(texts::POINTERS_WRONG)?;
    let secret = match fields.trimmed("secret") {
        "" => integrations::new_secret(kind),
        text => HookSecret::parse(kind, text).map_err(|_| texts::SECRET_WRONG)?,
    };
    Ok(Checked { name, body, secret })
}

/// The integration of the member with this id.
async fn integration_of(
    site: &SiteState,
    member: &Member,
    id: &str,
) -> Result<Integration, PageError> {
    let not_found = || PageError::not_found(member.locale());
    let id: IntegrationId = id.parse().map_err(|_| not_found())?;
    let found = site.store.accounts().integration(member.id(), id).await?;
    found.ok_or_else(not_found)
}

fn path_of(id: IntegrationId) -> String {
    format!("/dashboard/integrations/{id}")
}

fn url_of(site: &SiteState, kind: Kind, id: IntegrationId) -> String {
    site.public_url.link(&integrations::path(kind, id))
}

fn kind_name(l: Locale, kind: Kind) -> &'static str {
    match kind {
        Kind::Custom => l.t(texts::KIND_CUSTOM),
        kind => kind.product(),
    }
}

async fn show(request: HttpRequest, member: Member, site: Site) -> PageResult {
    let notice = query(&request, "told").filter(|told| told == "removed");
    let notice = notice.map(|_| success_notice(member.locale().t(texts::REMOVED)));
    list(&site, &member, notice, Typed::default(), StatusCode::OK).await
}

async fn list(
    site: &SiteState,
    member: &Member,
    notice: Option<Markup>,
    typed: Typed<'_>,
    status: StatusCode,
) -> PageResult {
    let l = member.locale();
    let all = site.store.accounts().integrations(Some(member.id())).await?;
    let count = l.t_with(texts::COUNT, &[("count", &all.len()), ("most", &MAX_INTEGRATIONS)]);
    let columns = [Head(texts::NAME), Left(texts::KIND), Left(texts::LAST_USED), Actions];
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), pill(Tone::Plain, &count)))
        @if let Some(notice) = notice { (notice) }
        @if all.is_empty() { (empty_state(l.t(texts::NONE))) }
        @else { (table(l, texts::TITLE, columns, all.iter().map(|one| row(l, one)))) }
        (form(member, &typed))
    };
    let page = Page::new(NavItem::Integrations, l.t(texts::TITLE), body).with_status(status);
    Ok(page.respond(member))
}

fn row(l: Locale, one: &Integration) -> [Markup; 4] {
    let path = path_of(one.id);
    [
        html! { a href=(path) { (one.name) } },
        html! { (kind_name(l, one.body.kind())) },
        time_or_never(l, one.last_used_at_ms),
        html! { a.button.second.small href=(path) { (l.t(texts::OPEN)) } },
    ]
}

fn form(member: &Member, typed: &Typed<'_>) -> Markup {
    let l = member.locale();
    let kinds = Kind::ALL.map(|kind| (kind.name(), kind_name(l, kind)));
    let hint = |example: &'static str| l.t_with(texts::POINTER_HINT, &[("example", &example)]);
    let (phone_hint, code_hint) = (hint("/user/phone"), hint("/code"));
    html! {
        section.card #new {
            h2 { (l.t(texts::CREATE)) }
            form method="post" action=(NavItem::Integrations.path()) {
                (form_token(member))
                (Field::new("name", l.t(texts::NAME)).value(typed.name).hint(l.t(texts::NAME_HINT)))
                (select("kind", l.t(texts::KIND), typed.kind, kinds))
                (Field::new("secret", l.t(texts::SECRET)).optional().hint(l.t(texts::SECRET_HINT)))
                (Field::new("phone_pointer", l.t(texts::PHONE_POINTER)).optional()
                    .value(typed.phone_pointer).hint(phone_hint.as_str()))
                (Field::new("code_pointer", l.t(texts::CODE_POINTER)).optional()
                    .value(typed.code_pointer).hint(code_hint.as_str()))
                button type="submit" { (l.t(texts::DO_CREATE)) }
            }
        }
    }
}

async fn create(
    Posted(member, fields): Posted<Member>,
    site: Site,
    api: web::Data<ApiState>,
) -> PageResult {
    let l = member.locale();
    let typed = Typed::of(&fields);
    let checked = match check(&fields) {
        Ok(checked) => checked,
        Err(error) => {
            let notice = Some(error_notice(l.t(error)));
            return list(&site, &member, notice, typed, StatusCode::BAD_REQUEST).await;
        }
    };
    site.quotas.take(QuotaKind::ApiKeys, member.id()).await?;
    let Checked { name, body, secret } = checked;
    let keys = api.integrations.keys();
    let created = integrations::create(&site.store, keys, member.id(), &name, &body, &secret).await;
    match created {
        Ok(id) => Ok(created_page(&site, &member, (id, &name, body.kind()), &secret)),
        Err(StoreError::Conflict(Conflict::TooManyIntegrations { max })) => {
            let notice = error_notice(&l.t_with(texts::TOO_MANY, &[("most", &max)]));
            list(&site, &member, Some(notice), typed, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The page that shows a secret once. It is the response to the form itself, so no address shows it again.
fn created_page(
    site: &SiteState,
    member: &Member,
    (id, name, kind): (IntegrationId, &str, Kind),
    secret: &HookSecret,
) -> HttpResponse {
    let l = member.locale();
    let url = url_of(site, kind, id);
    let body = html! {
        (page_head(name, Some(kind_name(l, kind)), html! {
            a.button href=(path_of(id)) { (l.t(texts::OPEN)) }
        }))
        (secret_once(l, l.t(texts::SHOWN_ONCE), secret.reveal()))
        (url_row(l, &url))
        (settings::draw(l, kind, &url, Some(secret.reveal())))
    };
    let page = Page::new(NavItem::Integrations, name, body);
    page.with_status(StatusCode::CREATED).respond(member)
}

fn url_row(l: Locale, url: &str) -> Markup {
    html! {
        div.secret {
            label for="url" { (l.t(texts::URL)) }
            div.copy-row {
                input #url.code type="text" readonly value=(url) autocomplete="off" spellcheck="false";
                (copy_button(l))
            }
        }
    }
}

async fn show_one(member: Member, id: Id, site: Site) -> PageResult {
    let one = integration_of(&site, &member, &id).await?;
    Ok(draw_one(&site, &member, &one, test::Typed::default(), html! {}, StatusCode::OK))
}

/// The page of one integration, with `answer` to its test above.
fn draw_one(
    site: &SiteState,
    member: &Member,
    one: &Integration,
    typed: test::Typed<'_>,
    answer: Markup,
    status: StatusCode,
) -> HttpResponse {
    let l = member.locale();
    let kind = one.body.kind();
    let url = url_of(site, kind, one.id);
    let body = html! {
        (page_head(&one.name, Some(kind_name(l, kind)), html! {
            a.button.danger href={ (path_of(one.id)) "/remove" } { (l.t(texts::REMOVE)) }
        }))
        (answer)
        (url_row(l, &url))
        (settings::draw(l, kind, &url, None))
        (test::form(member, one, &typed))
    };
    Page::new(NavItem::Integrations, &one.name, body).with_status(status).respond(member)
}

async fn confirm_remove(member: Member, id: Id, site: Site) -> PageResult {
    let one = integration_of(&site, &member, &id).await?;
    let l = member.locale();
    let path = path_of(one.id);
    let title = l.t_with(texts::REMOVE_TITLE, &[("name", &one.name)]);
    let page = Confirmation {
        title: &title,
        details: html! { p { (l.t(texts::REMOVE_TEXT)) } },
        fields: html! {},
        action: &format!("{path}/remove"),
        button: l.t(texts::REMOVE),
        back: &path,
    };
    Ok(Page::new(NavItem::Integrations, &title, page.draw(&member)).respond(&member))
}

async fn remove(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let one = integration_of(&site, &member, &id).await?;
    site.store.accounts().remove_integration(one.id, Some(member.id()), unix_ms()).await?;
    Ok(redirect(&member, "/dashboard/integrations?told=removed"))
}
