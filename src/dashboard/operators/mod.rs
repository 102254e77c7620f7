//! The operators' pages. Everyone else gets 404.
//!
//! Each decision is a form and is logged with the operator who made it.

use actix_web::web;

use super::web::page::not_found;

mod accounts;
mod carriers;
mod decision;
mod deposits;
mod payouts;
mod reviews;
mod revocations;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/operators")
            .configure(accounts::routes)
            .configure(carriers::routes)
            .configure(deposits::routes)
            .configure(reviews::routes)
            .configure(payouts::routes)
            .configure(revocations::routes)
            .default_service(web::to(not_found)),
    );
}
