use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::sip::header::Name;
use crate::sip::message::Response;

const GATEWAY: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 5060);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5062);
const MS: Duration = Duration::from_millis(1);

/// A user agent with one call, a far end that says what it is told, and a clock that is moved.
struct Scene {
    ua: UserAgent,
    call: CallHandle,
    now: Instant,
    invite: Request,
}

fn request_of(bytes: &[u8]) -> Request {
    match Message::parse(bytes).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

fn invite() -> Invite {
    Invite {
        call_id: "8f2e1c4d-1@nexo".into(),
        gateway: GATEWAY,
        local: LOCAL,
        request_uri: "sip:+84981234567@192.0.2.9:5060".into(),
        from_uri: "sip:+842471234567@192.0.2.1".into(),
        to_uri: "sip:+84981234567@192.0.2.9".into(),
        sdp: b"v=0\r\n".to_vec(),
        gateway_timeout: 2000 * MS,
    }
}

impl Scene {
    fn new() -> Scene {
        let mut ua = UserAgent::new("test", Timers::default(), 1);
        ua.set_peers([GATEWAY].into());
        let now = Instant::now();
        let call = ua.invite(now, invite());
        let sent = ua.poll_transmit().unwrap();
        assert_eq!(sent.to, GATEWAY);
        Scene {
            ua,
            call,
            now,
            invite: request_of(&sent.bytes),
        }
    }

    /// The gateway answers the INVITE.
    fn answer(&mut self, code: u16, tag: &str) {
        let mut draft = Draft::answer(&self.invite, code, tag, LOCAL);
        draft.field("Contact", "<sip:b@192.0.2.9:5070>");
        let bytes = draft.bytes();
        self.ua.receive(self.now, GATEWAY, &bytes);
    }

    /// The gateway answers some other request of ours.
    fn answer_to(&mut self, request: &Request, code: u16) {
        let bytes = Draft::answer(request, code, "b", LOCAL).bytes();
        self.ua.receive(self.now, GATEWAY, &bytes);
    }

    /// The far end asks something in the dialog with this tag of its own.
    fn ask(&mut self, method: &str, tag: &str) {
        let to_tag = self.invite.from_tag().unwrap();
        let text = format!(
            "{method} sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKfar\r\n\
             From: <sip:b@192.0.2.9>;tag={tag}\r\nTo: <sip:a@192.0.2.1>;tag={to_tag}\r\n\
             Call-ID: 8f2e1c4d-1@nexo\r\nCSeq: 9 {method}\r\n\r\n"
        );
        self.ua.receive(self.now, GATEWAY, text.as_bytes());
    }

    fn sent(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.ua.poll_transmit())
            .map(|t| request_of(&t.bytes))
            .collect()
    }

    fn sent_methods(&mut self) -> Vec<Method> {
        self.sent().iter().map(Request::method).collect()
    }

    fn sent_code(&mut self) -> Option<u16> {
        let sent = self.ua.poll_transmit()?;
        match Message::parse(&sent.bytes).unwrap() {
            Message::Response(response) => Some(response.code()),
            Message::Request(_) => panic!("a request"),
        }
    }

    fn events(&mut self) -> Vec<SipEvent> {
        std::iter::from_fn(|| self.ua.poll_event())
            .map(|(call, event)| {
                assert_eq!(call, self.call);
                event
            })
            .collect()
    }

    /// Moves the clock to each deadline up to `until` after now; gives what was sent, and when.
    fn walk(&mut self, until: Duration) -> Vec<(u128, Method)> {
        let (start, end) = (self.now, self.now + until);
        let mut sent = Vec::new();
        while let Some(at) = self.ua.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.ua.tick(self.now);
            let when = (self.now - start).as_millis();
            sent.extend(self.sent_methods().into_iter().map(|m| (when, m)));
        }
        self.now = end;
        sent
    }

    fn answered() -> Scene {
        let mut scene = Scene::new();
        scene.answer(180, "b");
        scene.answer(200, "b");
        assert_eq!(scene.sent_methods(), [Method::Ack]);
        scene.events();
        scene
    }
}

#[test]
fn an_unanswered_invite_is_repeated_and_told_to_be_silent_once() {
    let mut scene = Scene::new();
    let again = scene.walk(40_000 * MS);
    assert_eq!(again, [(500, Method::Invite), (1500, Method::Invite)]);
    assert_eq!(scene.events(), [SipEvent::Silent]);
    assert_eq!(scene.ua.legs(), 0, "nothing is kept");
}

