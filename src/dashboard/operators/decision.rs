//! What the operators' forms share: the outcome of a decision, and the log of decisions.

use actix_web::HttpResponse;
use maud::{Markup, Render, html};
use nexo_domain::otp::Language;
use nexo_entities::store::StoreError;
use nexo_entities::store::operations::operator_log::{LoggedAction, Operator as DecisionMaker};

use crate::dashboard::components::*;
use crate::dashboard::texts::{Text, Translate, account::limits, operators as texts};
use crate::dashboard::web::*;
use crate::input;

/// The outcome of a form, shown on the page that it redirects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    AlreadyDone,
    WrongAmount,
    WrongReference,
    WrongNote,
    WrongAccount,
    WrongMonth,
    WrongLimit,
    Conflict,
}

impl Outcome {
    const ALL: [(&'static str, Outcome, Text); 9] = [
        ("done", Outcome::Done, texts::DONE),
        ("before", Outcome::AlreadyDone, texts::ALREADY_DONE),
        ("amount", Outcome::WrongAmount, texts::WRONG_AMOUNT),
        ("reference", Outcome::WrongReference, texts::WRONG_REFERENCE),
        ("note", Outcome::WrongNote, texts::WRONG_NOTE),
        ("account", Outcome::WrongAccount, texts::WRONG_ACCOUNT),
        ("month", Outcome::WrongMonth, texts::WRONG_MONTH),
        ("limit", Outcome::WrongLimit, limits::WRONG_LIMIT),
        ("conflict", Outcome::Conflict, texts::CONFLICT),
    ];
}

/// Whether the decision changed anything.
impl From<bool> for Outcome {
    fn from(changed: bool) -> Outcome {
        match changed {
            true => Outcome::Done,
            false => Outcome::AlreadyDone,
        }
    }
}

/// Why a decision was not carried out: an outcome to show, or an error page.
pub enum Rejection {
    Outcome(Outcome),
    Error(PageError),
}

impl From<Outcome> for Rejection {
    fn from(outcome: Outcome) -> Rejection {
        Rejection::Outcome(outcome)
    }
}

impl From<PageError> for Rejection {
    fn from(error: PageError) -> Rejection {
        Rejection::Error(error)
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Rejection {
        match error {
            StoreError::Conflict(_) => Rejection::Outcome(Outcome::Conflict),
            error => Rejection::Error(error.into()),
        }
    }
}

/// Redirects to the page at `path`, which shows the outcome of the decision.
pub fn finish(
    operator: &Operator,
    path: &str,
    decided: Result<impl Into<Outcome>, Rejection>,
) -> PageResult {
    match decided {
        Ok(outcome) => Ok(back(operator, path, outcome.into())),
        Err(Rejection::Outcome(outcome)) => Ok(back(operator, path, outcome)),
        Err(Rejection::Error(error)) => Err(error),
    }
}

fn back(operator: &Operator, path: &str, outcome: Outcome) -> HttpResponse {
    let mut known = Outcome::ALL.into_iter();
    let name = known.find_map(|(name, known, _)| (known == outcome).then_some(name));
    redirect(operator, &format!("{path}?came={}", name.unwrap_or_default()))
}

/// The notice of the outcome in the page's query.
pub fn outcome_notice(l: Language, name: Option<&str>) -> Markup {
    let known = Outcome::ALL.into_iter().find(|(known, ..)| Some(*known) == name);
    match known {
        None => html! {},
        Some((_, Outcome::Done | Outcome::AlreadyDone, text)) => success_notice(l.t(text)),
        Some((_, _, text)) => error_notice(l.t(text)),
    }
}

/// The operator in whose name the decision is logged.
pub fn decided_by(operator: &Operator) -> DecisionMaker<'_> {
    DecisionMaker { id: Some(operator.member.id()), name: &operator.member.account.email }
}

/// Parses an id of the path.
///
/// # Errors
/// Not found.
pub fn parse_id<T: std::str::FromStr>(operator: &Operator, id: &str) -> Result<T, PageError> {
    let not_found = |_| PageError::not_found(operator.language());
    id.parse().map_err(not_found)
}

/// The reason or note in the form's field `name`.
///
/// # Errors
/// [`Outcome::WrongNote`].
pub fn note(fields: &Fields, name: &str) -> Result<String, Outcome> {
    input::note(fields.get(name)).map_err(|_| Outcome::WrongNote)
}

/// The reference in the form's field `reference`.
///
/// # Errors
/// [`Outcome::WrongReference`].
pub fn reference(fields: &Fields) -> Result<String, Outcome> {
    input::reference(fields.trimmed("reference")).map_err(|_| Outcome::WrongReference)
}

/// A form in a table row: one required field and a button of this class.
pub fn row_form(
    operator: &Operator,
    action: &str,
    (name, label): (&str, Text),
    (class, button): (&str, Text),
) -> Markup {
    let label = operator.language().t(label);
    html! {
        form.actions method="post" action=(action) {
            (form_token(operator))
            input name=(name) type="text" aria-label=(label) placeholder=(label) required;
            button class=(class) type="submit" { (operator.language().t(button)) }
        }
    }
}

/// A link to an account's page.
pub fn account_link(id: impl std::fmt::Display, email: impl Render) -> Markup {
    html! { a href={ "/dashboard/operators/accounts/" (id) } { (email) } }
}

/// The log of operators' decisions.
pub fn audit_log(l: Language, actions: &[LoggedAction]) -> Markup {
    html! {
        h2 { (l.t(texts::AUDIT_LOG)) }
        @if actions.is_empty() {
            p.faint { (l.t(texts::NO_AUDIT_LOG)) }
        } @else {
            (table(l, texts::AUDIT_LOG, &[
                Left(texts::WHEN), Left(texts::USER), Left(texts::ACTION), Left(texts::SUBJECT),
                Left(texts::DETAIL),
            ], html! {
                @for action in actions {
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
                }
            }))
        }
    }
}
