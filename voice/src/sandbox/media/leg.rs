//! One call's audio on the callee's side: what it says, and what it hears over a good or bad path.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::greeting::voicemail_greeting;
use super::impairment::Impairment;
use super::jitter_buffer::JitterBuffer;
use super::key_presser::{Attention, Press};
use super::receiver_report::ReceivedStream;
use crate::audio::g711::Codec;
use crate::rtp::wire::dtmf_tones;
use crate::rtp::wire::packet;
use crate::rtp::wire::packet::Header;
use crate::rtp::wire::telephone_event::Key;
use crate::sandbox::behaviour::Playback;
use crate::sandbox::events::CallId;

/// The time of one packet.
pub(in crate::sandbox) const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
/// How much later than the first packet another one may come and still be heard: 200 ms, what
/// mobile phones adapt to.
const JITTER_BUFFER_SAMPLES: usize = 1600;
/// Audio is handed on in pieces of 100 ms.
const PIECE_SAMPLES: usize = 800;
/// What a person presses who is asked for any key.
const PRESSED_KEY: char = '1';
/// RFC 3550 §6.2: the least time between reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// A call's audio in both directions.
pub(in crate::sandbox) struct Leg {
    speech: Speech,
    received: Option<ReceivedStream>,
    /// When the next report on what is received is due.
    report_at: Option<Instant>,
    hearing: Option<Hearing>,
    /// Of a person, who is no voicemail box.
    attention: Option<Attention>,
    /// The payload type of key events, where they were agreed on.
    telephone_event: Option<u8>,
}

/// The stream that the caller hears.
struct Speech {
    codec: Codec,
    /// What is still to be said; silence follows.
    audio: &'static [i16],
    header: Header,
    packet: Vec<u8>,
    /// The key that is being pressed.
    press: Option<Press>,
}

/// The stream that the caller sends, of a call that somebody listens to.
struct Hearing {
    call_id: CallId,
    path: Impairment,
    /// Packets still on their way, where the path delays them.
    under_way: Vec<(Instant, Vec<u8>)>,
    buffer: JitterBuffer,
    heard: Vec<i16>,
}

impl Leg {
    /// A leg that plays `playback` to the caller and, where `heard_as` names the call and the path
    /// of its audio, listens.
    pub fn new(
        codec: Codec,
        telephone_event: Option<u8>,
        playback: Playback,
        ssrc: u32,
        heard_as: Option<(CallId, Impairment)>,
    ) -> Leg {
        Leg {
            speech: Speech {
                codec,
                audio: match playback {
                    Playback::Silence => &[],
                    Playback::VoicemailGreeting => voicemail_greeting(),
                },
                header: Header {
                    marker: true,
                    payload_type: codec.payload_type(),
                    sequence: 0,
                    timestamp: 0,
                    ssrc,
                },
                packet: Vec::new(),
                press: None,
            },
            attention: match playback {
                Playback::Silence => Some(Attention::default()),
                Playback::VoicemailGreeting => None,
            },
            telephone_event,
            received: None,
            report_at: None,
            hearing: heard_as.map(|(call_id, path)| Hearing {
                call_id,
                path,
                under_way: Vec::new(),
                buffer: JitterBuffer::new(JITTER_BUFFER_SAMPLES),
                heard: Vec::new(),
            }),
        }
    }

    /// The call's id, if it is listened to.
    pub fn heard_as(&self) -> Option<CallId> {
        self.hearing.as_ref().map(|hearing| hearing.call_id.clone())
    }

    /// Whether anything came from the caller yet.
    pub fn has_received(&self) -> bool {
        self.received.is_some()
    }

