//! The frame around every page.
//!
//! A handler draws its own part and gives it to [`Page`], which adds navigation, head and foot, and sets the
//! reader's cookies.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use maud::{DOCTYPE, Markup, html};
use nexo_domain::otp::Language;
use url::form_urlencoded;

use super::assets::{ICON, SCRIPT, STYLE};
use super::extract::{Reader, Visitor};
use super::form::TOKEN_FIELD;
use super::navigation::Place;
use crate::dashboard::texts::{Say, Text, frame};

/// A page to be answered with.
pub struct Page<'a> {
    /// Of the browser's tab.
    pub title: &'a str,
    /// Where in the navigation it is.
    pub place: Option<Place>,
    pub status: StatusCode,
    pub body: Markup,
}

impl<'a> Page<'a> {
    /// A page of the dashboard.
    pub fn at(place: Place, title: &'a str, body: Markup) -> Page<'a> {
        Page {
            title,
            place: Some(place),
            status: StatusCode::OK,
            body,
        }
    }

    /// The same with another status: a form that was not taken is 400, what is no more is 410.
    pub fn with_status(self, status: StatusCode) -> Page<'a> {
        Page { status, ..self }
    }

    /// The answer, in the reader's language, within the dashboard's frame.
    pub fn answer(self, reader: &impl Reader) -> HttpResponse {
        let visitor = reader.visitor();
        let main = html! {
            div.shell {
                (navigation(visitor, self.place))
                main #content.main tabindex="-1" { (self.body) (foot(visitor)) }
            }
        };
        respond(visitor, self.status, self.title, main)
    }

    /// The answer with nothing around but the name: signing in and up.
    pub fn answer_alone(self, reader: &impl Reader) -> HttpResponse {
        let visitor = reader.visitor();
        let main = html! {
            main #content.alone tabindex="-1" {
                a.brand href={ "/" (visitor.language.code()) } { (mark()) "NEXO ROUTE" }
                div.card { (self.body) }
                (foot(visitor))
            }
        };
        respond(visitor, self.status, self.title, main)
    }

    /// The answer within the frame of the public pages.
    pub fn answer_public(self, reader: &impl Reader) -> HttpResponse {
        let visitor = reader.visitor();
        let language = visitor.language;
        let main = html! {
            header.top {
                a.brand href={ "/" (language.code()) } { (mark()) "NEXO ROUTE" }
                nav aria-label=(language.say(frame::MAIN_NAVIGATION)) {
                    a href="/docs" { (language.say(frame::DOCS)) }
                    @if visitor.signed_in.is_some() {
                        a.button href="/dashboard" { (language.say(frame::OVERVIEW)) }
                    } @else {
                        a href="/auth/sign-in" { (language.say(frame::SIGN_IN)) }
                        a.button href="/auth/sign-up" { (language.say(frame::SIGN_UP)) }
                    }
                }
            }
            main #content.public tabindex="-1" { (self.body) }
            (foot(visitor))
        };
        respond(visitor, self.status, self.title, main)
    }
}

fn respond(visitor: &Visitor, status: StatusCode, title: &str, main: Markup) -> HttpResponse {
    let language = visitor.language;
    let page = html! {
        a.skip href="#content" { (language.say(frame::SKIP)) }
        (main)
    };
    let mut answer = HttpResponse::build(status);
    for cookie in visitor.cookies() {
        answer.cookie(cookie.clone());
    }
    answer
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Language", language.code()))
        .body(whole(language, title, page).into_string())
}

/// Leads the browser on after a form was taken. `path` is of this site.
pub fn go(reader: &impl Reader, path: &str) -> HttpResponse {
    let mut answer = HttpResponse::SeeOther();
    for cookie in reader.visitor().cookies() {
        answer.cookie(cookie.clone());
    }
    answer.insert_header((LOCATION, path.to_owned())).finish()
}

/// A page of its own, without anything that knows the reader.
pub fn bare(language: Language, title: &str, body: Markup) -> Markup {
    let main = html! { main #content.alone { div.card { (body) } } };
    whole(language, title, main)
}

fn whole(language: Language, title: &str, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · NEXO ROUTE" }
                link rel="stylesheet" href=(STYLE.path);
                link rel="icon" type="image/svg+xml" href=(ICON.path);
                script src=(SCRIPT.path) defer {}
            }
            body { (main) }
        }
    }
}

