//! Operators' pages. For anybody else they are not there.
//!
//! Each decision is a form, and is logged with whoever made it.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_domain::otp::Language;
use nexo_entities::store::StoreError;
use nexo_entities::store::operations::operator_log::{LoggedAction, Operator as Decider};

use super::texts::{Say, Text, operators as texts};
use super::web::error::Refused;
use super::web::extract::{Operator, Reader};
use super::web::markup::{notice, problem, time};
use super::web::page::go;
use crate::cli::args;

mod accounts;
mod carriers;
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
            .default_service(web::to(super::web::error::no_page)),
    );
}

/// As whom the decision is logged.
fn decider(operator: &Operator) -> Decider<'_> {
    Decider {
        id: Some(operator.member.id()),
        name: &operator.member.account.email,
    }
}

/// What became of a form, for the page that it leads back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Done,
    DoneBefore,
    WrongAmount,
    WrongReference,
    WrongNote,
    WrongAccount,
    WrongMonth,
    Conflict,
}

impl Came {
    const ALL: [(&'static str, Came, Text); 8] = [
        ("done", Came::Done, texts::DONE),
        ("before", Came::DoneBefore, texts::DONE_BEFORE),
        ("amount", Came::WrongAmount, texts::WRONG_AMOUNT),
        ("reference", Came::WrongReference, texts::WRONG_REFERENCE),
        ("note", Came::WrongNote, texts::WRONG_NOTE),
        ("account", Came::WrongAccount, texts::WRONG_ACCOUNT),
        ("month", Came::WrongMonth, texts::MONTH_WRONG),
        ("conflict", Came::Conflict, texts::CONFLICT),
    ];

    fn of(done: bool) -> Came {
        match done {
            true => Came::Done,
            false => Came::DoneBefore,
        }
    }

    fn word(self) -> &'static str {
        let known = Came::ALL.into_iter().find(|(_, came, _)| *came == self);
        known.map_or("", |(word, ..)| word)
    }
}

/// Back to the page at `path`, which says what became of the form.
fn back(operator: &Operator, path: &str, came: Came) -> HttpResponse {
    go(operator, &format!("{path}?came={}", came.word()))
}

/// What became of the form that led here.
fn said(l: Language, came: Option<&str>) -> Markup {
    let known = Came::ALL.into_iter().find(|(word, ..)| Some(*word) == came);
    html! {
        @if let Some((_, came, text)) = known {
            @match came {
                Came::Done | Came::DoneBefore => (notice(l.say(text))),
                _ => (problem(l.say(text))),
            }
        }
    }
}

/// The outcome of a decision: what the data does not allow is said on the page, what fails is refused.
fn outcome(decided: Result<bool, StoreError>) -> Result<Came, Refused> {
    match decided {
        Ok(done) => Ok(Came::of(done)),
        Err(StoreError::Conflict(_)) => Ok(Came::Conflict),
        Err(error) => Err(error.into()),
    }
}

/// A reason or note as operators write it.
fn note(text: &str) -> Result<String, Came> {
    args::note(text).map_err(|_| Came::WrongNote)
}

/// A one-line field within a table, with its label for those who do not see it.
fn slim_field(name: &str, label: &str) -> Markup {
    html! { input name=(name) type="text" aria-label=(label) placeholder=(label) required; }
}

/// Logged actions, as a table.
fn trail(l: Language, actions: &[LoggedAction]) -> Markup {
    html! {
        h2 { (l.say(texts::TRAIL)) }
        @if actions.is_empty() {
            p.faint { (l.say(texts::NO_TRAIL)) }
        } @else {
            div.table tabindex="0" role="region" aria-label=(l.say(texts::TRAIL)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::WHEN)) }
                        th scope="col" { (l.say(texts::WHO)) }
                        th scope="col" { (l.say(texts::WHAT)) }
                        th scope="col" { (l.say(texts::ABOUT)) }
                        th scope="col" { (l.say(texts::DETAIL)) }
                    } }
                    tbody { @for action in actions {
                        tr {
                            td { (time(action.at_ms)) }
                            td { (action.operator) }
                            td { code { (action.action) } }
                            td {
                                @if let Some(email) = &action.email { (email) " " }
                                @if let Some(subject) = &action.subject { span.faint { (subject) } }
                            }
                            td { (action.detail.as_deref().unwrap_or_default()) }
                        }
                    } }
                }
            }
        }
    }
}

/// The language of an operator's page.
fn language(operator: &Operator) -> Language {
    operator.language()
}
