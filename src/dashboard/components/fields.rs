//! Form fields.

use maud::{Markup, Render, html};

use crate::dashboard::texts::{Translate, frame};
use crate::dashboard::web::{Viewer, form_token};

/// A one-line input with its label and an optional hint. It is a required text field unless changed.
pub struct Field<'a> {
    name: &'a str,
    label: &'a str,
    kind: &'a str,
    value: &'a str,
    hint: Option<&'a str>,
    autocomplete: &'a str,
    is_required: bool,
}

impl<'a> Field<'a> {
    pub fn new(name: &'a str, label: &'a str) -> Field<'a> {
        Field {
            name,
            label,
            kind: "text",
            value: "",
            hint: None,
            autocomplete: "off",
            is_required: true,
        }
    }

    /// The HTML `type` of the input.
    pub fn kind(self, kind: &'a str) -> Field<'a> {
        Field { kind, ..self }
    }

    pub fn value(self, value: &'a str) -> Field<'a> {
        Field { value, ..self }
    }

    pub fn hint(self, hint: impl Into<Option<&'a str>>) -> Field<'a> {
        Field { hint: hint.into(), ..self }
    }

    pub fn autocomplete(self, autocomplete: &'a str) -> Field<'a> {
        Field { autocomplete, ..self }
    }

    pub fn optional(self) -> Field<'a> {
        Field { is_required: false, ..self }
    }
}

impl Render for Field<'_> {
    fn render(&self) -> Markup {
        let hint_id = format!("{}-hint", self.name);
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                input id=(self.name) name=(self.name) type=(self.kind) value=(self.value)
                    autocomplete=(self.autocomplete) required[self.is_required]
                    aria-describedby=[self.hint.map(|_| &hint_id)];
                @if let Some(hint) = self.hint { p.hint id=(hint_id) { (hint) } }
            }
        }
    }
}

/// A drop-down list of values and their labels.
pub fn select<V: AsRef<str>, T: AsRef<str>>(
    name: &str,
    label: &str,
    selected: &str,
    options: impl IntoIterator<Item = (V, T)>,
) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (value, text) in options {
                    option value=(value.as_ref()) selected[value.as_ref() == selected] { (text.as_ref()) }
                }
            }
        }
    }
}

/// A form that is only a button of this class.
pub fn button_form(viewer: &impl Viewer, action: &str, class: &str, label: &str) -> Markup {
    let class = (!class.is_empty()).then_some(class);
    html! {
        form method="post" action=(action) {
            (form_token(viewer))
            button class=[class] type="submit" { (label) }
        }
    }
}

/// A page that asks to confirm an action: what it changes, the fields that it needs, and a button. Every action that
/// cannot be undone has one; a link leads there, so that it works without a script.
pub struct Confirmation<'a> {
    pub title: &'a str,
    /// What the action is about and what it does.
    pub details: Markup,
    /// The fields of the form.
    pub fields: Markup,
    /// The path that the form is posted to.
    pub action: &'a str,
    pub button: &'a str,
    /// The path of the page that the link came from.
    pub back: &'a str,
}

impl Confirmation<'_> {
    /// The page of an action that takes something away.
    pub fn draw(self, viewer: &impl Viewer) -> Markup {
        self.draw_with(viewer, Some("danger strong"))
    }

    /// The page of an action that takes nothing away, such as a credit.
    pub fn draw_harmless(self, viewer: &impl Viewer) -> Markup {
        self.draw_with(viewer, None)
    }

    fn draw_with(self, viewer: &impl Viewer, class: Option<&str>) -> Markup {
        html! {
            section.card.confirm {
                h1 { (self.title) }
                (self.details)
                form method="post" action=(self.action) {
                    (form_token(viewer))
                    (self.fields)
                    div.actions {
                        button class=[class] type="submit" { (self.button) }
                        a.button.second href=(self.back) { (viewer.locale().t(frame::CANCEL)) }
                    }
                }
            }
        }
    }
}

/// A hidden field of a form.
pub fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}
