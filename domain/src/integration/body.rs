//! What a hook's body asks for: the phone, the code and the language, as the auth server writes them.

use serde_json::value::RawValue;
use thiserror::Error;
use zeroize::Zeroizing;

use super::kind::Kind;
use super::pointer::{Pointer, find};
use crate::otp::{Code, Language, MAX_DIGITS, MIN_DIGITS};
use crate::phone::carrier_plan::CarrierPlan;
use crate::phone::{Phone, PhoneError};

/// Where an integration's bodies have their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookBody {
    kind: Kind,
    /// Of a custom kind: the phone and the code.
    pointers: Option<(Pointer, Pointer)>,
}

/// A request to read a code to a phone.
#[derive(Debug)]
pub struct HookRequest {
    pub phone: Result<Phone, Option<PhoneError>>,
    pub code: Result<Code, HookCodeError>,
    /// The language of the person, if the body tells one that we speak.
    pub language: Option<Language>,
}

/// Why the body has no code that can be read aloud. It contains nothing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HookCodeError {
    #[error("The body has no code as a JSON string at {0}.")]
    Missing(&'static str),
    #[error("The body has no code as a JSON string at this integration's code pointer.")]
    MissingAtPointer,
    #[error(
        "The code contains letters, and a voice reads digits: set {0} to codes of 4 to 8 digits."
    )]
    Letters(&'static str),
    #[error("The code is not 4 to 8 digits 0-9: set {0} to codes of 4 to 8 digits.")]
    NotDigits(&'static str),
    #[error(
        "The message has not exactly one number of 4 to 8 digits: set Keycloak's message to the code alone \
         (smsAuthText=%1$s), and its codes to digits."
    )]
    NotOneNumber,
}

/// Where a kind's body has its values. The first text that is not empty counts.
struct Places {
    phone: &'static [&'static str],
    code: &'static [&'static str],
    /// The places of the code, for people.
    code_text: &'static str,
    locale: Option<&'static str>,
}

fn places(kind: Kind) -> Places {
    let (phone, code, code_text): (&[_], &[_], _) = match kind {
        Kind::Supabase => (&["/sms/phone", "/user/phone"], &["/sms/otp"], "sms.otp"),
        Kind::Logto => (&["/to"], &["/payload/code"], "payload.code"),
        Kind::Kratos => (&["/to"], &["/code"], "code"),
        Kind::Zitadel => (
            &["/contextInfo/recipientPhoneNumber"],
            &["/args/code", "/args/oTP"],
            "args.code or args.oTP",
        ),
        Kind::Authentik => (&["/To"], &["/Body"], "Body"),
        Kind::Keycloak => (&["/phone"], &["/message"], "message"),
        Kind::Auth0 => (&["/recipient"], &["/code"], "code"),
        Kind::Custom => (&[], &[], ""),
    };
    let locale = match kind {
        Kind::Logto => Some("/payload/locale"),
        Kind::Auth0 => Some("/locale"),
        _ => None,
    };
    Places { phone, code, code_text, locale }
}

