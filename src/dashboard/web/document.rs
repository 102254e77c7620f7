//! The HTML document around a page's content.

use maud::{DOCTYPE, Markup, html};
use nexo_domain::otp::Language;

use super::assets::{ICON, SCRIPT, STYLE};

/// A whole document.
pub fn document(language: Language, title: &str, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · NEXO ROUTE" }
                link rel="stylesheet" href=(STYLE.path);
                link rel="icon" type="image/svg+xml" href=(ICON.path);
                script src=(SCRIPT.path) defer {}
            }
            body { (main) }
        }
    }
}
