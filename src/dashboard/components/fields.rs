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

/// A card that asks to confirm an action. It works without a script.
pub fn confirmation(
    viewer: &impl Viewer,
    title: &str,
    details: Markup,
    action: &str,
    button: &str,
    back: &str,
) -> Markup {
    html! {
        section.card {
            h1 { (title) }
            (details)
            form.actions method="post" action=(action) {
                (form_token(viewer))
                button.danger type="submit" { (button) }
                a.button.second href=(back) { (viewer.language().t(frame::CANCEL)) }
            }
        }
    }
}
