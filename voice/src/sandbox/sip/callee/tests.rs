use std::net::Ipv4Addr;

use super::*;

const RING: Duration = Duration::from_millis(800);
const MEDIA_PORT: u16 = 30_000;

/// A callee, a scripted caller and a clock that only moves when it is told to.
struct Scene {
    callee: Callee,
    start: Instant,
    now: Instant,
    caller: SocketAddr,
    callee_address: SocketAddr,
    tag: String,
    /// First lines and CSeq methods of what the callee sent, with the time in ms.
    sent: Vec<(u128, String)>,
    last_message: String,
    ended: Vec<EndedCall>,
    events: Vec<SandboxEvent>,
}

impl Scene {
    fn new() -> Scene {
        let now = Instant::now();
        Scene {
            callee: Callee::new(RING, 1),
            start: now,
            now,
            caller: (Ipv4Addr::LOCALHOST, 5062).into(),
            callee_address: (Ipv4Addr::LOCALHOST, 5060).into(),
            tag: String::new(),
            sent: Vec::new(),
            last_message: String::new(),
            ended: Vec::new(),
            events: Vec::new(),
        }
    }

    fn text(&self, method: &str, branch: &str, cseq: u32, user: &str) -> String {
        let body = match method {
            "INVITE" => {
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 20000 RTP/AVP 8 0\r\n"
            }
            _ => "",
        };
        let to_tag = match self.tag.as_str() {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        format!(
            "{method} sip:{user}@127.0.0.1:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:5062;rport;branch=z9hG4bK{branch}\r\n\
             From: \"Gateway\" <sip:+842471234567@127.0.0.1>;tag=caller\r\n\
             To: <sip:{user}@127.0.0.1:5060>{to_tag}\r\n\
             Call-ID: call-{user}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:gateway@127.0.0.1:5062>\r\n\
             Max-Forwards: 70\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn receive(&mut self, text: &str) {
        let datagram = Datagram {
            bytes: text.as_bytes(),
            source: self.caller,
            local: self.callee_address,
        };
        self.callee.receive(&datagram, self.now);
        self.perform();
    }

    fn send(&mut self, method: &str, branch: &str, cseq: u32) {
        self.send_to("0981234567", method, branch, cseq);
    }

    fn send_to(&mut self, user: &str, method: &str, branch: &str, cseq: u32) {
        let text = self.text(method, branch, cseq, user);
        self.receive(&text);
    }

    fn perform(&mut self) {
        while let Some(action) = self.callee.next_action() {
            match action {
                Action::Send { to, bytes } => {
                    assert_eq!(to, self.caller);
                    self.note(String::from_utf8(bytes).unwrap());
                }
                Action::OpenMedia { call, offer, .. } => {
                    assert_eq!(offer.rtp.port(), 20_000);
                    let address = SocketAddr::new(self.callee_address.ip(), MEDIA_PORT);
                    self.callee.media(call, Some(address), self.now);
                }
                Action::Report(event) => self.events.push(event),
                Action::Ended(ended) => self.ended.push(ended),
            }
        }
    }

    fn note(&mut self, text: String) {
        let at = (self.now - self.start).as_millis();
        let first = text.lines().next().unwrap();
        let what = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => {
                let method = line(&text, "CSeq").split(' ').nth(1).unwrap();
                if let Some((_, tag)) = line(&text, "To").split_once(";tag=") {
                    self.tag = tag.into();
                }
                format!("{} {method}", &status[..3])
            }
            None => first.split(' ').next().unwrap().to_string(),
        };
        self.sent.push((at, what));
        self.last_message = text;
    }

    /// Moves the clock from deadline to deadline up to `ms` after the start.
    fn run_to(&mut self, ms: u64) {
        let end = self.start + Duration::from_millis(ms);
        while let Some(at) = self.callee.deadline().filter(|at| *at <= end) {
            assert!(at > self.now || at == self.start, "a deadline that stays");
            self.now = at.max(self.now);
            self.callee.tick(self.now);
            self.perform();
        }
        self.now = end;
    }

    fn times(&self, what: &str) -> Vec<u128> {
        let same = self.sent.iter().filter(|(_, sent)| sent == what);
        same.map(|(at, _)| *at).collect()
    }

    fn all(&self) -> Vec<&str> {
        self.sent.iter().map(|(_, what)| what.as_str()).collect()
    }

    fn is_empty(&self) -> bool {
        let callee = &self.callee;
        callee.calls.is_empty()
            && callee.by_invite.is_empty()
            && callee.by_dialog.is_empty()
            && callee.timers.is_empty()
            && callee.deadline().is_none()
    }
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines();
    let found = lines.find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("{name} in {text}"))
}

