//! The frame around every page: navigation, footer, language link and cookies.
//!
//! A handler renders its own part and passes it to [`Page`], [`standalone`] or [`public_page`].

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use maud::{Markup, html};
use nexo_domain::otp::Language;
use url::form_urlencoded;

use super::document::document;
use super::error::PageError;
use super::extract::{Viewer, Visitor};
use super::form::TOKEN_FIELD;
use super::navigation::NavItem;
use crate::dashboard::texts::{Text, Translate, frame};

/// A page of the dashboard.
pub struct Page<'a> {
    nav_item: NavItem,
    title: &'a str,
    status: StatusCode,
    body: Markup,
}

impl<'a> Page<'a> {
    /// A page with status 200. The navigation marks `nav_item` as current.
    pub fn new(nav_item: NavItem, title: &'a str, body: Markup) -> Page<'a> {
        Page { nav_item, title, status: StatusCode::OK, body }
    }

    /// The same page with another status: 400 for a rejected form.
    pub fn with_status(self, status: StatusCode) -> Page<'a> {
        Page { status, ..self }
    }

    /// The response, in the viewer's language, within the dashboard's frame.
    pub fn respond(self, viewer: &impl Viewer) -> HttpResponse {
        let visitor = viewer.visitor();
        let main = html! {
            div.shell data-now=(visitor.locale.now_ms) {
                (navigation(visitor, self.nav_item))
                main #content.main tabindex="-1" {
                    @if visitor.is_suspended() {
                        p.notice.bad role="alert" { (visitor.locale.language.t(frame::SUSPENDED)) }
                    }
                    (self.body)
                    (footer(visitor))
                }
            }
        };
        respond(visitor, self.status, self.title, main)
    }
}

/// A page without navigation, such as sign-in.
pub fn standalone(
    visitor: &Visitor,
    title: Text,
    status: StatusCode,
    body: Markup,
) -> HttpResponse {
    let main = html! {
        main #content.alone tabindex="-1" {
            (brand(&format!("/{}", visitor.locale.language.code())))
            div.card { (body) }
            (footer(visitor))
        }
    };
    respond(visitor, status, visitor.locale.language.t(title), main)
}

/// A page within the frame of the public pages.
pub fn public_page(visitor: &Visitor, title: Text, body: Markup) -> HttpResponse {
    let language = visitor.locale.language;
    let main = html! {
        header.top {
            (brand(&format!("/{}", language.code())))
            nav aria-label=(language.t(frame::MAIN_NAVIGATION)) {
                a href="/docs" { (language.t(frame::DOCS)) }
                @if visitor.signed_in.is_some() {
                    a.button href="/dashboard" { (language.t(frame::OVERVIEW)) }
                } @else {
                    a href="/auth/sign-in" { (language.t(frame::SIGN_IN)) }
                    a.button href="/auth/sign-up" { (language.t(frame::SIGN_UP)) }
                }
            }
        }
        main #content.public tabindex="-1" { (body) }
        (footer(visitor))
    };
    respond(visitor, StatusCode::OK, language.t(title), main)
}

/// The handler of every address without a page.
pub async fn not_found(visitor: Visitor) -> PageError {
    PageError::not_found(visitor.locale)
}

fn respond(visitor: &Visitor, status: StatusCode, title: &str, main: Markup) -> HttpResponse {
    let language = visitor.locale.language;
    let page = html! {
        a.skip href="#content" { (language.t(frame::SKIP)) }
        (main)
    };
    let mut response = HttpResponse::build(status);
    for cookie in visitor.cookies() {
        response.cookie(cookie.clone());
    }
    response
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Language", language.code()))
        .body(document(visitor.locale, title, page).into_string())
}

/// Redirects the browser (303) to a path of this site.
pub fn redirect(viewer: &impl Viewer, path: &str) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    for cookie in viewer.visitor().cookies() {
        response.cookie(cookie.clone());
    }
    response.insert_header((LOCATION, path.to_owned())).finish()
}

/// The hidden field that every form needs.
pub fn form_token(viewer: &impl Viewer) -> Markup {
    let token = viewer.visitor().form_token();
    html! { input type="hidden" name=(TOKEN_FIELD) value=(token); }
}

fn brand(path: &str) -> Markup {
    html! {
        a.brand href=(path) {
            svg.mark viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" {
                rect.mark-ground width="24" height="24" rx="6" {}
                path.mark-line d="M6.5 17V7l11 10V7" fill="none" stroke-width="2.4"
                    stroke-linecap="round" stroke-linejoin="round" {}
            }
            "NEXO ROUTE"
        }
    }
}

fn navigation(visitor: &Visitor, current: NavItem) -> Markup {
    let language = visitor.locale.language;
    let account = visitor.signed_in.as_ref().map(|(_, account)| account);
    let links = html! {
        ul { @for item in NavItem::MEMBER { (nav_link(language, item, current)) } }
        @if account.is_some_and(|account| account.operator) {
            p.nav-head { (language.t(frame::OPERATORS)) }
            ul { @for item in NavItem::OPERATOR { (nav_link(language, item, current)) } }
        }
        @if let Some(account) = account {
            div.whose {
                span.email title=(account.email) { (account.email) }
                form method="post" action="/auth/sign-out" {
                    (form_token(visitor))
                    button.quiet type="submit" { (language.t(frame::SIGN_OUT)) }
                }
            }
        }
    };
    html! {
        header.side {
            (brand("/dashboard"))
            // On a narrow screen the navigation is behind a button, without a script.
            details.menu {
                summary { (language.t(frame::MENU)) }
                nav aria-label=(language.t(frame::MENU)) { (links) }
            }
            nav.wide aria-label=(language.t(frame::MAIN_NAVIGATION)) { (links) }
        }
    }
}

fn nav_link(language: Language, item: NavItem, current: NavItem) -> Markup {
    let current = (item == current).then_some("page");
    html! {
        li {
            a href=(item.path()) aria-current=[current] {
                svg.icon viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" {
                    path d=(item.icon()) fill="none" stroke="currentColor" stroke-width="1.7"
                        stroke-linecap="round" stroke-linejoin="round" {}
                }
                span { (language.t(item.label())) }
            }
        }
    }
}

fn footer(visitor: &Visitor) -> Markup {
    let language = visitor.locale.language;
    let other = match language {
        Language::En => Language::Vi,
        Language::Vi => Language::En,
    };
    let path = in_language(&visitor.path, other);
    html! {
        footer.foot {
            span { "NEXO ROUTE · " (language.t(frame::TAGLINE)) }
            a href=(path) hreflang=(other.code()) lang=(other.code()) {
                (language.t(frame::OTHER_LANGUAGE))
            }
        }
    }
}

/// The address of the same page in this language.
fn in_language(path_and_query: &str, language: Language) -> String {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    // The landing page has a path for each language; every other page has the parameter `lang`.
    if let "/en" | "/vi" | "/" = path {
        return format!("/{}", language.code());
    }
    let others = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "lang");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(others).append_pair("lang", language.code());
    format!("{path}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_link_leads_to_the_same_page() {
        for (here, there) in [
            ("/en?ref=ab12", "/vi"),
            ("/docs", "/docs?lang=vi"),
            ("/docs?lang=en", "/docs?lang=vi"),
            ("/auth/confirm?token=a-_b", "/auth/confirm?token=a-_b&lang=vi"),
            (
                "/dashboard/deliveries?q=09+8&lang=en&x=%26",
                "/dashboard/deliveries?q=09+8&x=%26&lang=vi",
            ),
        ] {
            assert_eq!(in_language(here, Language::Vi), there);
        }
    }
}