    /// Takes a datagram from the caller. What the path loses is not even counted.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) {
        let delay = match &mut self.hearing {
            Some(hearing) => hearing.path.delay_of_next(),
            None => Some(Duration::ZERO),
        };
        let (Some(delay), Some((header, payload))) = (delay, packet::parse(datagram)) else {
            return;
        };
        if let (Some(attention), Some(codec)) = (
            &mut self.attention,
            Codec::from_payload_type(header.payload_type),
        ) && attention.notice(payload.iter().map(|byte| codec.decode(*byte)))
        {
            self.speech.press(self.telephone_event);
        }
        match &mut self.received {
            Some(stream) => stream.count(&header, now + delay),
            none => {
                *none = Some(ReceivedStream::of(&header, now + delay));
                self.report_at = Some(now + REPORT_INTERVAL);
            }
        }
        match &mut self.hearing {
            Some(hearing) if delay.is_zero() => hearing.arrived(datagram),
            Some(hearing) => hearing.under_way.push((now + delay, datagram.to_vec())),
            None => {}
        }
    }

    /// The receiver report for the caller, when one is due.
    pub fn report(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.report_at.filter(|at| now >= *at)?;
        self.report_at = Some(now + REPORT_INTERVAL);
        let ssrc = self.speech.header.ssrc;
        self.received.as_mut().map(|stream| stream.report(ssrc))
    }

    /// The packet of the next 20 ms for the caller.
    pub fn next_packet(&mut self) -> &[u8] {
        self.speech.next_packet()
    }

    /// Lets 20 ms pass; the next piece of what was heard, when there is enough of it.
    pub fn hear(&mut self, now: Instant) -> Option<Vec<i16>> {
        let hearing = self.hearing.as_mut()?;
        hearing.take_arrived(now);
        hearing.buffer.pull(FRAME_SAMPLES, &mut hearing.heard);
        (hearing.heard.len() >= PIECE_SAMPLES).then(|| std::mem::take(&mut hearing.heard))
    }

    /// What was heard and not handed on yet.
    pub fn hear_rest(&mut self) -> Option<Vec<i16>> {
        let mut hearing = self.hearing.take()?;
        hearing.buffer.drain(&mut hearing.heard);
        Some(hearing.heard)
    }
}

impl Speech {
    /// Presses a key, as an event where those were agreed on, else as sound.
    fn press(&mut self, telephone_event: Option<u8>) {
        let Some(key) = Key::of_char(PRESSED_KEY) else {
            return;
        };
        match telephone_event {
            Some(number) => self.press = Some(Press::start(number, key, self.header.timestamp)),
            None => self.audio = key_sound(key),
        }
    }

    fn next_packet(&mut self) -> &[u8] {
        if let Some(press) = &mut self.press {
            if let Some(packet) = press.next(&self.header) {
                self.packet = packet;
                self.header.sequence = self.header.sequence.wrapping_add(1);
                self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_SAMPLES as u32);
                return &self.packet;
            }
            self.press = None;
        }
        let (said, rest) = self.audio.split_at(self.audio.len().min(FRAME_SAMPLES));
        self.audio = rest;
        self.packet.clear();
        self.packet.extend_from_slice(&self.header.bytes());
        let silence = std::iter::repeat_n(0, FRAME_SAMPLES - said.len());
        let samples = said.iter().copied().chain(silence);
        let codec = self.codec;
        self.packet.extend(samples.map(|s| codec.encode(s)));
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        &self.packet
    }
}

fn key_sound(key: Key) -> &'static [i16] {
    static SOUND: OnceLock<Vec<i16>> = OnceLock::new();
    SOUND.get_or_init(|| dtmf_tones::tone(key, 120, -10.0))
}

impl Hearing {
    fn take_arrived(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.under_way.len() {
            if self.under_way[at].0 <= now {
                let (_, datagram) = self.under_way.swap_remove(at);
                self.arrived(&datagram);
            } else {
                at += 1;
            }
        }
    }