#[test]
fn a_provisional_stops_the_repetition_and_each_is_told() {
    let mut scene = Scene::new();
    scene.answer(100, "");
    scene.answer(180, "b");
    assert_eq!(scene.walk(20_000 * MS), []);
    assert_eq!(
        scene.events(),
        [
            SipEvent::Provisional { code: 100 },
            SipEvent::Provisional { code: 180 }
        ]
    );
}

#[test]
fn an_answer_is_acknowledged_on_a_branch_of_its_own_at_the_contact() {
    let mut scene = Scene::new();
    scene.answer(200, "b");
    let ack = scene.ua.poll_transmit().unwrap();
    assert_eq!(ack.to, SocketAddr::new(GATEWAY.ip(), 5070));
    let ack = request_of(&ack.bytes);
    assert_eq!(ack.uri(), "sip:b@192.0.2.9:5070");
    assert_eq!(
        (ack.method(), ack.cseq()),
        (Method::Ack, scene.invite.cseq())
    );
    assert_ne!(
        ack.via().unwrap().branch(),
        scene.invite.via().unwrap().branch()
    );
    assert_eq!(ack.to_tag(), Some("b"));
}

#[test]
fn a_repeated_answer_is_acknowledged_again_with_the_same_bytes_and_not_told_again() {
    let mut scene = Scene::new();
    scene.answer(200, "b");
    let first = scene.ua.poll_transmit().unwrap().bytes;
    scene.events();
    scene.now += 4000 * MS;
    scene.answer(200, "b");
    assert_eq!(scene.ua.poll_transmit().unwrap().bytes, first);
    assert_eq!(scene.events(), []);
}

#[test]
fn a_forked_second_answer_is_acknowledged_and_hung_up() {
    let mut scene = Scene::answered();
    scene.answer(200, "fork");
    let sent = scene.sent();
    let methods: Vec<_> = sent.iter().map(Request::method).collect();
    assert_eq!(methods, [Method::Ack, Method::Bye]);
    assert!(sent.iter().all(|r| r.to_tag() == Some("fork")));
    assert_eq!(scene.events(), []);
    // The fork's own BYE leaves the call alone.
    scene.ask("BYE", "fork");
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.events(), []);
    scene.ask("BYE", "b");
    assert_eq!(scene.events(), [SipEvent::RemoteHungUp]);
}

#[test]
fn a_failure_is_acknowledged_on_the_invites_branch_each_time_and_told_once() {
    let mut scene = Scene::new();
    scene.answer(486, "b");
    scene.answer(486, "b");
    let sent = scene.sent();
    assert_eq!(sent.len(), 2);
    for ack in sent {
        assert_eq!(ack.method(), Method::Ack);
        assert_eq!(
            ack.via().unwrap().branch(),
            scene.invite.via().unwrap().branch()
        );
        assert_eq!(ack.uri(), scene.invite.uri());
        assert_eq!(ack.to_tag(), Some("b"));
    }
    let rejected = SipEvent::Rejected {
        code: 486,
        retry_after_seconds: None,
    };
    assert_eq!(scene.events(), [rejected]);
    scene.walk(33_000 * MS);
    assert_eq!(scene.ua.legs(), 0);
}

#[test]
fn a_cancel_waits_for_a_provisional_and_takes_the_invites_branch() {
    let mut scene = Scene::new();
    scene.ua.cancel(scene.now, scene.call);
    assert_eq!(
        scene.walk(1000 * MS),
        [],
        "nothing to cancel yet, nothing sent again"
    );
    scene.answer(180, "b");
    let sent = scene.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].method(), Method::Cancel);
    assert_eq!(
        sent[0].via().unwrap().branch(),
        scene.invite.via().unwrap().branch()
    );
    assert_eq!(sent[0].cseq(), scene.invite.cseq());
    assert_eq!(sent[0].to_tag(), None);
    scene.answer_to(&sent[0], 200);
    scene.answer(487, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack]);
    assert_eq!(scene.events(), [], "whoever cancelled knows");
    scene.walk(40_000 * MS);
    assert_eq!(scene.ua.legs(), 0);
}

