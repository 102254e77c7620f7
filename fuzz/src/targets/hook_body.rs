//! The body of a hook: the first byte selects the kind of integration, the rest is JSON.

use nexo_domain::integration::{HookBody, Kind, Pointer};
use nexo_domain::otp::{MAX_DIGITS, MIN_DIGITS};
use nexo_domain::phone::carrier_plan::CarrierPlan;
use serde_json::value::RawValue;

pub fn run(bytes: &[u8]) {
    let Some((selected, body)) = bytes.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(*selected) % Kind::ALL.len()];
    let Ok(text) = std::str::from_utf8(body) else {
        return;
    };
    let pointers = (kind == Kind::Custom).then(|| {
        let pointer = |text| Pointer::parse(text).expect("a pointer");
        (pointer("/user/phone"), pointer("/data/0/code"))
    });
    let form = HookBody::new(kind, pointers).expect("pointers for the custom kind only");
    if let Ok(document) = serde_json::from_str::<&RawValue>(text) {
        let plan = CarrierPlan::vietnam();
        let read = form.read(document, &plan);
        if let Ok(phone) = read.phone {
            assert!(phone.carrier(&plan).is_some());
        }
        if let Ok(code) = &read.code {
            assert!((MIN_DIGITS..=MAX_DIGITS).contains(&code.digits().len()));
            // The digits stand in the body, one after the other or as JSON escapes.
            let digits: String =
                code.digits().iter().map(|digit| char::from(b'0' + digit)).collect();
            assert!(text.contains(&digits) || text.contains('\\'));
        }
    }
    // Any line of the body may be a pointer.
    if let (Some(line), Ok(document)) =
        (text.lines().next(), serde_json::from_str::<&RawValue>(text))
        && let Ok(pointer) = Pointer::parse(line)
        && let Some(found) = pointer.find(document)
    {
        assert!(text.contains(found.get()));
    }
}
