//! The state machines of the calls: their inputs, timers and effects.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nexo_domain::call::{Call, CallEffect, CallEnd, CallInput, WeakChallenge};
use tokio::sync::mpsc;

use super::EventLoop;
use super::media::{Utterance, offered_keys};
use crate::endpoint::call::live_call::{LiveCall, MediaPath};
use crate::endpoint::call::order::CallOrder;
use crate::endpoint::call::report::{CallEvent, unix_ms};
use crate::rtp::wire::telephone_event::KeySource;
use crate::sip::sdp::{self, Audio, CryptoLines, SdpError};
use crate::sip::user_agent::{CallHandle, Invite, SipEvent};

/// The maximum number of calls at a time. Further calls end at once, as if the gateway were unreachable.
const MAX_CALLS: usize = 50_000;

/// Our payload type for DTMF events: the usual one of the dynamic types (RFC 3551 §6).
const TELEPHONE_EVENT: u8 = 101;

impl EventLoop<'_> {
    pub(super) fn place(
        &mut self,
        number: u64,
        order: Box<CallOrder>,
        events: mpsc::UnboundedSender<CallEvent>,
    ) {
        if self.calls.len() >= MAX_CALLS || self.shutdown.is_some() {
            // Dropping the sender ends the call.
            return;
        }
        // The process may have been suspended since the order was posted.
        let permit = order.permit.as_ref();
        if permit.is_some_and(|permit| !permit.may_dial()) {
            return;
        }
        let now = Instant::now();
        let local = self.socket.local_for(order.gateway, &self.resources.config);
        let stream = self.resources.clock.reserve();
        let offer = Audio {
            rtp: SocketAddr::new(local.ip(), stream.rtp_port),
            rtcp: SocketAddr::new(local.ip(), stream.rtcp_port),
            codecs: order.codecs.clone(),
            telephone_event: Some(TELEPHONE_EVENT),
            crypto: match order.srtp {
                true => offered_keys(),
                false => CryptoLines::default(),
            },
        };
        let invite = invite(&order, local, &offer);
        let trace = order.trace.clone();
        let meters_id = self.meters.for_labels(order.labels);
        let reading_times = self.resources.prompts.reading_times(&order.code, order.reading);
        let machine = Call::dial(order.limits, reading_times, now);
        let call = LiveCall::new(number, machine, order, stream, offer, events, meters_id);
        call.emit(CallEvent::Dialled);
        let handle = self.agent.invite(now, invite);
        if let Some(trace) = trace {
            self.traces.insert(handle, trace);
        }
        self.by_number.insert(number, handle);
        self.by_stream.insert(stream.stream, handle);
        self.calls.insert(handle, call);
        self.publish_in_progress();
        self.schedule(handle);
        self.meters.placed(meters_id);
    }

    fn publish_in_progress(&self) {
        let calls = self.calls.len();
        self.resources.in_progress.store(calls, Ordering::Relaxed);
    }

    pub(super) fn handle_sip_event(&mut self, handle: CallHandle, event: SipEvent) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        if let SipEvent::Provisional { code }
        | SipEvent::Answered { code, .. }
        | SipEvent::Rejected { code, .. }
        | SipEvent::WeakChallenge(WeakChallenge { code, .. }) = event
        {
            self.meters.response(call.meters_id, code);
            call.report.sip_code = Some(code);
        }
        let input = match event {
            SipEvent::Provisional { code } => CallInput::Provisional { code },
            SipEvent::EarlyDescription { sdp } => {
                if let Some(error) = call.rejects_early(&sdp) {
                    self.reject_media(handle, &error);
                }
                return;
            }
            SipEvent::Answered { sdp, .. } => {
                self.meters.answered(call.meters_id);
                let path = call.handle_answer(&sdp);
                return self.handle_answer(handle, path);
            }
            SipEvent::MediaChanged { sdp } => {
                let path = call.handle_new_description(&sdp);
                return self.handle_media_path(handle, path);
            }
            SipEvent::KeyPressed { key, held } => {
                return self.handle_key(handle, key, KeySource::Info, held);
            }
            SipEvent::Rejected { code, retry_after_seconds } => {
                CallInput::Rejected { code, retry_after_seconds }
            }
            SipEvent::WeakChallenge(challenge) => {
                let (call_id, gateway) = (&call.order.call_id, &call.order.gateway_host);
                tracing::warn!(call_id, gateway, "the gateway {challenge}");
                CallInput::WeakChallenge(challenge)
            }
            SipEvent::TimedOut => CallInput::Silent,
            SipEvent::RemoteHungUp => CallInput::RemoteHungUp,
            SipEvent::TransportFailed => CallInput::TransportLost,
        };
        self.step(handle, input);
    }

    fn handle_answer(&mut self, handle: CallHandle, path: Result<MediaPath, SdpError>) {
        match path {
            Ok(MediaPath::Ready) => self.step(handle, CallInput::Answered),
            Ok(path) => {
                self.step(handle, CallInput::AnsweredOnHold);
                self.handle_media_path(handle, path);
            }
            Err(error) => self.reject_media(handle, &error),
        }
        if let Some(call) = self.calls.get_mut(&handle) {
            call.check_answered();
        }
    }

    pub(super) fn step(&mut self, handle: CallHandle, input: CallInput) {
        let now = Instant::now();
        if let Some(call) = self.calls.get_mut(&handle) {
            let effects = call.machine.step(input, now);
            self.perform(handle, effects, now);
        }
    }

    /// Runs the timers of the user agent and of the calls that are due.
    pub(super) fn run_timers(&mut self) {
        let now = Instant::now();
        self.agent.tick(now);
        loop {
            let due = self.deadlines.take_due(now);
            if due.is_empty() {
                return;
            }
            for (at, handle) in due {
                self.handle_timeout(at, handle, now);
            }
        }
    }

    /// Handles a scheduled deadline of a call. The call's own deadline may be later by now.
    fn handle_timeout(&mut self, at: Instant, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        if call.scheduled != Some(at) {
            return;
        }
        call.scheduled = None;
        if call.machine.deadline().is_some_and(|due| due <= now) {
            let effects = call.machine.tick(now);
            self.perform(handle, effects, now);
        } else {
            self.schedule(handle);
        }
    }

    fn perform(&mut self, handle: CallHandle, effects: Vec<CallEffect>, now: Instant) {
        for effect in effects {
            match effect {
                CallEffect::Accepted => {
                    if let Some(call) = self.calls.get_mut(&handle) {
                        call.accepted();
                    }
                }
                CallEffect::AskForKey => self.say(handle, Utterance::Invitation),
                CallEffect::Speak => self.say(handle, Utterance::Code),
                CallEffect::Repeat(n) => self.say(handle, Utterance::Repeat(n)),
                CallEffect::Cancel | CallEffect::HangUp => self.agent.hang_up(now, handle),
                CallEffect::Ended(end) => self.finish(handle, end),
            }
        }
        if let Some(call) = self.calls.get_mut(&handle) {
            call.check_ringing();
            self.schedule(handle);
        }
    }

    /// Reports the end of a call and removes it.
    fn finish(&mut self, handle: CallHandle, end: CallEnd) {
        if let Some(call) = self.calls.remove(&handle) {
            self.by_number.remove(&call.number);
            self.by_stream.remove(&call.stream.stream);
            self.publish_in_progress();
            let meters_id = call.meters_id;
            let report = call.finish(end);
            self.meters.ended(meters_id, &report);
        }
    }

    /// Schedules the deadline of a call if it is earlier than the scheduled one.
    fn schedule(&mut self, handle: CallHandle) {
        if let Some(call) = self.calls.get_mut(&handle) {
            self.deadlines.schedule(call.machine.deadline(), &mut call.scheduled, handle);
        }
    }
}

fn invite(order: &CallOrder, local: SocketAddr, offer: &Audio) -> Invite {
    let uri = format!("sip:{}@{}", order.number, order.gateway_host);
    Invite {
        call_id: order.call_id.clone(),
        gateway: order.gateway,
        credentials: order.credentials.clone(),
        local,
        to_uri: uri.clone(),
        request_uri: uri,
        from_uri: order.caller.uri(local),
        fields: order.caller.fields(local),
        sdp: sdp::write(offer, unix_ms() as u64).into_bytes(),
        gateway_timeout: order.gateway_timeout,
    }
}