#[test]
fn an_answer_that_races_the_cancel_is_hung_up() {
    let mut scene = Scene::new();
    scene.answer(180, "b");
    scene.ua.cancel(scene.now, scene.call);
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.answer(200, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack, Method::Bye]);
    assert_eq!(
        scene.events(),
        [SipEvent::Provisional { code: 180 }],
        "no answer is told"
    );
}

#[test]
fn a_gateway_that_wakes_up_after_its_time_is_cancelled_or_hung_up() {
    let mut scene = Scene::new();
    scene.walk(2500 * MS);
    assert_eq!(scene.events(), [SipEvent::Silent]);
    scene.answer(180, "b");
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.answer(200, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack, Method::Bye]);
    assert_eq!(scene.events(), []);
}

#[test]
fn a_lost_cancel_is_sent_again_after_t1() {
    let mut scene = Scene::new();
    scene.answer(180, "b");
    scene.ua.cancel(scene.now, scene.call);
    scene.sent();
    assert_eq!(
        scene.walk(1600 * MS),
        [(500, Method::Cancel), (1500, Method::Cancel)]
    );
}

#[test]
fn a_lost_bye_is_sent_again_after_t1_until_it_is_answered() {
    let mut scene = Scene::answered();
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().remove(0);
    assert_eq!((bye.method(), bye.cseq()), (Method::Bye, 2));
    assert_eq!(scene.walk(600 * MS), [(500, Method::Bye)]);
    scene.answer_to(&bye, 200);
    assert_eq!(scene.walk(60_000 * MS), []);
    assert_eq!(scene.ua.legs(), 0);
    assert_eq!(scene.events(), []);
}

#[test]
fn byes_that_cross_are_both_answered_and_nobody_is_told_of_a_hang_up() {
    let mut scene = Scene::answered();
    scene.ua.hang_up(scene.now, scene.call);
    scene.sent();
    scene.ask("BYE", "b");
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.events(), []);
}

#[test]
fn a_repeated_bye_of_the_far_end_is_answered_again() {
    let mut scene = Scene::answered();
    scene.ask("BYE", "b");
    scene.ask("BYE", "b");
    assert_eq!(
        (scene.sent_code(), scene.sent_code()),
        (Some(200), Some(200))
    );
    assert_eq!(scene.events(), [SipEvent::RemoteHungUp]);
    scene.walk(70_000 * MS);
    assert_eq!(scene.ua.legs(), 0);
}

#[test]
fn a_re_invite_in_mid_call_is_answered_with_what_was_agreed() {
    let mut scene = Scene::answered();
    scene.ask("INVITE", "b");
    let bytes = scene.ua.poll_transmit().unwrap().bytes;
    let Message::Response(answer) = Message::parse(&bytes).unwrap() else {
        panic!("a request");
    };
    assert_eq!((answer.code(), answer.body()), (200, &b"v=0\r\n"[..]));
    assert_eq!(answer.contact(), Some("sip:nexo@192.0.2.1:5062"));
    assert_eq!(scene.events(), []);
}

#[test]
fn early_media_without_a_tag_is_a_provisional_and_no_dialog() {
    let mut scene = Scene::new();
    scene.answer(183, "");
    assert_eq!(scene.events(), [SipEvent::Provisional { code: 183 }]);
    assert_eq!(scene.sent_methods(), []);
}

#[test]
fn a_redirection_is_a_rejection_and_is_not_followed() {
    let mut scene = Scene::new();
    scene.answer(302, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack]);
    let rejected = SipEvent::Rejected {
        code: 302,
        retry_after_seconds: None,
    };
    assert_eq!(scene.events(), [rejected]);
}

#[test]
fn a_throttling_gateway_says_when_to_come_back() {
    let mut scene = Scene::new();
    let mut draft = Draft::answer(&scene.invite, 503, "b", LOCAL);
    draft.field("Retry-After", "17 (busy);duration=60");
    scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
    let rejected = SipEvent::Rejected {
        code: 503,
        retry_after_seconds: Some(17),
    };
    assert_eq!(scene.events(), [rejected]);
}

