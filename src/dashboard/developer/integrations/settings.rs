//! What to paste where, for each kind of integration. The files are those of `docs/integrations/`.

use maud::{Markup, html};
use nexo_domain::integration::{HookBody, Kind};
use serde_json::{Map, Value, json};

use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::integrations as texts;
use crate::dashboard::texts::{Text, Translate};

/// A setting of the auth server, in its own words, and its value. `{url}` and `{secret}` are those of the integration.
type Setting = (&'static str, &'static str);

/// A file to paste: its name and its text.
type File = (&'static str, &'static str);

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../docs/integrations/", $name)))
    };
}

struct Guide {
    steps: Text,
    settings: &'static [Setting],
    files: &'static [File],
}

fn guide(kind: Kind) -> Guide {
    match kind {
        Kind::Supabase => Guide {
            steps: texts::STEPS_SUPABASE,
            settings: &[("URL", "{url}"), ("Secret", "{secret}")],
            files: &[file!("supabase.toml"), file!("supabase.env")],
        },
        Kind::Logto => Guide {
            steps: texts::STEPS_LOGTO,
            settings: &[("Endpoint", "{url}"), ("Authorization Header", "Bearer {secret}")],
            files: &[],
        },
        Kind::Kratos => Guide {
            steps: texts::STEPS_KRATOS,
            settings: &[],
            files: &[file!("kratos.jsonnet"), file!("kratos.yml")],
        },
        Kind::Zitadel => {
            Guide { steps: texts::STEPS_ZITADEL, settings: &[("Endpoint", "{url}")], files: &[] }
        }
        Kind::Authentik => Guide {
            steps: texts::STEPS_AUTHENTIK,
            settings: &[
                ("Provider", "Generic"),
                ("From number", "NEXO"),
                ("External API URL", "{url}"),
                ("API Auth Username", "{secret}"),
                ("Authentication Type", "Bearer"),
                ("Mapping", ""),
            ],
            files: &[],
        },
        Kind::Keycloak => Guide {
            steps: texts::STEPS_KEYCLOAK,
            settings: &[
                ("Simulation mode", "off"),
                ("SMS API URL", "{url}"),
                ("URL encode data", "off"),
                ("Put API Secret Token in Authorization Header", "on"),
                ("API Secret Token Attribute", ""),
                ("API Secret", "Bearer {secret}"),
                ("Request JSON template", KEYCLOAK_TEMPLATE),
                ("smsAuthText", "%1$s"),
            ],
            files: &[],
        },
        Kind::Auth0 => Guide {
            steps: texts::STEPS_AUTH0,
            settings: &[("NEXO_URL", "{url}"), ("NEXO_SECRET", "{secret}")],
            files: &[file!("auth0-action.js")],
        },
        Kind::Custom => Guide {
            steps: texts::STEPS_CUSTOM,
            settings: &[
                ("URL", "{url}"),
                ("Authorization", "Bearer {secret}"),
                ("NEXO_URL", "{url}"),
                ("NEXO_SECRET", "{secret}"),
            ],
            files: &[file!("better-auth.mjs")],
        },
    }
}

const KEYCLOAK_TEMPLATE: &str = include_str!("../../../../docs/integrations/keycloak.json");

/// The settings of an integration; without its secret, a placeholder stands for it.
pub fn draw(l: Locale, kind: Kind, url: &str, secret: Option<&str>) -> Markup {
    let guide = guide(kind);
    let placeholder = l.t(texts::PLACEHOLDER);
    let fill = |text: &str| {
        text.trim_end().replace("{url}", url).replace("{secret}", secret.unwrap_or(placeholder))
    };
    let rows = guide.settings.iter().map(|(name, value)| {
        let value = fill(value);
        let cell = html! {
            @if value.is_empty() { span.faint { (l.t(texts::EMPTY)) } }
            @else { span.copy-row { code { (value) } (copy_button(l)) } }
        };
        [html! { (name) }, cell]
    });
    html! {
        section.card {
            h2 { (l.t(texts::PASTE)) }
            p.lead { (l.t(guide.steps)) }
            @if !guide.settings.is_empty() {
                (table(l, texts::PASTE, [Head(texts::FIELD), Left(texts::VALUE)], rows))
            }
            @for (name, text) in guide.files {
                h3 { (l.t_with(texts::FILE, &[("name", name)])) }
                (code_block(l, &fill(text)))
            }
            @if secret.is_none() { p.hint { (l.t(texts::PLACEHOLDER_NOTE)) } }
            p.hint { (l.t(texts::ONE_RING)) }
        }
    }
}

