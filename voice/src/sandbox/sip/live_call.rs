//! One call of the callee: its state machine, and the messages and events of its steps.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use nexo_domain::phone::Phone;
use rand::rngs::StdRng;

use super::action::Action;
use super::call::{Call, Step};
use super::dialog::{CalleeLeg, new_tag};
use crate::audio::g711::Codec;
use crate::sandbox::events::{CallId, CallNumber, EndedCall, SandboxEvent};
use crate::sip::sdp::Audio;

pub(crate) struct LiveCall {
    pub number: CallNumber,
    pub machine: Call,
    pub call_id: CallId,
    /// `None` if the caller dialled no number; no events are reported of such a call.
    pub phone: Option<Phone>,
    /// The audio that the caller offers; `None` if no codec is supported.
    pub offer: Option<Audio>,
    pub leg: CalleeLeg,
    pub invite_key: u64,
    pub dialog_key: u64,
    /// The local address of its audio.
    pub media: Option<SocketAddr>,
    pub last_response: Vec<u8>,
    pub bye: Vec<u8>,
    /// Its earliest entry in the callee's timers.
    pub scheduled: Option<Instant>,
}

impl LiveCall {
    /// Performs a step of the state machine, except `Forget`, as actions.
    pub fn perform(&mut self, step: Step, random: &mut StdRng, actions: &mut VecDeque<Action>) {
        let call_id = self.call_id.clone();
        match step {
            Step::Respond { code, retry_after_seconds } => {
                self.last_response = self.leg.response(code, retry_after_seconds);
                actions.push_back(self.response());
                match code {
                    180 => self.report(SandboxEvent::Ringing { call_id }, actions),
                    // Reported as `Cancelled`.
                    487 => {}
                    300.. => self.report(SandboxEvent::Rejected { call_id, code }, actions),
                    _ => {}
                }
            }
            Step::RepeatResponse => actions.push_back(self.response()),
            Step::OpenMedia(playback) => {
                let (Some(offer), Some(codec)) = (&self.offer, self.codec()) else {
                    return;
                };
                actions.push_back(Action::OpenMedia {
                    call: self.number,
                    call_id,
                    caller: self.leg.reply_to().ip(),
                    offer: offer.clone(),
                    codec,
                    playback,
                });
            }
            Step::Answer => {
                let (Some(codec), Some(rtp)) = (self.codec(), self.media) else {
                    return;
                };
                let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + 1);
                let offered = self.offer.as_ref();
                let audio = Audio {
                    telephone_event: offered.and_then(|offer| offer.telephone_event),
                    ..Audio::plain(rtp, rtcp, vec![codec])
                };
                self.last_response = self.leg.answer(&audio, self.number);
                actions.push_back(self.response());
                self.report(SandboxEvent::Answered { call_id }, actions);
            }
            Step::Bye => {
                self.bye = self.leg.bye(&new_tag(random));
                actions.push_back(self.bye());
            }
            Step::RepeatBye => actions.push_back(self.bye()),
            Step::Cancelled => self.report(SandboxEvent::Cancelled { call_id }, actions),
            Step::HungUp(by) => self.report(SandboxEvent::HungUp { call_id, by }, actions),
            Step::Ended { answered, talk_time } => {
                let Some(phone) = self.phone else { return };
                actions.push_back(Action::Ended(EndedCall {
                    call: self.number,
                    call_id,
                    phone,
                    answered,
                    talk_time,
                }));
            }
            Step::Forget => {}
        }
    }

    /// Returns a time to add to the callee's timers.
    pub fn take_next_timer(&mut self) -> Option<Instant> {
        let at = self.machine.deadline()?;
        if self.scheduled.is_some_and(|scheduled| scheduled <= at) {
            return None;
        }
        self.scheduled = Some(at);
        Some(at)
    }

    /// The first codec that the caller offers.
    fn codec(&self) -> Option<Codec> {
        self.offer.as_ref()?.codecs.first().copied()
    }

    fn response(&self) -> Action {
        Action::Send { to: self.leg.reply_to(), bytes: self.last_response.clone() }
    }

    fn bye(&self) -> Action {
        Action::Send { to: self.leg.bye_to(), bytes: self.bye.clone() }
    }

    fn report(&self, event: SandboxEvent, actions: &mut VecDeque<Action>) {
        if self.phone.is_some() {
            actions.push_back(Action::Report(event));
        }
    }
}
