//! Small elements: pills, times, amounts, notices and page heads.

use maud::{Markup, html};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_domain::timestamp::rfc3339;

use crate::dashboard::texts::{Translate, frame};

/// The colour of a pill. Its text says the same, so colour alone carries no information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Busy,
    Plain,
}

/// A word in a coloured pill.
pub fn pill(tone: Tone, text: &str) -> Markup {
    let class = match tone {
        Tone::Good => "pill good",
        Tone::Bad => "pill bad",
        Tone::Busy => "pill busy",
        Tone::Plain => "pill",
    };
    html! { span class=(class) { (text) } }
}

/// A time to the second, UTC: `2026-05-25 10:00:00`.
pub fn time(at_ms: i64) -> Markup {
    let exact = rfc3339(at_ms);
    let seconds: String = exact.chars().take(19).collect();
    html! { time datetime=(exact) { (seconds.replace('T', " ")) } }
}

/// A time, or "never".
pub fn time_or_never(l: Language, at_ms: Option<i64>) -> Markup {
    match at_ms {
        Some(at_ms) => time(at_ms),
        None => html! { span.faint { (l.t(frame::NEVER)) } },
    }
}

/// An amount in US dollars: `$0.022`, `−$0.022`.
pub fn usd(amount: Micros) -> Markup {
    let text = amount.to_string();
    html! {
        span.money {
            @match text.strip_prefix('-') {
                Some(amount) => { "−$" (amount) }
                None => { "$" (text) }
            }
        }
    }
}

/// A success message above a page.
pub fn success_notice(text: &str) -> Markup {
    html! { p.notice.good role="status" { (text) } }
}

/// An error message above a page or form.
pub fn error_notice(text: &str) -> Markup {
    html! { p.notice.bad role="alert" { (text) } }
}

/// A secret that is shown only once, with a copy button.
pub fn secret_once(l: Language, label: &str, secret: &str) -> Markup {
    html! {
        div.secret {
            label for="secret" { (label) }
            div.copy-row {
                input #secret.code type="text" readonly value=(secret) autocomplete="off" spellcheck="false";
                (copy_button(l))
            }
        }
    }
}

/// A button that copies the element before it: the value of a field, or the text of anything else. Without a script
/// it is hidden.
pub fn copy_button(l: Language) -> Markup {
    copy_value(l, "")
}

/// A button that copies `value`, for a text that is displayed in another form.
pub fn copy_value(l: Language, value: &str) -> Markup {
    html! {
        button.copy.second.small type="button" data-copy=(value) data-done=(l.t(frame::COPIED)) aria-live="polite" {
            (l.t(frame::COPY))
        }
    }
}

/// A block of code or of a request, with a copy button.
pub fn code_block(l: Language, text: &str) -> Markup {
    html! {
        div.code-block {
            pre tabindex="0" { code { (text) } }
            (copy_button(l))
        }
    }
}

/// The head of a page: title, lead and actions.
pub fn page_head(title: &str, lead: Option<&str>, actions: Markup) -> Markup {
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

/// The message in place of an empty list.
pub fn empty_state(text: &str) -> Markup {
    html! { div.nothing { p { (text) } } }
}