#[test]
fn who_is_no_gateway_gets_no_answer_and_is_counted() {
    let mut scene = Scene::new();
    let stranger: SocketAddr = ([203, 0, 113, 66], 5060).into();
    let answer = Draft::answer(&scene.invite, 200, "b", LOCAL).bytes();
    scene.ua.receive(scene.now, stranger, &answer);
    let options = b"OPTIONS sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=1\r\nFrom: <sip:x@y>;tag=f\r\nTo: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 3 OPTIONS\r\n\r\n";
    scene.ua.receive(scene.now, stranger, options);
    assert!(scene.ua.poll_transmit().is_none());
    assert_eq!(scene.events(), []);
    assert_eq!(scene.ua.dropped().foreign, 2);
}

#[test]
fn a_gateway_that_calls_us_or_asks_after_unknown_dialogs_is_refused() {
    for (method, to, code) in [
        ("INVITE", "<sip:a@h>", Some(405)),
        ("REGISTER", "<sip:a@h>", Some(405)),
        ("REFER", "<sip:a@h>", Some(405)),
        ("OPTIONS", "<sip:a@h>", Some(200)),
        ("BYE", "<sip:a@h>;tag=x", Some(481)),
        ("INVITE", "<sip:a@h>;tag=x", Some(481)),
        ("CANCEL", "<sip:a@h>", Some(481)),
        ("ACK", "<sip:a@h>;tag=x", None),
    ] {
        let mut scene = Scene::new();
        let text = format!(
            "{method} sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=1\r\nFrom: <sip:x@y>;tag=f\r\n\
             To: {to}\r\nCall-ID: other\r\nCSeq: 3 {method}\r\n\r\n"
        );
        scene.ua.receive(scene.now, GATEWAY, text.as_bytes());
        assert_eq!(scene.sent_code(), code, "{method} {to}");
    }
}

#[test]
fn an_answer_on_another_branch_is_nobodys() {
    let mut scene = Scene::new();
    let branch = scene.invite.via().unwrap().branch().unwrap().to_owned();
    let text = String::from_utf8(Draft::answer(&scene.invite, 200, "b", LOCAL).bytes()).unwrap();
    let text = text.replace(&branch, "z9hG4bKother");
    scene.ua.receive(scene.now, GATEWAY, text.as_bytes());
    assert_eq!(scene.events(), []);
    assert_eq!(scene.ua.dropped().stray, 1);
}

#[test]
fn a_finished_call_keeps_less_than_four_kilobytes_and_in_the_end_nothing() {
    let mut scene = Scene::answered();
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().remove(0);
    scene.answer_to(&bye, 200);
    let held = scene.ua.bytes_held();
    assert!(held < 4096, "{held} bytes");
    scene.walk(40_000 * MS);
    assert_eq!((scene.ua.legs(), scene.ua.bytes_held()), (0, 0));
}

/// A network that loses, repeats, delays and reorders, and a callee that follows the RFC.
struct Storm {
    random: StdRng,
    loss: f64,
    flying: BinaryHeap<Reverse<(Instant, u64, bool, Vec<u8>)>>,
    sent: u64,
}

impl Storm {
    fn throw(&mut self, now: Instant, to_callee: bool, bytes: &[u8]) {
        let copies = 1 + u32::from(self.random.random_bool(0.1));
        for _ in 0..copies {
            if self.random.random_bool(self.loss) {
                continue;
            }
            self.sent += 1;
            let delay = Duration::from_millis(self.random.random_range(1..300));
            self.flying
                .push(Reverse((now + delay, self.sent, to_callee, bytes.to_vec())));
        }
    }
}

/// The far end of one storm: a UAS with retransmission of its final answers until ACK.
#[derive(Default)]
struct FarEnd {
    invite: Option<Request>,
    /// The final answer that is repeated, when next, and how long to wait after that.
    repeating: Option<(Vec<u8>, Instant, Duration)>,
    answered: bool,
    answer_due: Option<Instant>,
    acked: bool,
    hung_up: bool,
    stop_repeating: Option<Instant>,
}

#[test]
fn whatever_the_network_does_every_call_ends_and_every_dialog_is_closed() {
    for seed in 0..600 {
        storm(seed);
    }
}

