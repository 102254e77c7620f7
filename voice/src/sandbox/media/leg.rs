//! The audio of one call on the callee's side: what it sends, and what it receives over a simulated
//! path.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::greeting::voicemail_greeting;
use super::impairment::Impairment;
use super::jitter_buffer::JitterBuffer;
use super::key_presser::{KeyPress, KeyPresser};
use super::receiver_report::ReceivedStream;
use crate::audio::g711::Codec;
use crate::rtp::wire::dtmf_tones;
use crate::rtp::wire::packet;
use crate::rtp::wire::packet::Header;
use crate::rtp::wire::telephone_event::DtmfKey;
use crate::sandbox::behaviour::Playback;
use crate::sandbox::events::CallId;

/// The time of one packet.
pub(crate) const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
/// How much later than the first packet another one may arrive and still be played: 200 ms, to
/// which mobile phones adapt.
const JITTER_BUFFER_SAMPLES: usize = 1600;
/// Audio is passed to the listener in chunks of 100 ms.
const CHUNK_SAMPLES: usize = 800;
/// The key that is pressed when any key is requested.
const PRESSED_KEY: char = '1';
/// RFC 3550 §6.2: the minimum time between reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The audio of a call in both directions.
pub(crate) struct Leg {
    sender: AudioSender,
    received: Option<ReceivedStream>,
    /// The time of the next receiver report.
    report_at: Option<Instant>,
    listening: Option<ListeningPath>,
    /// `None` for a voicemail box.
    key_presser: Option<KeyPresser>,
    /// The payload type of telephone-events, if they were negotiated.
    telephone_event: Option<u8>,
}

/// The stream to the caller.
struct AudioSender {
    codec: Codec,
    /// The remaining audio; silence follows.
    audio: &'static [i16],
    header: Header,
    packet: Vec<u8>,
    /// The key press that is being sent.
    press: Option<KeyPress>,
}

/// The stream from the caller, of a call that is listened to.
struct ListeningPath {
    call_id: CallId,
    path: Impairment,
    /// Packets that the path still delays.
    in_transit: Vec<(Instant, Vec<u8>)>,
    buffer: JitterBuffer,
    audio: Vec<i16>,
}

impl Leg {
    /// Creates a leg that plays `playback` to the caller. It listens if `listened` gives the call
    /// and the path of its audio.
    pub fn new(
        codec: Codec,
        telephone_event: Option<u8>,
        playback: Playback,
        ssrc: u32,
        listened: Option<(CallId, Impairment)>,
    ) -> Leg {
        Leg {
            sender: AudioSender {
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
            key_presser: match playback {
                Playback::Silence => Some(KeyPresser::default()),
                Playback::VoicemailGreeting => None,
            },
            telephone_event,
            received: None,
            report_at: None,
            listening: listened.map(|(call_id, path)| ListeningPath {
                call_id,
                path,
                in_transit: Vec::new(),
                buffer: JitterBuffer::new(JITTER_BUFFER_SAMPLES),
                audio: Vec::new(),
            }),
        }
    }

    /// The Call-ID, if the call is listened to.
    pub fn listened_call_id(&self) -> Option<CallId> {
        self.listening.as_ref().map(|listening| listening.call_id.clone())
    }

    /// Whether the caller may send this payload type.
    pub fn accepts(&self, payload_type: u8) -> bool {
        Codec::from_payload_type(payload_type).is_some()
            || self.telephone_event == Some(payload_type)
    }

    /// Handles a datagram from the caller. Packets that the path loses are not counted as received.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) {
        let delay = match &mut self.listening {
            Some(listening) => listening.path.delay_of_next(),
            None => Some(Duration::ZERO),
        };
        let (Some(delay), Some((header, payload))) = (delay, packet::parse(datagram)) else {
            return;
        };
        if let (Some(key_presser), Some(codec)) =
            (&mut self.key_presser, Codec::from_payload_type(header.payload_type))
            && key_presser.take_frame(payload.iter().map(|byte| codec.decode(*byte)))
        {
            self.sender.press(self.telephone_event);
        }
        match &mut self.received {
            Some(stream) => stream.record(&header, now + delay),
            none => {
                *none = Some(ReceivedStream::new(&header, now + delay));
                self.report_at = Some(now + REPORT_INTERVAL);
            }
        }
        match &mut self.listening {
            Some(listening) if delay.is_zero() => listening.insert(datagram),
            Some(listening) => listening.in_transit.push((now + delay, datagram.to_vec())),
            None => {}
        }
    }

    /// Returns the receiver report for the caller, if one is due.
    pub fn report(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.report_at.filter(|at| now >= *at)?;
        self.report_at = Some(now + REPORT_INTERVAL);
        let ssrc = self.sender.header.ssrc;
        self.received.as_mut().map(|stream| stream.report(ssrc, now))
    }

    /// Returns the packet of the next 20 ms for the caller.
    pub fn next_packet(&mut self) -> &[u8] {
        self.sender.next_packet()
    }

    /// Advances by 20 ms and returns the next chunk of received audio, if it is complete.
    pub fn pull_audio(&mut self, now: Instant) -> Option<Vec<i16>> {
        let listening = self.listening.as_mut()?;
        listening.insert_arrived(now);
        listening.buffer.pull(FRAME_SAMPLES, &mut listening.audio);
        (listening.audio.len() >= CHUNK_SAMPLES).then(|| std::mem::take(&mut listening.audio))
    }

    /// Returns the received audio that was not returned yet.
    pub fn drain_audio(&mut self) -> Option<Vec<i16>> {
        let mut listening = self.listening.take()?;
        listening.buffer.drain(&mut listening.audio);
        Some(listening.audio)
    }
}

