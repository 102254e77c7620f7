//! The audio of the calls: what is spoken, and the events of the media clock.

use std::time::{Duration, Instant};

use nexo_domain::call::CallInput;

use super::EventLoop;
use crate::endpoint::call::report::CallEvent;
use crate::rtp::send::clock::{KeySignal, MediaEvent, SrtpKeys, StreamConfig};
use crate::rtp::srtp::{MasterKey, Suite};
use crate::rtp::wire::telephone_event::{DtmfKey, KeyChange, KeySource};
use crate::sip::sdp::CryptoLines;
use crate::sip::sdp::sdes::Crypto;
use crate::sip::user_agent::CallHandle;
use crate::speech::prompts::{FRAME_MS, Mark};

/// What is spoken to the callee.
#[derive(Clone, Copy)]
pub(super) enum Utterance {
    /// The request to press a key.
    Invitation,
    Code,
    /// The n-th repetition of the code.
    Repeat(u8),
}

impl EventLoop<'_> {
    pub(super) fn handle_media_event(&mut self, event: MediaEvent) {
        let (MediaEvent::MarkReached { stream, .. }
        | MediaEvent::Finished { stream }
        | MediaEvent::DtmfReceived { stream, .. }
        | MediaEvent::Lost { stream }) = event;
        let Some(handle) = self.by_stream.get(&stream).copied() else {
            return;
        };
        match event {
            MediaEvent::MarkReached { mark, .. } => self.handle_mark(handle, mark),
            MediaEvent::Finished { .. } => self.step(handle, CallInput::Played),
            MediaEvent::DtmfReceived { signal: KeySignal { change, source }, .. } => match change {
                KeyChange::Pressed(key) => self.handle_key(handle, key, source, Duration::ZERO),
                KeyChange::Released(key) => {
                    if let Some(call) = self.calls.get_mut(&handle) {
                        call.keys.release(key, source, Instant::now());
                    }
                }
            },
            MediaEvent::Lost { .. } => self.step(handle, CallInput::MediaLost),
        }
    }

    /// Takes a key that has been held for `held`, from any of its sources.
    pub(super) fn handle_key(
        &mut self,
        handle: CallHandle,
        key: DtmfKey,
        source: KeySource,
        held: Duration,
    ) {
        let now = Instant::now();
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let is_new = call.keys.press(key, source, held, now);
        tracing::debug!(call_id = call.order.call_id, ?source, is_new, "a key was pressed");
        if !is_new {
            return;
        }
        call.emit(CallEvent::KeyPressed);
        self.step(handle, CallInput::KeyPressed);
        if let Some(call) = self.calls.get(&handle)
            && !call.machine.takes_keys(now)
            && let Some(playing) = &call.playing
        {
            playing.ignore_tones();
        }
    }

    fn handle_mark(&mut self, handle: CallHandle, mark: Mark) {
        let Some(call) = self.calls.get(&handle) else {
            return;
        };
        match mark {
            Mark::DigitSpoken { reading, position } => {
                if (reading, position) == (0, 0)
                    && let Some(answered) = call.report.answered_at_ms
                {
                    self.meters.first_digit(call.meters_id, call.clock.now_ms() - answered);
                }
                call.emit(CallEvent::DigitSpoken { reading, position });
            }
            Mark::ReadingDone { reading } => {
                call.emit(CallEvent::CodeRead { reading });
                self.step(handle, CallInput::CodeRead);
            }
        }
    }

    /// Speaks at once, interrupting the current utterance.
    pub(super) fn say(&mut self, handle: CallHandle, utterance: Utterance) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let Some(agreed) = &call.agreed else {
            return;
        };
        let (prompts, codec) = (self.resources.prompts, agreed.format.codec);
        let (code, reading) = (&call.order.code, call.order.reading);
        let script = match utterance {
            Utterance::Invitation => prompts.press_key_script(reading.language, codec),
            Utterance::Code => prompts.script(code, reading, codec),
            Utterance::Repeat(n) => {
                prompts.repeat_script(code, reading, codec, reading.repeat.max(1) - 1 + n)
            }
        };
        if call.playing.is_some() {
            self.resources.clock.replace_script(call.stream.stream, script);
            return;
        }
        let timeout = call.order.media_timeout.as_millis() / u128::from(FRAME_MS);
        let playing = self.resources.clock.play(StreamConfig {
            stream: call.stream.stream,
            remote: agreed.rtp,
            remote_rtcp: agreed.rtcp,
            gateway: call.order.gateway.address.ip(),
            format: agreed.format,
            script,
            frames_per_packet: agreed.frames_per_packet,
            event_types: agreed.event_types,
            wants_dtmf: true,
            srtp_keys: agreed
                .srtp_keys
                .as_ref()
                .map(|keys| SrtpKeys { ours: keys.ours.clone(), theirs: keys.theirs.clone() }),
            media_timeout_frames: timeout as u32,
        });
        playing.hold(call.is_held);
        call.playing = Some(playing);
        call.check_answered();
    }
}

/// A new key for each suite that we offer, the most common one first.
pub(super) fn offered_keys() -> CryptoLines {
    let suites = [Suite::AesCm128HmacSha1_80, Suite::AesCm256HmacSha1_80];
    let cryptos = suites
        .into_iter()
        .zip(1..)
        .map(|(suite, tag)| Crypto { tag, key: MasterKey::random(suite, &mut rand::rng()) });
    CryptoLines::of(&cryptos.collect::<Vec<_>>())
}