    /// The sender may use either codec, whatever was agreed. Comfort noise, key presses and the
    /// like are silence.
    fn arrived(&mut self, datagram: &[u8]) {
        let Some((header, payload)) = packet::parse(datagram) else {
            return;
        };
        let Some(codec) = Codec::from_payload_type(header.payload_type) else {
            return;
        };
        let audio: Vec<i16> = payload.iter().map(|byte| codec.decode(*byte)).collect();
        self.buffer.insert(header.ssrc, header.timestamp, &audio);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::wire::rtcp::report_blocks;

    fn leg(loss_percent: u8, jitter_ms: u64) -> Leg {
        let path = Impairment::new(loss_percent, Duration::from_millis(jitter_ms), 1);
        let heard_as = Some((CallId::from("a"), path));
        Leg::new(Codec::Pcma, None, Playback::Silence, 7, heard_as)
    }

    fn datagram(n: u16, codec: Codec, sample: i16) -> Vec<u8> {
        let header = Header {
            marker: n == 0,
            payload_type: codec.payload_type(),
            sequence: n,
            timestamp: u32::from(n) * 160,
            ssrc: 3,
        };
        let mut datagram = header.bytes().to_vec();
        datagram.extend([codec.encode(sample); FRAME_SAMPLES]);
        datagram
    }

    /// Sends a second of audio at its pace; what is heard of it.
    fn a_second_through(mut leg: Leg) -> Vec<i16> {
        let start = Instant::now();
        let mut heard = Vec::new();
        for n in 0..50 {
            let now = start + FRAME * n;
            leg.receive(&datagram(n as u16, Codec::Pcma, 8000), now);
            heard.extend(leg.hear(now).unwrap_or_default());
        }
        for n in 50..100 {
            heard.extend(leg.hear(start + FRAME * n).unwrap_or_default());
        }
        heard.extend(leg.hear_rest().unwrap_or_default());
        heard
    }

    fn loud(heard: &[i16]) -> usize {
        heard.iter().filter(|s| s.abs() > 4000).count()
    }

    #[test]
    fn a_good_path_is_heard_whole() {
        assert_eq!(loud(&a_second_through(leg(0, 0))), 8000);
    }

    #[test]
    fn jitter_within_the_buffer_does_no_harm_and_beyond_it_leaves_holes() {
        assert_eq!(loud(&a_second_through(leg(0, 150))), 8000);
        let heard = loud(&a_second_through(leg(0, 1000)));
        assert!((500..7000).contains(&heard), "{heard} of 8000");
    }

    #[test]
    fn loss_leaves_holes_and_keeps_the_time() {
        let heard = a_second_through(leg(50, 0));
        assert!((2000..6000).contains(&loud(&heard)), "{}", loud(&heard));
        assert!(heard.len() > 8000);
        assert_eq!(loud(&a_second_through(leg(100, 0))), 0);
    }

    #[test]
    fn either_codec_is_understood_and_anything_else_is_silence() {
        let mut leg = leg(0, 0);
        let now = Instant::now();
        leg.receive(&datagram(0, Codec::Pcma, 8000), now);
        leg.receive(&datagram(1, Codec::Pcmu, 8000), now);
        let mut comfort_noise = datagram(2, Codec::Pcmu, 8000);
        comfort_noise[1] = 13;
        leg.receive(&comfort_noise, now);
        leg.receive(b"no RTP", now);
        leg.receive(&datagram(3, Codec::Pcmu, 8000), now);
        let heard = leg.hear_rest().unwrap();
        assert_eq!(heard.len(), 4 * FRAME_SAMPLES);
        let is_loud: Vec<_> = heard.chunks(FRAME_SAMPLES).map(|f| loud(f) > 0).collect();
        assert_eq!(is_loud, [true, true, false, true]);
    }

    #[test]
    fn what_is_received_is_reported_every_five_seconds() {
        let mut leg = leg(50, 0);
        let start = Instant::now();
        assert_eq!(leg.report(start), None);
        let mut reports = Vec::new();
        for n in 0..550 {
            let now = start + FRAME * n;
            leg.receive(&datagram(n as u16, Codec::Pcma, 8000), now);
            reports.extend(leg.report(now));
        }
        assert_eq!(reports.len(), 2);
        let block = report_blocks(&reports[1])[0];
        assert_eq!(block.ssrc, 3);
        assert!((90..166).contains(&block.fraction_lost), "{block:?}");
    }

    #[test]
    fn a_leg_says_its_playback_in_packets_of_one_stream_and_then_silence() {
        let mut leg = Leg::new(Codec::Pcmu, None, Playback::VoicemailGreeting, 7, None);
        let mut said = Vec::new();
        for n in 0..250_u16 {
            let (header, payload) = packet::parse(leg.next_packet()).unwrap();
            assert_eq!((header.sequence, header.ssrc), (n, 7));
            assert_eq!(header.timestamp, u32::from(n) * 160);
            assert_eq!(header.marker, n == 0);
            assert_eq!(header.payload_type, 0);
            assert_eq!(payload.len(), FRAME_SAMPLES);
            said.extend(payload.iter().map(|b| Codec::Pcmu.decode(*b)));
        }
        assert!(loud(&said) > 8000);
        assert_eq!(loud(&said[voicemail_greeting().len()..]), 0);
        assert!(leg.hear(Instant::now()).is_none());
    }
}
