//! A scripted far end that follows RFC 3261 §13.3, §15 and §17.2.

use super::super::*;
use super::network::Network;

/// How long the far end waits for the ACK (RFC 3261 §13.3.1.4).
const ACK_TIMEOUT: Duration = Duration::from_secs(32);

/// Longer than the gateway timeout.
const LATE_DELAY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Script {
    Answer,
    /// Two far ends answer.
    Fork,
    /// Answers, and hangs up.
    HangUp,
    /// Answers, and sends a re-INVITE.
    Reinvite,
    Refuse(u16),
    /// Rejects without ringing.
    RefuseAtOnce(u16),
    /// Sends nothing for [`LATE_DELAY`], and then answers.
    Late,
    /// Rings forever.
    Ring,
    Silent,
}

/// A message that is retransmitted with back-off until it is stopped.
struct Repeating {
    bytes: Vec<u8>,
    next: Instant,
    wait: Duration,
    end: Instant,
}

impl Repeating {
    fn start(now: Instant, bytes: Vec<u8>) -> Repeating {
        Repeating { bytes, next: now + 500 * MS, wait: 1000 * MS, end: now + ACK_TIMEOUT }
    }
}

/// One dialog on the far end's side.
pub struct FarDialog {
    pub tag: &'static str,
    answer: Option<Repeating>,
    bye: Option<Repeating>,
    pub is_acked: bool,
    pub is_closed: bool,
}

/// The far end of one call.
pub struct FarEnd {
    pub script: Script,
    invite: Option<Request>,
    rings_for: Duration,
    final_due: Option<Instant>,
    refusal: Option<Repeating>,
    pub dialogs: Vec<FarDialog>,
    /// Whether a phone rang.
    pub has_rung: bool,
    /// When it hangs up or sends the re-INVITE.
    acts_at: Option<Instant>,
}

impl FarEnd {
    pub fn new(script: Script, rings_for: Duration) -> FarEnd {
        FarEnd {
            script,
            invite: None,
            rings_for,
            final_due: None,
            refusal: None,
            dialogs: Vec::new(),
            has_rung: false,
            acts_at: None,
        }
    }

    pub fn receive(&mut self, now: Instant, bytes: &[u8], net: &mut Network) {
        let request = match Message::parse(bytes).unwrap() {
            Message::Request(request) => request,
            Message::Response(response) => {
                if response.cseq_method() == Method::Bye {
                    self.dialogs.iter_mut().for_each(|d| d.bye = None);
                }
                return;
            }
        };
        let tag = request.to_tag().map(str::to_owned);
        let dialog = self.dialogs.iter_mut().find(|d| Some(d.tag) == tag.as_deref());
        match (request.method(), dialog) {
            (Method::Invite, _) => self.invited(now, request, net),
            (Method::Ack, Some(dialog)) => (dialog.is_acked, dialog.answer) = (true, None),
            (Method::Ack, None) => self.refusal = None,
            (Method::Bye, Some(dialog)) => {
                (dialog.is_closed, dialog.answer) = (true, None);
                net.send(now, None, &response(&request, 200, dialog.tag));
            }
            (Method::Bye, None) => panic!("a BYE for no dialog of this far end: {tag:?}"),
            (Method::Cancel, _) => self.cancelled(now, &request, net),
            (other, _) => panic!("unexpected {other:?}"),
        }
    }

    fn invited(&mut self, now: Instant, invite: Request, net: &mut Network) {
        if self.script == Script::Silent {
            return;
        }
        if self.invite.is_none() {
            self.final_due = match self.script {
                Script::Ring => None,
                Script::RefuseAtOnce(_) => Some(now),
                Script::Late => Some(now + LATE_DELAY),
                _ => Some(now + self.rings_for),
            };
        }
        let is_open = self.dialogs.is_empty() && self.refusal.is_none();
        let rings = !matches!(self.script, Script::RefuseAtOnce(_) | Script::Late);
        if is_open && rings {
            self.has_rung = true;
            net.send(now, None, &response(&invite, 180, "far"));
        }
        self.invite.get_or_insert(invite);
    }

