//! A challenge: the first byte says of which kind, the rest is the value of its header field. Whatever it
//! holds, the INVITE that answers it can be read.
#![no_main]

use std::sync::LazyLock;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use nexo_fuzz::Scene;
use nexo_voice::sip::message::message::Method;
use nexo_voice::sip::message::write::Draft;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, challenge)) = bytes.split_first() else {
        return;
    };
    let mut scene = Scene::start(*START);
    let (code, name) = match kind & 1 {
        0 => (401, "WWW-Authenticate"),
        _ => (407, "Proxy-Authenticate"),
    };
    let invite = scene.request().expect("the INVITE");
    // The second time, the challenge is one that the INVITE has already answered.
    for _ in 0..2 {
        let source = ([192, 0, 2, 9], 5062).into();
        let mut draft = Draft::answer(&invite, code, "gateway", source);
        draft.field(name, String::from_utf8_lossy(challenge));
        scene.receive(&draft.bytes());
    }
    while let Some(request) = scene.request() {
        if request.method() == Method::Invite {
            let answers = ["Authorization", "Proxy-Authorization"].map(|name| request.named(name));
            let answer = answers.into_iter().flatten().next();
            let answer = answer.expect("an INVITE is repeated only with an answer");
            assert!(answer.starts_with("Digest username=\"user\", realm=\""));
        }
    }
    scene.end();
});
