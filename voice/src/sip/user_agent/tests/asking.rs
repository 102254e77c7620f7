use super::*;
use crate::sip::user_agent::digest::Credentials;

const CHALLENGE: &str = "Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\"";

struct Question {
    ua: UserAgent,
    now: Instant,
    handle: CallHandle,
    sent: Request,
}

impl Question {
    fn ask(ask: Ask) -> Question {
        let mut ua = UserAgent::new("test", Timers::default(), 1);
        ua.set_peers([GATEWAY.into()].into());
        let now = Instant::now();
        let handle = ua.ask(
            now,
            Query {
                ask,
                call_id: "gateway@nexo".into(),
                cseq: 7,
                gateway: GATEWAY.into(),
                credentials: Some(Credentials::new("nexo", "s3cret", None).into()),
                local: LOCAL,
                request_uri: "sip:192.0.2.9:5060".into(),
                from_uri: "sip:nexo@192.0.2.9:5060".into(),
                to_uri: "sip:nexo@192.0.2.9:5060".into(),
                timeout: 4000 * MS,
            },
        );
        let sent = request_of(&ua.poll_transmit().unwrap().bytes);
        Question {
            ua,
            now,
            handle,
            sent,
        }
    }

    fn register() -> Question {
        Question::ask(Ask::Register {
            user: "nexo".into(),
            expires_seconds: 300,
        })
    }

    fn answer(&mut self, code: u16, fields: &[(&str, &str)]) {
        let mut draft = Draft::answer(&self.sent, code, "g", LOCAL);
        for (name, value) in fields {
            draft.field(name, value);
        }
        self.now += 40 * MS;
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
        if let Some(sent) = self.ua.poll_transmit() {
            self.sent = request_of(&sent.bytes);
        }
    }

    fn outcome(&mut self) -> Option<SipAnswer> {
        let (handle, answer) = self.ua.poll_answer()?;
        assert_eq!(handle, self.handle);
        assert_eq!(self.ua.next_deadline(), None, "nothing is left to be done");
        Some(answer)
    }
}

fn granted(answer: Option<SipAnswer>) -> Option<u32> {
    match answer {
        Some(SipAnswer::Answered {
            expires_seconds, ..
        }) => expires_seconds,
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_final_answer_to_options_says_that_somebody_is_there_and_how_far_away() {
    for code in [200, 404, 405, 503] {
        let mut question = Question::ask(Ask::Options);
        assert_eq!(question.sent.method(), Method::Options);
        assert_eq!(question.sent.to_tag(), None);
        question.answer(code, &[("Retry-After", "9")]);
        let Some(SipAnswer::Answered {
            code: told,
            round_trip,
            retry_after_seconds,
            expires_seconds: None,
            ..
        }) = question.outcome()
        else {
            panic!("no answer");
        };
        assert_eq!((told, round_trip), (code, 40 * MS));
        assert_eq!(retry_after_seconds, Some(9));
    }
}

#[test]
fn an_unanswered_question_is_repeated_and_given_up_in_its_time() {
    let mut question = Question::ask(Ask::Options);
    let start = question.now;
    let mut repeats = Vec::new();
    while let Some(at) = question.ua.next_deadline() {
        question.ua.tick(at);
        while let Some(sent) = question.ua.poll_transmit() {
            assert!(sent.is_repeat);
            repeats.push((at - start).as_millis());
        }
        question.now = at;
    }
    assert_eq!(repeats, [500, 1500, 3500]);
    assert_eq!(question.now, start + 4000 * MS);
    assert_eq!(question.outcome(), Some(SipAnswer::Silent { cseq: 7 }));
    question.answer(200, &[]);
    assert_eq!(question.outcome(), None, "too late");
    assert_eq!(question.ua.dropped().stray, 1);
}

#[test]
fn a_challenged_registration_is_authorized_once() {
    let mut question = Question::register();
    assert_eq!(question.sent.uri(), "sip:192.0.2.9:5060");
    assert_eq!(question.sent.contact(), Some("sip:nexo@192.0.2.1:5062"));
    assert_eq!(question.sent.named("Expires"), Some("300"));
    question.answer(401, &[("WWW-Authenticate", CHALLENGE)]);
    assert!(question.sent.named("Authorization").is_some());
    assert_eq!(question.sent.cseq(), 8);
    question.answer(401, &[("WWW-Authenticate", CHALLENGE)]);
    let Some(SipAnswer::Answered { code, cseq, .. }) = question.outcome() else {
        panic!("no answer");
    };
    assert_eq!(
        (code, cseq),
        (401, 8),
        "a wrong password is not tried again"
    );
}

#[test]
fn the_granted_time_is_that_of_our_own_contact() {
    let own = "<sip:nexo@192.0.2.1:5062>;expires=120";
    let other = "<sip:other@192.0.2.7>;expires=60";
    for (fields, seconds) in [
        (vec![("Contact", other), ("Contact", own)], 120),
        (vec![("Contact", "<sip:x@10.0.0.1>;q=1;expires=90")], 90),
        (
            vec![("Contact", "<sip:nexo@192.0.2.1:5062>"), ("Expires", "77")],
            77,
        ),
        (vec![], 300),
    ] {
        let mut question = Question::register();
        question.answer(200, &fields);
        assert_eq!(granted(question.outcome()), Some(seconds), "{fields:?}");
    }
}

#[test]
fn a_registrar_says_how_short_is_too_short() {
    let mut question = Question::register();
    question.answer(423, &[("Min-Expires", "1800")]);
    let Some(SipAnswer::Answered {
        code,
        min_expires_seconds,
        ..
    }) = question.outcome()
    else {
        panic!("no answer");
    };
    assert_eq!((code, min_expires_seconds), (423, Some(1800)));
}

#[test]
fn a_question_that_cannot_be_sent_says_so() {
    let mut question = Question::register();
    question.ua.transport_failed(question.now, question.handle);
    let failed = SipAnswer::TransportFailed { cseq: 7 };
    assert_eq!(question.outcome(), Some(failed));
}