/// An acknowledged call at 1000 ms.
fn talking() -> Scene {
    let mut scene = Scene::new();
    scene.send("INVITE", "one", 1);
    scene.run_to(1000);
    scene.send("ACK", "two", 1);
    assert_eq!(scene.all(), ["100 INVITE", "180 INVITE", "200 INVITE"]);
    scene
}

#[test]
fn a_call_is_answered_with_what_a_dialog_needs() {
    let mut scene = Scene::new();
    scene.send("INVITE", "one", 1);
    scene.run_to(1000);
    assert_eq!(scene.times("200 INVITE"), [800]);
    let answer = &scene.last_message;
    let via = line(answer, "Via");
    assert!(via.contains("branch=z9hG4bKone"), "{via}");
    assert!(via.contains("rport=5062"), "{via}");
    assert_eq!(line(answer, "Call-ID"), "call-0981234567");
    assert_eq!(line(answer, "CSeq"), "1 INVITE");
    assert!(line(answer, "From").ends_with(";tag=caller"));
    assert!(line(answer, "Contact").contains("127.0.0.1:5060"));
    assert_eq!(line(answer, "Content-Type"), "application/sdp");
    assert!(answer.contains("m=audio 30000 RTP/AVP 8"), "{answer}");
    assert!(answer.contains("c=IN IP4 127.0.0.1"), "{answer}");
}

#[test]
fn a_finished_call_leaves_nothing_after_the_time_for_repetitions() {
    let mut scene = talking();
    scene.send("BYE", "three", 2);
    assert_eq!(scene.all()[3..], ["200 BYE"]);
    assert_eq!(scene.ended.len(), 1);
    assert!(scene.ended[0].answered);
    assert_eq!(scene.ended[0].talked.as_millis(), 200);
    assert!(scene.callee.calls.is_empty());
    scene.run_to(40_000);
    assert!(scene.is_empty());
    assert_eq!(scene.sent.len(), 4);
}

#[test]
fn a_lost_ack_has_the_answer_repeated_until_it_comes() {
    let mut scene = Scene::new();
    scene.send("INVITE", "one", 1);
    scene.run_to(5000);
    assert_eq!(scene.times("200 INVITE"), [800, 1300, 2300, 4300]);
    scene.send("ACK", "two", 1);
    scene.run_to(30_000);
    assert_eq!(scene.times("200 INVITE").len(), 4);
}

#[test]
fn an_answer_without_any_ack_is_hung_up() {
    let mut scene = Scene::new();
    scene.send("INVITE", "one", 1);
    scene.run_to(33_000);
    assert_eq!(scene.times("BYE")[0], 32_800);
    assert!(line(&scene.last_message, "To").ends_with(";tag=caller"));
    scene.run_to(200_000);
    assert!(scene.is_empty());
    assert_eq!(scene.ended.len(), 1);
}

#[test]
fn a_repeated_invite_gets_the_last_answer_again_and_rings_no_second_phone() {
    let mut scene = Scene::new();
    scene.send("INVITE", "one", 1);
    let invite = scene.text("INVITE", "one", 1, "0981234567");
    // The same bytes again: without the tag that the caller has learnt.
    let invite = invite.replace(&format!(";tag={}", scene.tag), "");
    scene.run_to(500);
    scene.receive(&invite);
    scene.run_to(900);
    scene.receive(&invite);
    assert_eq!(
        scene.sent,
        [
            (0, "100 INVITE"),
            (0, "180 INVITE"),
            (500, "180 INVITE"),
            (800, "200 INVITE"),
            (900, "200 INVITE")
        ]
        .map(|(at, what)| (at, what.to_string()))
    );
    scene.send("ACK", "two", 1);
    scene.receive(&invite);
    scene.send("BYE", "three", 2);
    scene.receive(&invite);
    assert_eq!(scene.sent.len(), 6);
    assert_eq!(scene.events.len(), 4, "{:?}", scene.events);
    assert_eq!(scene.ended.len(), 1);
}