fn storm(seed: u64) {
    let start = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let loss = [0.0, 0.05, 0.2, 0.4][(seed % 4) as usize];
    let code: u16 = [200, 200, 486, 503][(seed / 4 % 4) as usize];
    let cancel_at =
        (seed % 3 == 0).then(|| start + Duration::from_millis(random.random_range(0..3000)));
    let mut hang_up_at = None;
    let answer_after = Duration::from_millis(random.random_range(0..2000));
    let mut net = Storm {
        random,
        loss,
        flying: BinaryHeap::new(),
        sent: 0,
    };
    let mut far = FarEnd::default();
    let mut ua = UserAgent::new("test", Timers::default(), seed);
    ua.set_peers([GATEWAY].into());
    let call = ua.invite(
        start,
        Invite {
            gateway_timeout: 4000 * MS,
            ..invite()
        },
    );
    let (mut now, mut ended, mut cancelled) = (start, 0, false);
    let mut answered = false;
    for _ in 0..10_000 {
        while let Some(sent) = ua.poll_transmit() {
            net.throw(now, true, &sent.bytes);
        }
        while let Some((_, event)) = ua.poll_event() {
            match event {
                SipEvent::Provisional { .. } => {}
                SipEvent::Answered { .. } => {
                    assert!(!answered && !cancelled, "seed {seed}");
                    answered = true;
                    hang_up_at = Some(now + 1000 * MS);
                }
                SipEvent::Rejected { .. }
                | SipEvent::Silent
                | SipEvent::RemoteHungUp
                | SipEvent::TransportFailed => ended += 1,
            }
        }
        let next = [
            ua.next_deadline(),
            net.flying.peek().map(|Reverse((at, ..))| *at),
            far.answer_due,
            far.repeating.as_ref().map(|(_, at, _)| *at),
            cancel_at.filter(|_| !cancelled),
            hang_up_at,
        ];
        let Some(next) = next.into_iter().flatten().min() else {
            break;
        };
        now = next.max(now);
        if cancel_at.is_some_and(|at| at <= now) && !cancelled {
            cancelled = true;
            if !answered {
                ended += usize::from(ended == 0);
                ua.cancel(now, call);
            }
        }
        if hang_up_at.is_some_and(|at| at <= now) {
            hang_up_at = None;
            ended += 1;
            ua.hang_up(now, call);
        }
        ua.tick(now);
        while let Some(Reverse((at, _, to_callee, bytes))) = net.flying.peek().cloned() {
            if at > now {
                break;
            }
            net.flying.pop();
            match to_callee {
                true => far.receive(now, &bytes, &mut net, answer_after),
                false => ua.receive(now, GATEWAY, &bytes),
            }
        }
        far.tick(now, code, &mut net);
    }
    assert_eq!(ua.legs(), 0, "seed {seed}: nothing is left");
    assert_eq!(ended, 1, "seed {seed}: the call ends once");
    assert!(now - start < Duration::from_secs(150), "seed {seed}");
    // With 40% loss even eleven BYEs may all be lost; below that each opened dialog is closed.
    if far.answered && far.acked && loss < 0.4 {
        assert!(far.hung_up, "seed {seed}: the dialog is closed");
    }
}

impl FarEnd {
    fn receive(&mut self, now: Instant, bytes: &[u8], net: &mut Storm, answer_after: Duration) {
        let request = request_of(bytes);
        let reply = |code: u16| {
            let mut draft = Draft::answer(&request, code, "far", LOCAL);
            draft.field("Contact", "<sip:b@192.0.2.9:5060>");
            draft.bytes()
        };
        match request.method() {
            Method::Invite => {
                if self.invite.is_none() {
                    self.answer_due = Some(now + answer_after);
                    self.invite = Some(request.clone());
                }
                if !self.answered {
                    net.throw(now, false, &reply(180));
                }
            }
            Method::Ack => {
                self.acked = true;
                self.repeating = None;
            }
            Method::Cancel => {
                net.throw(
                    now,
                    false,
                    &reply(if self.invite.is_some() { 200 } else { 481 }),
                );
                if !self.answered && self.invite.is_some() {
                    self.answer_due = None;
                    self.finally(now, 487, net);
                }
            }
            Method::Bye => {
                self.hung_up = true;
                self.repeating = None;
                net.throw(now, false, &reply(200));
            }
            other => panic!("{other:?}"),
        }
    }