impl HookBody {
    /// The body of a kind; `None` if the pointers are missing at a custom kind, or given at another.
    pub fn new(kind: Kind, pointers: Option<(Pointer, Pointer)>) -> Option<HookBody> {
        ((kind == Kind::Custom) == pointers.is_some()).then_some(HookBody { kind, pointers })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The pointers of a custom kind to the phone and the code.
    pub fn pointers(&self) -> Option<&(Pointer, Pointer)> {
        self.pointers.as_ref()
    }

    /// Reads a body, which must be valid JSON.
    pub fn read(&self, body: &RawValue, plan: &CarrierPlan) -> HookRequest {
        let places = places(self.kind);
        let (phone, code) = match &self.pointers {
            Some((phone, code)) => (text(phone.find(body)), text(code.find(body))),
            None => (first_text(body, places.phone), first_text(body, places.code)),
        };
        let locale = places.locale.and_then(|place| text(find(body, place)));
        HookRequest {
            phone: match phone {
                Some(phone) => Phone::parse_written(&phone, plan).map_err(Some),
                None => Err(None),
            },
            code: match code {
                Some(code) => self.code(&code),
                None if self.pointers.is_some() => Err(HookCodeError::MissingAtPointer),
                None => Err(HookCodeError::Missing(places.code_text)),
            },
            language: locale.and_then(|locale| Language::of_locale(&locale)),
        }
    }

    fn code(&self, text: &str) -> Result<Code, HookCodeError> {
        if self.kind == Kind::Keycloak {
            let number = only_number(text).ok_or(HookCodeError::NotOneNumber)?;
            return Code::parse(number).map_err(|_| HookCodeError::NotOneNumber);
        }
        Code::parse(text.trim()).map_err(|_| {
            let product = self.kind.product();
            match text.chars().any(char::is_alphabetic) {
                true => HookCodeError::Letters(product),
                false => HookCodeError::NotDigits(product),
            }
        })
    }
}

/// The first of the places with a text that is not empty.
fn first_text(body: &RawValue, places: &[&str]) -> Option<Zeroizing<String>> {
    let mut texts = places.iter().filter_map(|place| text(find(body, place)));
    texts.find(|text| !text.trim().is_empty())
}

/// The value, if it is a JSON string.
fn text(value: Option<&RawValue>) -> Option<Zeroizing<String>> {
    serde_json::from_str::<String>(value?.get()).ok().map(Zeroizing::new)
}

/// The only run of 4 to 8 digits in a message. Digits beside letters are part of another word, such as a code with
/// letters, of which a run would be only a part.
fn only_number(message: &str) -> Option<&str> {
    let mut words = message.split(|c: char| !c.is_alphanumeric()).filter(|word| {
        (MIN_DIGITS..=MAX_DIGITS).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
    });
    let only = words.next()?;
    words.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, body: &str) -> HookRequest {
        let pointers = (kind == Kind::Custom).then(|| {
            (Pointer::parse("/who/number").unwrap(), Pointer::parse("/data/0/pin").unwrap())
        });
        let body: &RawValue = serde_json::from_str(body).unwrap();
        HookBody::new(kind, pointers).unwrap().read(body, &CarrierPlan::vietnam())
    }

    fn digits(request: &HookRequest) -> Result<Vec<u8>, HookCodeError> {
        request.code.as_ref().map(|code| code.digits().to_vec()).map_err(|error| *error)
    }