/// The hidden field that each form of a page carries.
pub fn form_token(reader: &impl Reader) -> Markup {
    let token = reader.visitor().form_token();
    html! { input type="hidden" name=(TOKEN_FIELD) value=(token); }
}

fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" {
            rect.mark-ground width="24" height="24" rx="6" {}
            path.mark-line d="M6.5 17V7l11 10V7" fill="none" stroke-width="2.4"
                stroke-linecap="round" stroke-linejoin="round" {}
        }
    }
}

fn navigation(visitor: &Visitor, here: Option<Place>) -> Markup {
    let language = visitor.language;
    let is_operator = visitor
        .signed_in
        .as_ref()
        .is_some_and(|(_, account)| account.operator);
    let entries = html! {
        ul { @for place in Place::MEMBERS { (entry(language, place, here)) } }
        @if is_operator {
            p.nav-head { (language.say(frame::OPERATORS)) }
            ul { @for place in Place::OPERATORS { (entry(language, place, here)) } }
        }
    };
    let whose = visitor
        .signed_in
        .as_ref()
        .map(|(_, account)| account.email.as_str());
    html! {
        header.side {
            a.brand href="/dashboard" { (mark()) "NEXO ROUTE" }
            // On a narrow screen the navigation is behind a button, without a script.
            details.menu {
                summary { (language.say(frame::MENU)) }
                nav aria-label=(language.say(frame::MENU)) { (entries) (leave(visitor, whose)) }
            }
            nav.wide aria-label=(language.say(frame::MAIN_NAVIGATION)) {
                (entries)
                (leave(visitor, whose))
            }
        }
    }
}

fn leave(visitor: &Visitor, whose: Option<&str>) -> Markup {
    html! {
        @if let Some(email) = whose {
            div.whose {
                span.email title=(email) { (email) }
                form method="post" action="/auth/sign-out" {
                    (form_token(visitor))
                    button.quiet type="submit" { (visitor.language.say(frame::SIGN_OUT)) }
                }
            }
        }
    }
}

fn entry(language: Language, place: Place, here: Option<Place>) -> Markup {
    let current = (here == Some(place)).then_some("page");
    html! {
        li {
            a href=(place.path()) aria-current=[current] {
                svg.icon viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" {
                    path d=(place.icon()) fill="none" stroke="currentColor" stroke-width="1.7"
                        stroke-linecap="round" stroke-linejoin="round" {}
                }
                span { (language.say(place.name())) }
            }
        }
    }
}

fn foot(visitor: &Visitor) -> Markup {
    let language = visitor.language;
    let other = match language {
        Language::En => Language::Vi,
        Language::Vi => Language::En,
    };
    let there = in_language(&visitor.path, other);
    html! {
        footer.foot {
            span { "NEXO ROUTE · " (language.say(frame::TAGLINE)) }
            a href=(there) hreflang=(other.code()) lang=(other.code()) {
                (language.say(frame::OTHER_LANGUAGE))
            }
        }
    }
}

/// A page without navigation, for who is not signed in.
pub fn alone(visitor: &Visitor, title: Text, status: StatusCode, body: Markup) -> HttpResponse {
    let page = Page {
        title: visitor.language.say(title),
        place: None,
        status,
        body,
    };
    page.answer_alone(visitor)
}

/// The address of the same page in this language.
fn in_language(path_and_query: &str, language: Language) -> String {
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    // The landing page has an address for each language; every other page is asked for it.
    if let "/en" | "/vi" | "/" = path {
        return format!("/{}", language.code());
    }
    let given = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "lang");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .extend_pairs(given)
        .append_pair("lang", language.code());
    format!("{path}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_language_has_the_same_page() {
        for (here, there) in [
            ("/en?ref=ab12", "/vi"),
            ("/docs", "/docs?lang=vi"),
            ("/docs?lang=en", "/docs?lang=vi"),
            (
                "/auth/confirm?token=a-_b",
                "/auth/confirm?token=a-_b&lang=vi",
            ),
            (
                "/dashboard/deliveries?q=09+8&lang=en&x=%26",
                "/dashboard/deliveries?q=09+8&x=%26&lang=vi",
            ),
        ] {
            assert_eq!(in_language(here, Language::Vi), there);
        }
    }
}