    fn finally(&mut self, now: Instant, code: u16, net: &mut Storm) {
        let invite = self.invite.as_ref().unwrap();
        let mut draft = Draft::answer(invite, code, "far", LOCAL);
        draft.field("Contact", "<sip:b@192.0.2.9:5060>");
        net.throw(now, false, &draft.bytes());
        // Only a 2xx opens a dialog.
        self.answered = code == 200;
        self.repeating = Some((draft.bytes(), now + 500 * MS, 1000 * MS));
        self.stop_repeating = Some(now + 32_000 * MS);
    }

    fn tick(&mut self, now: Instant, code: u16, net: &mut Storm) {
        if self.answer_due.is_some_and(|at| at <= now) {
            self.answer_due = None;
            self.finally(now, code, net);
        }
        if self.stop_repeating.is_some_and(|at| at <= now) {
            self.repeating = None;
        }
        if let Some((bytes, at, wait)) = &mut self.repeating
            && *at <= now
        {
            net.throw(now, false, bytes);
            *at = now + *wait;
            *wait = (*wait * 2).min(4000 * MS);
        }
    }
}

#[test]
fn what_is_answered_carries_the_requests_via() {
    let mut scene = Scene::answered();
    scene.ask("BYE", "b");
    let sent = scene.ua.poll_transmit().unwrap();
    assert_eq!(sent.to, GATEWAY);
    let response: Response = match Message::parse(&sent.bytes).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    };
    assert!(
        response
            .value(Name::Via)
            .unwrap()
            .contains("branch=z9hG4bKfar")
    );
}

#[test]
fn a_fork_beyond_the_remembered_ones_is_hung_up_too() {
    let mut scene = Scene::answered();
    for fork in 0..20 {
        scene.answer(200, &format!("fork{fork}"));
        assert_eq!(
            scene.sent_methods(),
            [Method::Ack, Method::Bye],
            "fork {fork}"
        );
    }
}

#[test]
fn the_487_after_a_late_cancel_is_acknowledged() {
    let mut scene = Scene::new();
    scene.walk(31_000 * MS);
    scene.answer(180, "b");
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.walk(1500 * MS);
    scene.answer(487, "b");
    assert_eq!(scene.sent_methods(), [Method::Ack]);
}

#[test]
fn a_cancel_that_the_answer_overtook_hangs_up() {
    let mut scene = Scene::answered();
    scene.ua.cancel(scene.now, scene.call);
    assert_eq!(scene.sent_methods(), [Method::Bye]);
}

impl Scene {
    /// Hands the user agent a request of the gateway, in the dialog with tag `b`.
    fn ask_in_dialog(&mut self, method: &str, cseq: u32, fields: &str, body: &str) {
        let to_tag = self.invite.from_tag().unwrap();
        let text = format!(
            "{method} sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK{cseq}\r\n\
             From: <sip:b@192.0.2.9>;tag=b\r\nTo: <sip:a@192.0.2.1>;tag={to_tag}\r\n\
             Call-ID: 8f2e1c4d-1@nexo\r\nCSeq: {cseq} {method}\r\n{fields}\r\n{body}"
        );
        self.ua.receive(self.now, GATEWAY, text.as_bytes());
    }

    fn answer_with(&mut self, code: u16, tag: &str, body: &str) {
        let mut draft = Draft::answer(&self.invite, code, tag, LOCAL);
        if !body.is_empty() {
            draft.body("application/sdp", body.into());
        }
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }
}

#[test]
fn a_repeated_provisional_is_told_once_and_a_changed_one_again() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.answer(180, "b");
        scene.answer(100, "");
    }
    scene.answer_with(183, "b", "v=0");
    scene.answer_with(183, "b", "v=1");
    let codes = scene.events().into_iter().map(|event| match event {
        SipEvent::Provisional { code } => code,
        other => panic!("{other:?}"),
    });
    assert_eq!(codes.collect::<Vec<_>>(), [180, 100, 183, 183]);
}

#[test]
fn an_answer_without_a_description_takes_that_of_its_early_media() {
    for (early_tag, told) in [("b", "v=early"), ("other", "")] {
        let mut scene = Scene::new();
        scene.answer_with(183, early_tag, "v=early");
        scene.answer_with(200, "b", "");
        let answered = SipEvent::Answered {
            code: 200,
            sdp: told.into(),
        };
        assert_eq!(scene.events()[1], answered, "{early_tag}");
    }
    let mut scene = Scene::new();
    scene.answer_with(183, "b", "v=early");
    scene.answer_with(200, "b", "v=own");
    let own = SipEvent::Answered {
        code: 200,
        sdp: "v=own".into(),
    };
    assert_eq!(scene.events()[1], own, "it may differ in 200");
}

