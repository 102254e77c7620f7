//! Small elements: pills, times, amounts, notices and page heads.

use maud::{Markup, html};
use nexo_domain::money::Micros;
use nexo_domain::timestamp::rfc3339;

use crate::dashboard::locale::Locale;
use crate::dashboard::texts::figures::Vnd;
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

/// A time in a list: its age within the last day, else the time in the viewer's zone. Its tooltip is the UTC time.
pub fn time(l: Locale, at_ms: i64) -> Markup {
    match l.age(at_ms) {
        // The script keeps the age true while the page is open.
        Some(age) => html! {
            time datetime=(rfc3339(at_ms)) title=(utc(at_ms)) data-age { (age) }
        },
        None => at(l, at_ms),
    }
}

/// A time in the viewer's zone, and its age within the last day.
pub fn exact_time(l: Locale, at_ms: i64) -> Markup {
    html! {
        (at(l, at_ms))
        @if l.age(at_ms).is_some() { " " span.faint.nowrap { "· " (time(l, at_ms)) } }
    }
}

fn at(l: Locale, at_ms: i64) -> Markup {
    html! { time datetime=(rfc3339(at_ms)) title=(utc(at_ms)) { (l.time(at_ms)) } }
}

/// A time for a tooltip: `2026-05-25 10:00:00 UTC`.
fn utc(at_ms: i64) -> String {
    let time = rfc3339(at_ms).replace('T', " ");
    format!("{} UTC", time.trim_end_matches('Z'))
}

/// A time, or "never".
pub fn time_or_never(l: Locale, at_ms: Option<i64>) -> Markup {
    match at_ms {
        Some(at_ms) => time(l, at_ms),
        None => html! { span.faint { (l.t(frame::NEVER)) } },
    }
}

/// An amount in US dollars: `$0.022`, `0,022 USD`.
pub fn usd(l: Locale, amount: Micros) -> Markup {
    html! { span.money { (l.show(amount)) } }
}

/// An amount in đồng: `260,000 VND`, `260.000 ₫`.
pub fn vnd(l: Locale, amount: i64) -> Markup {
    html! { span.money { (l.show(Vnd(amount))) } }
}

/// A duration in milliseconds: `1,234 ms`.
pub fn milliseconds(l: Locale, ms: i64) -> Markup {
    html! { span.number { (l.t_with(frame::MILLISECONDS, &[("count", &ms)])) } }
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
pub fn secret_once(l: Locale, label: &str, secret: &str) -> Markup {
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
pub fn copy_button(l: Locale) -> Markup {
    copy_value(l, "")
}

/// A button that copies `value`, for a text that is displayed in another form.
pub fn copy_value(l: Locale, value: &str) -> Markup {
    html! {
        button.copy.second.small type="button" data-copy=(value) data-done=(l.t(frame::COPIED)) aria-live="polite" {
            (l.t(frame::COPY))
        }
    }
}

/// A block of code, with a copy button.
pub fn code_block(l: Locale, text: &str) -> Markup {
    html! {
        div.code-block {
            pre tabindex="0" { code { (text) } }
            (copy_button(l))
        }
    }
}

/// A recorded message whose long lines are wrapped, with a button that copies it as it was recorded.
pub fn message_block(l: Locale, shown: &str, recorded: &str) -> Markup {
    html! {
        div.code-block.wrapped {
            pre { code { (shown) } }
            (copy_value(l, recorded))
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