    fn cancelled(&mut self, now: Instant, cancel: &Request, net: &mut Network) {
        let Some(invite) = &self.invite else {
            return net.send(now, None, &response(cancel, 481, "far"));
        };
        assert_eq!(cancel.via(), invite.via(), "the branch of the INVITE");
        net.send(now, None, &response(cancel, 200, "far"));
        let is_ringing = self.final_due.is_some() || self.script == Script::Ring;
        if is_ringing && self.refusal.is_none() && self.dialogs.is_empty() {
            self.final_due = None;
            self.refuse(now, 487, net);
        }
    }

    fn refuse(&mut self, now: Instant, code: u16, net: &mut Network) {
        let bytes = response(self.invite.as_ref().unwrap(), code, "far");
        net.send(now, None, &bytes);
        self.refusal = Some(Repeating::start(now, bytes));
    }

    fn answer(&mut self, now: Instant, net: &mut Network) {
        let tags: &[&str] = match self.script {
            Script::Fork => &["far", "other"],
            _ => &["far"],
        };
        for tag in tags {
            let bytes = response(self.invite.as_ref().unwrap(), 200, tag);
            net.send(now, None, &bytes);
            self.dialogs.push(FarDialog {
                tag,
                answer: Some(Repeating::start(now, bytes)),
                bye: None,
                is_acked: false,
                is_closed: false,
            });
        }
        self.acts_at = Some(now + 700 * MS);
    }

    /// A request in its first dialog.
    fn request(&self, method: &str) -> Vec<u8> {
        let invite = self.invite.as_ref().unwrap();
        let (to, call_id) = (invite.value(Name::From).unwrap(), invite.call_id());
        format!(
            "{method} sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK{method}\r\n\
             From: <sip:b@192.0.2.9>;tag=far\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 9 {method}\r\n\
             Contact: <sip:b@192.0.2.9:5060>\r\n\r\n"
        )
        .into_bytes()
    }

    pub fn tick(&mut self, now: Instant, net: &mut Network) {
        if self.final_due.is_some_and(|at| at <= now) {
            self.final_due = None;
            match self.script {
                Script::Refuse(code) | Script::RefuseAtOnce(code) => self.refuse(now, code, net),
                _ => self.answer(now, net),
            }
        }
        if self.acts_at.is_some_and(|at| at <= now) {
            // The callee may hang up only a confirmed dialog (§15).
            let is_up = self.dialogs.first().is_some_and(|d| d.is_acked && !d.is_closed);
            self.acts_at =
                (!is_up && !self.dialogs[0].is_closed && self.dialogs[0].answer.is_some())
                    .then_some(now + 100 * MS);
            if is_up && self.script == Script::Reinvite {
                net.send(now, None, &self.request("INVITE"));
            }
            if is_up && self.script == Script::HangUp {
                let bytes = self.request("BYE");
                net.send(now, None, &bytes);
                self.dialogs[0].bye = Some(Repeating::start(now, bytes));
                self.dialogs[0].is_closed = true;
            }
        }
        for dialog in &mut self.dialogs {
            if dialog.answer.as_ref().is_some_and(|r| r.end <= now) {
                // The answer was never acknowledged.
                dialog.is_closed = true;
            }
        }
        for slot in self.slots() {
            if slot.as_ref().is_some_and(|r| r.end <= now) {
                *slot = None;
            }
            if let Some(repeating) = slot.as_mut().filter(|r| r.next <= now) {
                net.send(now, None, &repeating.bytes);
                repeating.next = now + repeating.wait;
                repeating.wait = (repeating.wait * 2).min(4000 * MS);
            }
        }
    }

    fn slots(&mut self) -> impl Iterator<Item = &mut Option<Repeating>> {
        let dialogs = self.dialogs.iter_mut().flat_map(|d| [&mut d.answer, &mut d.bye]);
        dialogs.chain([&mut self.refusal])
    }

    pub fn deadline(&mut self) -> Option<Instant> {
        let actions = self.final_due.into_iter().chain(self.acts_at).min();
        let repeated = self.slots().flatten().map(|r| r.next.min(r.end)).min();
        actions.into_iter().chain(repeated).min()
    }
}

fn response(request: &Request, code: u16, tag: &str) -> Vec<u8> {
    let mut draft = Draft::response(request, code, tag, LOCAL);
    draft.field("Contact", "<sip:b@192.0.2.9:5060>");
    draft.bytes()
}