#[test]
fn a_re_invite_that_moves_the_far_end_moves_where_our_bye_goes() {
    let mut scene = Scene::answered();
    scene.ask_in_dialog("INVITE", 9, "Contact: <sip:moved@192.0.2.77:5099>\r\n", "");
    assert_eq!(scene.sent_code(), Some(200));
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.ua.poll_transmit().unwrap();
    assert_eq!(bye.to, "192.0.2.77:5099".parse().unwrap());
    let bye = request_of(&bye.bytes);
    assert_eq!(bye.uri(), "sip:moved@192.0.2.77:5099");
}

#[test]
fn a_re_invite_is_judged_by_what_it_asks() {
    let audio = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\n";
    let hold = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 8\r\n";
    let video = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=video 4000 RTP/AVP 96\r\n";
    for (method, fields, body, code) in [
        ("INVITE", "", audio, 200),
        ("INVITE", "", hold, 200),
        ("INVITE", "", "", 200),
        ("INVITE", "", video, 488),
        ("UPDATE", "", "", 200),
        ("UPDATE", "", video, 488),
        ("INVITE", "Require: 100rel\r\n", audio, 420),
        ("INFO", "", "", 200),
        ("OPTIONS", "", "", 200),
        ("PRACK", "", "", 481),
        ("REFER", "", "", 405),
    ] {
        let mut scene = Scene::answered();
        scene.ask_in_dialog(method, 9, fields, body);
        assert_eq!(scene.sent_code(), Some(code), "{method} {fields} {body}");
        assert_eq!(scene.events(), [], "the call goes on");
    }
}

#[test]
fn what_the_far_end_asks_out_of_order_is_refused_but_a_bye_ends_the_call() {
    let mut scene = Scene::answered();
    scene.ask_in_dialog("INVITE", 9, "", "");
    scene.ask_in_dialog("INVITE", 9, "", "");
    scene.ask_in_dialog("UPDATE", 8, "", "");
    let codes = [scene.sent_code(), scene.sent_code(), scene.sent_code()];
    assert_eq!(codes, [Some(200), Some(200), Some(500)]);
    scene.ask_in_dialog("BYE", 3, "", "");
    assert_eq!(scene.sent_code(), Some(200));
    assert_eq!(scene.events(), [SipEvent::RemoteHungUp]);
    scene.ask_in_dialog("INVITE", 10, "", "");
    assert_eq!(scene.sent_code(), Some(481), "there is no call any more");
}

#[test]
fn a_refusal_that_is_asked_for_again_is_the_same_refusal() {
    let mut scene = Scene::new();
    let invite = b"INVITE sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=1\r\nFrom: <sip:x@y>;tag=f\r\n\
        To: <sip:a@h>\r\nCall-ID: other\r\nCSeq: 3 INVITE\r\n\r\n";
    scene.ua.receive(scene.now, GATEWAY, invite);
    scene.ua.receive(scene.now, GATEWAY, invite);
    let first = scene.ua.poll_transmit().unwrap();
    let again = scene.ua.poll_transmit().unwrap();
    assert_eq!(first.bytes, again.bytes, "RFC 3261 §8.2.7: the same tag");
    let Message::Response(refusal) = Message::parse(&first.bytes).unwrap() else {
        panic!("a request");
    };
    assert!(refusal.to_tag().is_some());
    assert!(!refusal.value(Name::Allow).unwrap().contains("INVITE"));
}

#[test]
fn a_gateway_seen_through_a_socket_for_both_families_is_the_same_gateway() {
    let mut scene = Scene::new();
    let mapped = SocketAddr::new("::ffff:192.0.2.9".parse().unwrap(), 5060);
    let options = b"OPTIONS sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=1\r\nFrom: <sip:x@y>;tag=f\r\n\
        To: <sip:a@h>\r\nCall-ID: c\r\nCSeq: 3 OPTIONS\r\n\r\n";
    scene.ua.receive(scene.now, mapped, options);
    let answer = scene.ua.poll_transmit().expect("it is a peer");
    assert_eq!(answer.to, mapped);
}