impl AudioSender {
    /// Presses a key, as telephone-events if they were negotiated, otherwise as a tone.
    fn press(&mut self, telephone_event: Option<u8>) {
        let Some(key) = DtmfKey::from_char(PRESSED_KEY) else {
            return;
        };
        match telephone_event {
            Some(number) => self.press = Some(KeyPress::start(number, key, self.header.timestamp)),
            None => self.audio = key_tone(key),
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
        let (played, rest) = self.audio.split_at(self.audio.len().min(FRAME_SAMPLES));
        self.audio = rest;
        self.packet.clear();
        self.packet.extend_from_slice(&self.header.bytes());
        let silence = std::iter::repeat_n(0, FRAME_SAMPLES - played.len());
        let samples = played.iter().copied().chain(silence);
        let codec = self.codec;
        self.packet.extend(samples.map(|s| codec.encode(s)));
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        &self.packet
    }
}

fn key_tone(key: DtmfKey) -> &'static [i16] {
    static TONE: OnceLock<Vec<i16>> = OnceLock::new();
    TONE.get_or_init(|| dtmf_tones::tone(key, 120, -10.0))
}

impl ListeningPath {
    fn insert_arrived(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.in_transit.len() {
            if self.in_transit[at].0 <= now {
                let (_, datagram) = self.in_transit.swap_remove(at);
                self.insert(&datagram);
            } else {
                at += 1;
            }
        }
    }

    /// The caller may use either codec, whatever was negotiated. Other payload types, such as
    /// comfort noise and key presses, are silence.
    fn insert(&mut self, datagram: &[u8]) {
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
    use crate::rtp::wire::rtcp::{self, RtcpItem};

    fn leg(loss_percent: u8, jitter_ms: u64) -> Leg {
        let path = Impairment::new(loss_percent, Duration::from_millis(jitter_ms), 1);
        let listened = Some((CallId::from("a"), path));
        Leg::new(Codec::Pcma, None, Playback::Silence, 7, listened)
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

    /// Sends a second of audio in real time steps and returns what is received of it.
    fn a_second_through(mut leg: Leg) -> Vec<i16> {
        let start = Instant::now();
        let mut audio = Vec::new();
        for n in 0..50 {
            let now = start + FRAME * n;
            leg.receive(&datagram(n as u16, Codec::Pcma, 8000), now);
            audio.extend(leg.pull_audio(now).unwrap_or_default());
        }
        for n in 50..100 {
            audio.extend(leg.pull_audio(start + FRAME * n).unwrap_or_default());
        }
        audio.extend(leg.drain_audio().unwrap_or_default());
        audio
    }

    fn loud(audio: &[i16]) -> usize {
        audio.iter().filter(|s| s.abs() > 4000).count()
    }

    #[test]
    fn all_audio_of_a_good_path_arrives() {
        assert_eq!(loud(&a_second_through(leg(0, 0))), 8000);
    }

    #[test]
    fn jitter_within_the_buffer_loses_nothing_and_beyond_it_leaves_gaps() {
        assert_eq!(loud(&a_second_through(leg(0, 150))), 8000);
        let audio = loud(&a_second_through(leg(0, 1000)));
        assert!((500..7000).contains(&audio), "{audio} of 8000");
    }

    #[test]
    fn loss_leaves_gaps_and_keeps_the_timing() {
        let audio = a_second_through(leg(50, 0));
        assert!((2000..6000).contains(&loud(&audio)), "{}", loud(&audio));
        assert!(audio.len() > 8000);
        assert_eq!(loud(&a_second_through(leg(100, 0))), 0);
    }

    #[test]
    fn either_codec_is_decoded_and_anything_else_is_silence() {
        let mut leg = leg(0, 0);
        let now = Instant::now();
        leg.receive(&datagram(0, Codec::Pcma, 8000), now);
        leg.receive(&datagram(1, Codec::Pcmu, 8000), now);
        let mut comfort_noise = datagram(2, Codec::Pcmu, 8000);
        comfort_noise[1] = 13;
        leg.receive(&comfort_noise, now);
        leg.receive(b"no RTP", now);
        leg.receive(&datagram(3, Codec::Pcmu, 8000), now);
        let audio = leg.drain_audio().unwrap();
        assert_eq!(audio.len(), 4 * FRAME_SAMPLES);
        let is_loud: Vec<_> = audio.chunks(FRAME_SAMPLES).map(|f| loud(f) > 0).collect();
        assert_eq!(is_loud, [true, true, false, true]);
    }

    #[test]
    fn reception_is_reported_every_five_seconds() {
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
        let [RtcpItem::Block(block)] = rtcp::parse(&reports[1])[..] else {
            panic!("{reports:?}");
        };
        assert_eq!(block.ssrc, 3);
        assert!((90..166).contains(&block.fraction_lost), "{block:?}");
    }

    #[test]
    fn a_leg_sends_its_playback_and_then_silence_in_one_stream() {
        let mut leg = Leg::new(Codec::Pcmu, None, Playback::VoicemailGreeting, 7, None);
        let mut played = Vec::new();
        for n in 0..250_u16 {
            let (header, payload) = packet::parse(leg.next_packet()).unwrap();
            assert_eq!((header.sequence, header.ssrc), (n, 7));
            assert_eq!(header.timestamp, u32::from(n) * 160);
            assert_eq!(header.marker, n == 0);
            assert_eq!(header.payload_type, 0);
            assert_eq!(payload.len(), FRAME_SAMPLES);
            played.extend(payload.iter().map(|b| Codec::Pcmu.decode(*b)));
        }
        assert!(loud(&played) > 8000);
        assert_eq!(loud(&played[voicemail_greeting().len()..]), 0);
        assert!(leg.pull_audio(Instant::now()).is_none());
    }
}
