//! What the operators' forms share: the outcome of a decision, and the log of decisions.

use actix_web::HttpResponse;
use maud::{Markup, Render, html};
use nexo_domain::billing::ledger::Bucket;
use nexo_entities::store::StoreError;
use nexo_entities::store::operations::operator_log::{LoggedAction, Operator as DecisionMaker};

use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
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
pub fn outcome_notice(l: Locale, name: Option<&str>) -> Markup {
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
    let not_found = |_| PageError::not_found(operator.locale());
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

/// A link from a table's row or a card to the page that confirms a decision.
pub fn decision_link(l: Locale, path: &str, class: &str, label: Text) -> Markup {
    html! { a class={ "button small " (class) } href=(path) { (l.t(label)) } }
}

/// What a decision's page asks for before the decision is made.
pub struct Decision<'a> {
    pub title: &'a str,
    /// The subject: labels and values.
    pub facts: Vec<(Text, Markup)>,
    /// What the decision does.
    pub text: Text,
    pub fields: Markup,
    /// The path of the page, and of the form on it.
    pub path: &'a str,
    pub button: Text,
    /// Whether it takes something away: its button is red.
    pub is_harmful: bool,
    /// The path of the page that lists the subject.
    pub back: &'a str,
}

impl Decision<'_> {
    /// The page that asks to confirm the decision.
    pub fn page(self, operator: &Operator, item: NavItem) -> PageResult {
        let l = operator.locale();
        let details = html! {
            @if !self.facts.is_empty() {
                dl.facts { @for (label, value) in &self.facts { dt { (l.t(*label)) } dd { (value) } } }
            }
            p { (l.t(self.text)) }
        };
        let page = Confirmation {
            title: self.title,
            details,
            fields: self.fields,
            action: self.path,
            button: l.t(self.button),
            back: self.back,
        };
        let page = match self.is_harmful {
            true => page.draw(operator),
            false => page.draw_harmless(operator),
        };
        Ok(Page::new(item, self.title, page).respond(operator))
    }
}

/// The response if the subject of a decision is no longer open: the page at `path` says so.
pub fn already_decided(operator: &Operator, path: &str) -> PageResult {
    finish(operator, path, Ok(Outcome::AlreadyDone))
}

/// A link to an account's page.
pub fn account_link(id: impl std::fmt::Display, email: impl Render) -> Markup {
    html! { a href={ "/dashboard/operators/accounts/" (id) } { (email) } }
}

/// The detail of a decision. An amount at its start, and what it was paid to, are shown as the pages show them.
fn detail(l: Locale, detail: &str) -> Markup {
    let amount = detail.split_once(" USD");
    let amount = amount.and_then(|(amount, rest)| Some((amount.parse().ok()?, rest)));
    match amount {
        Some((amount, rest)) => match rest.strip_prefix(" to ") {
            Some(target) => {
                html! { (usd(l, amount)) " " (l.t(texts::TO_TARGET)) " " (l.t(target_name(target))) }
            }
            None => html! { (usd(l, amount)) (rest) },
        },
        None => html! { (detail) },
    }
}

/// The name of the bucket that a credit went to, or of the kind of wallet that a payout went to.
fn target_name(target: &str) -> Text {
    match Bucket::named(target) {
        Some(bucket) => bucket_name(bucket),
        None => payout_wallet_name(target),
    }
}

/// The e-mail address of the operator who decided.
fn operator_name(l: Locale, name: &str) -> Markup {
    match name == DecisionMaker::COMMAND_LINE.name {
        true => html! { (l.t(texts::COMMAND_LINE)) },
        false => html! { (name) },
    }
}

/// The log of operators' decisions.
pub fn audit_log(l: Locale, actions: &[LoggedAction]) -> Markup {
    html! {
        h2 { (l.t(texts::AUDIT_LOG)) }
        @if actions.is_empty() {
            p.faint { (l.t(texts::NO_AUDIT_LOG)) }
        } @else {
            (table(l, texts::AUDIT_LOG, [
                Head(texts::WHEN), Left(texts::USER), Left(texts::ACTION), Left(texts::SUBJECT),
                Left(texts::DETAIL),
            ], actions.iter().map(|action| [
                time(l, action.at_ms),
                operator_name(l, &action.operator),
                html! { code { (action.action) } },
                html! {
                    @if let Some(email) = &action.email { (email) " " }
                    @if let Some(subject) = &action.subject { span.faint { (subject) } }
                },
                detail(l, action.detail.as_deref().unwrap_or_default()),
            ])))
        }
    }
}