    #[test]
    fn each_kind_has_its_values_where_its_server_writes_them() {
        for (kind, body, language) in [
            (
                Kind::Supabase,
                r#"{"user":{"phone":"84911111111"},"sms":{"otp":"482917","phone":"84981234567"}}"#,
                None,
            ),
            (
                Kind::Supabase,
                r#"{"user":{"id":"x","phone":"84981234567"},"sms":{"otp":"482917"}}"#,
                None,
            ),
            (
                Kind::Supabase,
                r#"{"user":{"phone":"84981234567"},"sms":{"otp":"482917","phone":""}}"#,
                None,
            ),
            (
                Kind::Logto,
                r#"{"to":"84981234567","type":"SignIn","payload":{"code":"482917","locale":"vi-VN"}}"#,
                Some(Language::Vi),
            ),
            (
                Kind::Logto,
                r#"{"to":"84981234567","type":"SignIn","payload":{"code":"482917"}}"#,
                None,
            ),
            (
                Kind::Kratos,
                r#"{"to":"+84 98 123 45 67","code":"482917","type":"login_code_valid"}"#,
                None,
            ),
            (
                Kind::Zitadel,
                r#"{"contextInfo":{"recipientPhoneNumber":"+84981234567"},"args":{"oTP":"482917"}}"#,
                None,
            ),
            (
                Kind::Zitadel,
                r#"{"contextInfo":{"recipientPhoneNumber":"+84981234567"},"args":{"code":"482917","oTP":""}}"#,
                None,
            ),
            (
                Kind::Zitadel,
                r#"{"contextInfo":{"recipientPhoneNumber":"+84981234567"},"args":{"code":"","oTP":"482917"}}"#,
                None,
            ),
            (Kind::Authentik, r#"{"From":"NEXO","To":"0981234567","Body":"482917"}"#, None),
            (Kind::Keycloak, r#"{"phone":"0981234567","message":"482917"}"#, None),
            (
                Kind::Keycloak,
                r#"{"phone":"0981234567","message":"Your code 482917 is valid for 5 minutes."}"#,
                None,
            ),
            (
                Kind::Auth0,
                r#"{"recipient":"+84981234567","code":"482917","locale":"en_US"}"#,
                Some(Language::En),
            ),
            (Kind::Auth0, r#"{"recipient":"+84981234567","code":"482917","locale":null}"#, None),
            (Kind::Custom, r#"{"who":{"number":"098-123-4567"},"data":[{"pin":"482917"}]}"#, None),
        ] {
            let request = read(kind, body);
            assert_eq!(request.phone.unwrap().to_string(), "+84981234567", "{body}");
            assert_eq!(request.code.unwrap().digits(), [4, 8, 2, 9, 1, 7], "{body}");
            assert_eq!(request.language, language, "{body}");
        }
    }

    #[test]
    fn a_missing_value_and_one_of_another_type_are_told_apart_from_a_wrong_one() {
        for kind in Kind::ALL {
            for body in [
                "{}",
                "[]",
                "null",
                r#"{"sms":1,"to":2,"phone":3,"payload":[],"args":null,"code":482917}"#,
            ] {
                let request = read(kind, body);
                assert_eq!(request.phone, Err(None), "{kind} {body}");
                let missing = matches!(
                    request.code,
                    Err(HookCodeError::Missing(_) | HookCodeError::MissingAtPointer)
                );
                assert!(missing, "{kind} {body}");
            }
        }
        let foreign = read(Kind::Logto, r#"{"to":"14155552671","payload":{"code":"482917"}}"#);
        assert_eq!(foreign.phone, Err(Some(PhoneError::NotVietnamese)));
    }

    #[test]
    fn a_code_with_letters_names_the_server_to_set_to_digits() {
        let body = |code: &str| {
            format!(
                r#"{{"contextInfo":{{"recipientPhoneNumber":"0981234567"}},"args":{{"code":"{code}"}}}}"#
            )
        };
        let letters = digits(&read(Kind::Zitadel, &body("A1B2C3"))).unwrap_err();
        assert_eq!(letters, HookCodeError::Letters("ZITADEL"));
        assert!(letters.to_string().contains("set ZITADEL to codes of 4 to 8 digits"));
        for code in ["123", "123456789", "12 34", "12-34-56"] {
            let error = digits(&read(Kind::Zitadel, &body(code))).unwrap_err();
            assert_eq!(error, HookCodeError::NotDigits("ZITADEL"), "{code}");
        }
    }

    #[test]
    fn a_message_has_a_code_only_if_it_has_one_number_of_that_length() {
        for (message, number) in [
            ("482917", Some("482917")),
            ("Your SMS code is 482917 and is valid for 5 minutes.", Some("482917")),
            ("G-482917.", Some("482917")),
            ("Mã của bạn: 4829 (hết hạn sau 5 phút)", Some("4829")),
            ("123 123456789 48291705", Some("48291705")),
            ("482917 or 482918", None),
            ("code A482917B", None),
            ("mã4829", None),
            ("A1B2C3", None),
            ("no code", None),
            ("123", None),
            ("", None),
            ("٤٨٢٩١٧", None),
        ] {
            assert_eq!(only_number(message), number, "{message}");
        }
    }

    #[test]
    fn only_a_custom_kind_has_pointers() {
        let pointer = || Pointer::parse("/a").unwrap();
        assert!(HookBody::new(Kind::Custom, None).is_none());
        assert!(HookBody::new(Kind::Logto, Some((pointer(), pointer()))).is_none());
        assert!(HookBody::new(Kind::Custom, Some((pointer(), pointer()))).is_some());
    }

    #[test]
    fn no_error_contains_a_part_of_the_body() {
        let request =
            read(Kind::Keycloak, r#"{"phone":"0981234567","message":"secret 1234 5678"}"#);
        let text = format!("{request:?}");
        for part in ["1234", "5678", "981234567", "secret"] {
            assert!(!text.replace("***4567", "").contains(part), "{text}");
        }
    }
}
