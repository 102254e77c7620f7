//! The text in a list's search field: a phone number or a reference.

use nexo_domain::customer_fields::Reference;
use nexo_domain::phone::Phone;

use crate::dashboard::web::SiteState;

/// What a search text stands for. An empty text is nothing.
#[derive(Debug, Default)]
pub struct Searched {
    pub phone: Option<Phone>,
    pub reference: Option<Reference>,
}

impl Searched {
    /// Parses a text; `None` if it is neither a phone number nor a reference.
    pub fn parse(typed: &str, site: &SiteState) -> Option<Searched> {
        if typed.is_empty() {
            return Some(Searched::default());
        }
        if let Some(phone) = parse_phone(typed, site) {
            return Some(Searched { phone: Some(phone), reference: None });
        }
        Some(Searched { phone: None, reference: Some(Reference::parse(typed)?) })
    }
}

/// Parses a phone number as people type it: `0981 234 567`, `+84…`, `84…`.
fn parse_phone(typed: &str, site: &SiteState) -> Option<Phone> {
    let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
    let is_allowed = |c: char| c.is_ascii_digit() || " +-.()".contains(c);
    if !typed.chars().all(is_allowed) {
        return None;
    }
    let national = digits.strip_prefix("84").or_else(|| digits.strip_prefix('0'));
    Phone::parse(&format!("+84{}", national?), &site.routing.plan).ok()
}