/// A body as the auth server sends it.
pub fn sample_body(form: &HookBody, phone: &str, code: &str) -> Value {
    let digits = phone.trim_start_matches('+');
    match form.kind() {
        Kind::Supabase => json!({
            "user": { "id": "6481a5c1-3d37-4a56-9f6a-bee08c554965", "phone": digits },
            "sms": { "otp": code },
        }),
        Kind::Logto => json!({
            "to": digits, "type": "SignIn", "payload": { "code": code, "locale": "vi-VN" },
        }),
        Kind::Kratos => json!({ "to": phone, "code": code }),
        Kind::Zitadel => json!({
            "contextInfo": { "eventType": "session.otp.sms.challenged", "recipientPhoneNumber": phone },
            "args": { "oTP": code },
        }),
        Kind::Authentik => json!({ "From": "NEXO", "To": phone, "Body": code }),
        Kind::Keycloak => json!({ "phone": phone, "message": code }),
        Kind::Auth0 => json!({ "recipient": phone, "code": code, "locale": "vi" }),
        Kind::Custom => {
            let mut body = Value::Object(Map::new());
            if let Some((phone_at, code_at)) = form.pointers() {
                insert(&mut body, phone_at.as_str(), phone);
                insert(&mut body, code_at.as_str(), code);
            }
            body
        }
    }
}

/// Inserts a text where a JSON pointer leads, and the objects on the way. An index becomes a name, which the same pointer
/// finds.
fn insert(body: &mut Value, pointer: &str, text: &str) {
    let mut at = body;
    let mut steps = pointer.split('/').skip(1).peekable();
    while let Some(step) = steps.next() {
        let name = step.replace("~1", "/").replace("~0", "~");
        let Value::Object(members) = at else {
            return;
        };
        let next = match steps.peek() {
            Some(_) => Value::Object(Map::new()),
            None => Value::from(text),
        };
        at = members.entry(name).or_insert(next);
    }
}

#[cfg(test)]
mod tests {
    use nexo_domain::integration::Pointer;
    use nexo_domain::phone::carrier_plan::CarrierPlan;
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn a_sample_body_is_read_by_its_own_kind() {
        let pointer = |text| Pointer::parse(text).unwrap();
        let custom = [("/phone", "/code"), ("/user/phone", "/user/otp"), ("/a~1b/0", "/~0c")];
        let custom = custom.map(|(phone, code)| Some((pointer(phone), pointer(code))));
        let known = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Custom);
        let forms = known.map(|kind| (kind, None));
        for (kind, pointers) in forms.chain(custom.map(|pointers| (Kind::Custom, pointers))) {
            let form = HookBody::new(kind, pointers).unwrap();
            let body = to_raw_value(&sample_body(&form, "+84981234567", "482917")).unwrap();
            let read = form.read(&body, &CarrierPlan::vietnam());
            assert_eq!(read.phone.unwrap().to_string(), "+84981234567", "{kind} {body}");
            assert_eq!(read.code.unwrap().digits(), [4, 8, 2, 9, 1, 7], "{kind} {body}");
        }
    }

    #[test]
    fn the_pages_of_the_documentation_quote_the_files_that_are_pasted() {
        let pages = [
            ("supabase.toml", include_str!("../../../../docs/integrations/supabase.md")),
            ("supabase.env", include_str!("../../../../docs/integrations/supabase.md")),
            ("kratos.jsonnet", include_str!("../../../../docs/integrations/kratos.md")),
            ("kratos.yml", include_str!("../../../../docs/integrations/kratos.md")),
            ("auth0-action.js", include_str!("../../../../docs/integrations/auth0.md")),
            ("better-auth.mjs", include_str!("../../../../docs/integrations/better-auth.md")),
        ];
        let mut quoted: Vec<&str> = Vec::new();
        for (name, text) in Kind::ALL.into_iter().flat_map(|kind| guide(kind).files) {
            // The first line may be a comment about the file itself.
            let text = match text.starts_with("// ") {
                true => text.split_once('\n').unwrap().1,
                false => text,
            };
            let page = pages.iter().find(|(file, _)| file == name).unwrap().1;
            assert!(page.contains(text.trim_end()), "{name}");
            quoted.push(name);
        }
        assert_eq!(quoted.len(), pages.len());
        let keycloak = include_str!("../../../../docs/integrations/keycloak.md");
        assert!(keycloak.contains(KEYCLOAK_TEMPLATE.trim()));
    }

    #[test]
    fn every_setting_of_the_pages_is_in_the_documentation() {
        let pages = [
            (Kind::Logto, include_str!("../../../../docs/integrations/logto.md")),
            (Kind::Authentik, include_str!("../../../../docs/integrations/authentik.md")),
            (Kind::Keycloak, include_str!("../../../../docs/integrations/keycloak.md")),
            (Kind::Auth0, include_str!("../../../../docs/integrations/auth0.md")),
        ];
        for (kind, page) in pages {
            for (name, _) in guide(kind).settings {
                assert!(page.contains(name), "{kind}: {name}");
            }
        }
    }
}
