//! Pieces that many pages draw.

use maud::{Markup, html};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_domain::timestamp::rfc3339;

use crate::dashboard::texts::{Say, Text, frame};

/// How a pill is coloured. Its words say the same: colour alone tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Busy,
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Good => "pill good",
            Tone::Bad => "pill bad",
            Tone::Busy => "pill busy",
            Tone::Plain => "pill",
        }
    }
}

/// A word in a coloured pill.
pub fn pill(tone: Tone, word: &str) -> Markup {
    html! { span class=(tone.class()) { (word) } }
}

/// A time to the second, UTC: `2026-05-25 10:00:00`.
pub fn time(at_ms: i64) -> Markup {
    let exact = rfc3339(at_ms);
    let seconds: String = exact.chars().take(19).collect();
    html! { time datetime=(exact) { (seconds.replace('T', " ")) } }
}

/// A time, or that it never was.
pub fn time_or_never(language: Language, at_ms: Option<i64>) -> Markup {
    match at_ms {
        Some(at_ms) => time(at_ms),
        None => html! { span.faint { (language.say(frame::NEVER)) } },
    }
}

/// An amount in US dollars: `$0.022`, `−$0.022`.
pub fn usd(amount: Micros) -> Markup {
    let text = amount.to_string();
    html! {
        span.money {
            @match text.strip_prefix('-') {
                Some(owed) => { "−$" (owed) }
                None => { "$" (text) }
            }
        }
    }
}

/// What went well, above a page.
pub fn notice(text: &str) -> Markup {
    html! { p.notice.good role="status" { (text) } }
}

/// What went wrong, above a form.
pub fn problem(text: &str) -> Markup {
    html! { p.notice.bad role="alert" { (text) } }
}

/// A secret that is shown this once, with a button that copies it.
pub fn shown_once(language: Language, label: &str, secret: &str) -> Markup {
    html! {
        div.secret {
            label for="secret" { (label) }
            div.copy-row {
                input #secret.code type="text" readonly value=(secret) autocomplete="off" spellcheck="false";
                button.copy type="button" hidden data-copy="secret" data-done=(language.say(frame::COPIED)) {
                    (language.say(frame::COPY))
                }
            }
        }
    }
}

/// The head of a page: its title, a line below, and what can be done at once.
pub fn head(title: &str, lead: Option<&str>, actions: Markup) -> Markup {
    html! {
        div.head {
            div {
                h1 { (title) }
                @if let Some(lead) = lead { p.lead { (lead) } }
            }
            div.actions { (actions) }
        }
    }
}

/// What is said where there is nothing yet.
pub fn nothing(text: &str) -> Markup {
    html! { div.nothing { p { (text) } } }
}

/// A one-line field with its label, and a hint below.
pub struct Field<'a> {
    pub name: &'a str,
    pub label: &'a str,
    pub kind: &'a str,
    pub value: &'a str,
    pub hint: Option<&'a str>,
    pub autocomplete: &'a str,
    pub required: bool,
}

/// Draws a [`Field`].
pub fn field(field: &Field<'_>) -> Markup {
    let hint_id = format!("{}-hint", field.name);
    html! {
        div.field {
            label for=(field.name) { (field.label) }
            input id=(field.name) name=(field.name) type=(field.kind) value=(field.value)
                autocomplete=(field.autocomplete) required[field.required]
                aria-describedby=[field.hint.map(|_| &hint_id)];
            @if let Some(hint) = field.hint { p.hint id=(hint_id) { (hint) } }
        }
    }
}

/// Text of the catalogue that stands for itself.
pub fn words(language: Language, text: Text) -> Markup {
    html! { (language.say(text)) }
}