#[test]
fn a_refusal_is_repeated_until_its_ack_on_the_invites_branch() {
    let mut scene = Scene::new();
    scene.send_to("0981234590", "INVITE", "one", 1);
    scene.run_to(2000);
    assert_eq!(scene.times("486 INVITE"), [0, 500, 1500]);
    scene.send_to("0981234590", "ACK", "one", 1);
    scene.run_to(60_000);
    assert_eq!(scene.times("486 INVITE").len(), 3);
    assert!(scene.is_empty());
}

#[test]
fn a_cancel_is_confirmed_and_ends_the_ring() {
    let mut scene = Scene::new();
    scene.send_to("0981234591", "INVITE", "one", 1);
    let tag = std::mem::take(&mut scene.tag);
    scene.run_to(20_000);
    for _ in 0..2 {
        scene.tag.clear();
        scene.send_to("0981234591", "CANCEL", "one", 1);
    }
    assert_eq!(scene.all()[2..], ["200 CANCEL", "487 INVITE", "200 CANCEL"]);
    assert_eq!(scene.tag, tag);
    scene.send_to("0981234591", "ACK", "one", 1);
    scene.run_to(200_000);
    assert_eq!(scene.sent.len(), 5);
    assert!(scene.is_empty());
    assert!(!scene.ended[0].answered);
}

#[test]
fn a_cancel_that_crosses_the_answer_is_confirmed_and_the_call_stands() {
    let mut scene = Scene::new();
    scene.send("INVITE", "one", 1);
    scene.run_to(900);
    let tag = std::mem::take(&mut scene.tag);
    scene.send("CANCEL", "one", 1);
    assert_eq!(scene.all()[2..], ["200 INVITE", "200 CANCEL"]);
    assert!(scene.ended.is_empty());
    scene.tag = tag;
    scene.send("ACK", "two", 1);
    scene.send("BYE", "three", 2);
    assert_eq!(scene.all()[4..], ["200 BYE"]);
    assert!(scene.ended[0].answered);
}

#[test]
fn a_cancel_for_another_branch_is_unknown() {
    let mut scene = Scene::new();
    scene.send_to("0981234591", "INVITE", "one", 1);
    scene.tag.clear();
    scene.send_to("0981234591", "CANCEL", "other", 1);
    assert_eq!(scene.all()[2..], ["481 CANCEL"]);
    assert!(scene.ended.is_empty());
}

#[test]
fn a_silent_number_answers_neither_invite_nor_cancel() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.send_to("0981234597", "INVITE", "one", 1);
        scene.run_to(500);
    }
    scene.send_to("0981234597", "CANCEL", "one", 1);
    scene.run_to(60_000);
    assert!(scene.sent.is_empty());
    assert!(scene.is_empty());
    assert_eq!(scene.ended.len(), 1);
}

#[test]
fn a_repeated_bye_is_confirmed_again_and_a_new_one_is_unknown() {
    let mut scene = talking();
    scene.send("BYE", "three", 2);
    scene.run_to(1500);
    scene.send("BYE", "three", 2);
    scene.send("BYE", "four", 3);
    assert_eq!(scene.all()[3..], ["200 BYE", "200 BYE", "481 BYE"]);
    assert_eq!(scene.ended.len(), 1);
}

