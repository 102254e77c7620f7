//! The site: the landing page, sign-in, the dashboard and the operators' pages, rendered on the server.
//!
//! A page's file has its handlers and what they render. `web` has the viewer, forms, errors and the frame
//! around a page; `components` has pieces that several pages render; `texts` has every string in both
//! languages, `locale` how a viewer reads times and numbers. A page uses these and never another page.
//!
//! | to add | do |
//! |---|---|
//! | a page | a file with `routes`, an entry in `web::navigation::NavItem`, its strings in `texts/` |
//! | a form | a handler that takes `web::form::Posted` of the viewer it is for |

use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::header::ACCEPT;
use actix_web::middleware::from_fn;
use actix_web::web::{QueryConfig, ServiceConfig, resource, scope, to};

mod account;
mod auth;
mod components;
mod developer;
mod landing;
mod locale;
mod mail;
mod operators;
mod texts;
mod web;

pub use mail::Mailer;
pub use mail::low_balance::LowBalanceEmails;
pub use web::state::{SiteServices, SiteState, remove_expired};

use web::error::{ErrorKind, PageError};
use web::headers::secure;
use web::page::not_found;

/// Adds every page to an actix-web application.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            scope("/assets")
                .wrap(from_fn(secure))
                .configure(web::assets::routes)
                .default_service(to(not_found)),
        )
        .service(
            scope("/auth")
                .wrap(from_fn(secure))
                .configure(auth::sign_in::routes)
                .configure(auth::sign_up::routes)
                .configure(auth::confirmation::routes)
                .configure(auth::email_change::routes)
                .configure(auth::sign_out::routes)
                .configure(auth::password_reset::routes)
                .default_service(to(not_found)),
        )
        .service(
            scope("/docs")
                .wrap(from_fn(secure))
                .configure(developer::docs::routes)
                .configure(developer::openapi_page::routes)
                .default_service(to(not_found)),
        )
        .service(
            scope("/dashboard")
                .app_data(QueryConfig::default().error_handler(|_, _| unreadable_query()))
                .wrap(from_fn(secure))
                .configure(account::overview::routes)
                .configure(account::wallet::routes)
                .configure(account::top_up::routes)
                .configure(account::referrals::routes)
                .configure(operators::routes)
                .configure(account::deliveries::routes)
                .configure(account::verifications::routes)
                .configure(developer::api_keys::routes)
                .configure(developer::test_otp::routes)
                .configure(developer::allowlist::routes)
                .configure(developer::integrations::routes)
                .configure(developer::webhooks::routes)
                .configure(account::settings::routes)
                .configure(account::limits::routes)
                .configure(account::access_review::routes)
                .configure(auth::totp::pages::routes)
                .configure(developer::docs::member_routes)
                .default_service(to(not_found)),
        );
    for path in ["/", "/en", "/vi"] {
        config.service(resource(path).wrap(from_fn(secure)).get(landing::show));
    }
}

/// Adds the "not found" page for every other address, after all routes. API clients, which do not ask for HTML, get the
/// API's answer.
pub fn fallback(config: &mut ServiceConfig) {
    config.service(
        scope("").guard(fn_guard(is_browser)).wrap(from_fn(secure)).default_service(to(not_found)),
    );
}

/// The answer to a query without a value that the page needs, or with one of another kind: there is no such page.
fn unreadable_query() -> actix_web::Error {
    PageError::from(ErrorKind::NotFound).into()
}

fn is_browser(request: &GuardContext<'_>) -> bool {
    let head = request.head();
    let accept = head.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    !head.uri.path().starts_with("/api")
        && accept.is_some_and(|accept| accept.contains("text/html"))
}