#[test]
fn a_keep_alive_is_no_garbage() {
    let mut scene = Scene::new();
    scene.ua.receive(scene.now, GATEWAY, b"\r\n\r\n");
    assert_eq!(scene.ua.dropped(), Dropped::default());
    scene.ua.receive(scene.now, GATEWAY, b"hello");
    assert_eq!(scene.ua.dropped().garbage, 1);
}

#[test]
fn what_is_sent_says_what_it_is_and_whether_it_is_said_again() {
    let mut ua = UserAgent::new("test", Timers::default(), 1);
    let now = Instant::now();
    ua.invite(now, invite());
    ua.tick(now + 500 * MS);
    let sent: Vec<_> = std::iter::from_fn(|| ua.poll_transmit())
        .map(|sent| (sent.kind, sent.is_repeat))
        .collect();
    let invite = Kind::Request(Method::Invite);
    assert_eq!(sent, [(invite, false), (invite, true)]);
    let mut scene = Scene::answered();
    scene.answer(200, "b");
    let ack = scene.ua.poll_transmit().unwrap();
    assert_eq!(
        (ack.kind, ack.is_repeat),
        (Kind::Request(Method::Ack), true)
    );
    scene.ask("BYE", "b");
    let answer = scene.ua.poll_transmit().unwrap();
    assert_eq!(
        (answer.kind, answer.is_repeat),
        (Kind::Response(200), false)
    );
}

#[test]
fn a_call_is_settled_when_the_far_end_knows_that_it_is_over() {
    let mut scene = Scene::answered();
    assert_eq!(scene.ua.unsettled(), 1, "it is up");
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.sent().remove(0);
    assert_eq!(scene.ua.unsettled(), 1, "the BYE is not answered");
    scene.answer_to(&bye, 200);
    assert_eq!((scene.ua.unsettled(), scene.ua.legs()), (0, 1));

    let mut scene = Scene::new();
    scene.answer(180, "b");
    scene.ua.cancel(scene.now, scene.call);
    let cancel = scene.sent().remove(0);
    scene.answer_to(&cancel, 200);
    assert_eq!(scene.ua.unsettled(), 1, "a 2xx may still come");
    scene.answer(487, "b");
    assert_eq!(scene.ua.unsettled(), 0);
}

#[test]
fn an_answer_without_a_contact_is_acknowledged_at_the_invites_own_target() {
    let mut scene = Scene::new();
    scene.answer_with(200, "b", "");
    let ack = scene.ua.poll_transmit().unwrap();
    assert_eq!(ack.to, GATEWAY);
    assert_eq!(request_of(&ack.bytes).uri(), scene.invite.uri());
}

#[test]
fn an_invite_that_could_not_be_sent_is_told_once_and_a_late_life_sign_cancelled() {
    let mut scene = Scene::new();
    scene.ua.transport_failed(scene.now, scene.call);
    scene.ua.transport_failed(scene.now, scene.call);
    assert_eq!(scene.events(), [SipEvent::TransportFailed]);
    assert_eq!(scene.walk(1000 * MS), [], "it is not sent again");
    scene.answer(180, "b");
    assert_eq!(scene.sent_methods(), [Method::Cancel]);
    scene.walk(90_000 * MS);
    assert_eq!((scene.events(), scene.ua.legs()), (vec![], 0));
}

#[test]
fn a_dialog_through_another_host_is_heard_from_there() {
    let mut scene = Scene::new();
    let elsewhere: SocketAddr = ([192, 0, 2, 50], 5080).into();
    let mut draft = Draft::answer(&scene.invite, 200, "b", LOCAL);
    draft.field("Contact", "<sip:b@192.0.2.50:5080>");
    scene.ua.receive(scene.now, GATEWAY, &draft.bytes());
    assert_eq!(scene.ua.poll_transmit().unwrap().to, elsewhere);
    scene.ua.hang_up(scene.now, scene.call);
    let bye = scene.ua.poll_transmit().unwrap();
    assert_eq!(bye.to, elsewhere);
    let answer = Draft::answer(&request_of(&bye.bytes), 200, "b", LOCAL).bytes();
    scene.ua.receive(scene.now, elsewhere, &answer);
    assert_eq!((scene.ua.unsettled(), scene.ua.dropped().foreign), (0, 0));
}