#[test]
fn a_lost_bye_of_the_callee_is_repeated_until_it_is_answered() {
    let mut scene = Scene::new();
    scene.send_to("0981234598", "INVITE", "one", 1);
    scene.run_to(900);
    scene.send_to("0981234598", "ACK", "two", 1);
    scene.run_to(2400);
    assert_eq!(scene.times("BYE"), [1800, 2300]);
    let bye = scene.last_message.clone();
    assert!(
        bye.starts_with("BYE sip:gateway@127.0.0.1:5062 SIP/2.0"),
        "{bye}"
    );
    let answer: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\r\n", line(&bye, name)))
        .concat();
    scene.receive(&format!(
        "SIP/2.0 200 OK\r\n{answer}Content-Length: 0\r\n\r\n"
    ));
    scene.run_to(60_000);
    assert_eq!(scene.times("BYE").len(), 2);
    assert!(scene.is_empty());
}

#[test]
fn byes_that_cross_are_both_confirmed_and_end_the_call_once() {
    let mut scene = Scene::new();
    scene.send_to("0981234598", "INVITE", "one", 1);
    scene.run_to(900);
    scene.send_to("0981234598", "ACK", "two", 1);
    scene.run_to(1900);
    assert_eq!(scene.times("BYE"), [1800]);
    scene.send_to("0981234598", "BYE", "three", 2);
    assert_eq!(scene.times("200 BYE"), [1900]);
    assert_eq!(scene.ended.len(), 1);
}

#[test]
fn a_bye_follows_the_route_that_the_invite_recorded() {
    let mut scene = Scene::new();
    let invite = scene.text("INVITE", "one", 1, "0981234598");
    let routes =
        "Record-Route: <sip:127.0.0.1:5062;lr;a=1>\r\nRecord-Route: <sip:192.0.2.9;lr>\r\nCall-ID";
    scene.receive(&invite.replacen("Call-ID", routes, 1));
    scene.run_to(900);
    assert!(
        scene
            .last_message
            .contains("Record-Route: <sip:127.0.0.1:5062;lr;a=1>")
    );
    scene.send_to("0981234598", "ACK", "two", 1);
    scene.run_to(1900);
    let bye = scene.last_message.clone();
    assert!(bye.starts_with("BYE sip:gateway@127.0.0.1:5062 "), "{bye}");
    let (first, second) = (
        bye.find("sip:127.0.0.1:5062;lr"),
        bye.find("sip:192.0.2.9;lr"),
    );
    assert!(first.is_some() && first < second, "{bye}");
}

#[test]
fn a_renegotiation_is_refused_and_the_call_stands() {
    let mut scene = talking();
    scene.send("INVITE", "three", 2);
    scene.send("ACK", "three", 2);
    scene.send("OPTIONS", "four", 3);
    scene.send("INFO", "five", 4);
    assert_eq!(scene.all()[3..], ["488 INVITE", "200 OPTIONS", "405 INFO"]);
    assert!(scene.ended.is_empty());
}

#[test]
fn a_number_that_is_none_is_not_found_and_not_told_of() {
    let mut scene = Scene::new();
    scene.send_to("operator", "INVITE", "one", 1);
    assert_eq!(scene.all(), ["404 INVITE"]);
    assert!(scene.events.is_empty() && scene.ended.is_empty());
}

#[test]
fn what_is_no_sip_is_ignored() {
    let mut scene = Scene::new();
    for text in [
        "",
        "\r\n\r\n",
        "\0\0\0\0",
        "INVITE",
        "SIP/2.0 200 OK\r\n\r\n",
    ] {
        scene.receive(text);
    }
    let whole = scene.text("INVITE", "one", 1, "0981234567");
    for end in 0..whole.len() {
        scene.receive(&whole[..end]);
    }
    // Some of the pieces were whole messages by themselves, but none an offer.
    assert!(scene.ended.iter().all(|ended| !ended.answered));
    scene.tag.clear();
    scene.send("INVITE", "whole", 2);
    scene.run_to(1000);
    assert_eq!(scene.times("200 INVITE"), [800]);
}

#[test]
fn a_callee_out_of_service_ends_all_calls_at_once() {
    let mut scene = talking();
    scene.tag.clear();
    scene.send_to("0981234591", "INVITE", "ring", 1);
    scene.callee.shut_down(scene.now);
    scene.perform();
    let mut last: Vec<_> = scene.all()[5..].to_vec();
    last.sort_unstable();
    assert_eq!(last, ["503 INVITE", "BYE"]);
    assert_eq!(scene.ended.len(), 2);
}
