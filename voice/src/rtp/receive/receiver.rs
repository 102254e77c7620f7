//! Receives the packets of one stream's far end: detects DTMF keys and measures reception quality.
//!
//! One press may be reported by several sources. The owner of the call counts it once.

use std::time::Instant;

use super::quality::ReceptionStats;
use crate::audio::g711::{Codec, Format};
use crate::rtp::wire::dtmf_tones::ToneDetector;
use crate::rtp::wire::packet::Header;
use crate::rtp::wire::rtcp::ReportBlock;
use crate::rtp::wire::telephone_event::{EventTypes, KeyChange, KeySource, TelephoneEventReader};

/// Its static payload type (RFC 3551 §6).
const COMFORT_NOISE: u8 = 13;

/// 60 ms. The rest of a longer packet is ignored.
const MAX_SAMPLES: usize = 480;

/// A key that the far end pressed or released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySignal {
    pub change: KeyChange,
    pub source: KeySource,
}

/// The receiver of one stream.
#[derive(Debug)]
pub(in crate::rtp) struct StreamReceiver {
    /// The codec, under the far end's payload type.
    format: Format,
    event_types: EventTypes,
    events: TelephoneEventReader,
    /// Also if events were agreed: many far ends agree to them and send tones. Dropped at the first
    /// event, which shows how the far end sends keys.
    tones: Option<Box<ToneDetector>>,
    stats: Option<ReceptionStats>,
}

impl StreamReceiver {
    /// Without `wants_dtmf`, tones are not detected.
    pub fn new(format: Format, event_types: EventTypes, wants_dtmf: bool) -> StreamReceiver {
        StreamReceiver {
            format,
            event_types,
            events: TelephoneEventReader::default(),
            tones: wants_dtmf.then(Box::default),
            stats: None,
        }
    }

    /// Applies what a mid-call offer and answer changed.
    pub fn update(&mut self, format: Format, event_types: EventTypes) {
        (self.format, self.event_types) = (format, event_types);
    }

    /// Stops the detection of tones, which costs the most of all that is done for a packet.
    pub fn ignore_tones(&mut self) {
        self.tones = None;
    }

    /// Whether a far end may send this payload type: a codec of ours, telephone-events or comfort
    /// noise (RFC 3389).
    pub fn accepts(&self, payload_type: u8) -> bool {
        self.codec_of(payload_type).is_some()
            || self.event_types.contains(payload_type)
            || payload_type == COMFORT_NOISE
    }

    /// The codec of a payload type: the far end's own number, or a static one of our offer.
    fn codec_of(&self, payload_type: u8) -> Option<Codec> {
        match payload_type == self.format.payload_type {
            true => Some(self.format.codec),
            false => Codec::from_payload_type(payload_type),
        }
    }

    /// Handles a packet and returns the press or release that it completes. `epoch` is any fixed time.
    pub fn receive(
        &mut self,
        header: &Header,
        payload: &[u8],
        now: Instant,
        epoch: Instant,
    ) -> Option<KeySignal> {
        let stats = match &mut self.stats {
            Some(stats) if stats.ssrc() == header.ssrc => stats,
            other => {
                self.events = TelephoneEventReader::default();
                other.insert(ReceptionStats::new(header.ssrc, header.sequence))
            }
        };
        if self.event_types.is_event(header.payload_type, payload) {
            // The timestamp of an event is the time of the key press, not of the packet.
            stats.record_untimed(header.sequence);
            let change = self.events.read(header.timestamp, payload)?;
            self.tones = None;
            return Some(KeySignal { change, source: KeySource::Event });
        }
        let since = now.saturating_duration_since(epoch);
        stats.record(header.sequence, header.timestamp, since);
        let codec = self.codec_of(header.payload_type)?;
        let tones = self.tones.as_mut()?;
        let mut samples = [0; MAX_SAMPLES];
        let length = payload.len().min(MAX_SAMPLES);
        for (sample, byte) in samples.iter_mut().zip(payload) {
            *sample = codec.decode(*byte);
        }
        let change = tones.detect(&samples[..length])?;
        Some(KeySignal { change, source: KeySource::Tone })
    }

    /// Records the NTP time of a sender report of the far end.
    pub fn record_sender_time(&mut self, ssrc: u32, ntp_middle: u32, now: Instant) {
        if let Some(stats) = self.stats.as_mut().filter(|a| a.ssrc() == ssrc) {
            stats.record_sender_time(ntp_middle, now);
        }
    }

    /// Returns the report block about the far end's stream, if anything was received.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        self.stats.as_mut().map(|stats| stats.report_block(now))
    }

    /// The number of the far end's packets lost, and their jitter in timestamp units.
    pub fn loss_and_jitter(&self) -> (u32, u32) {
        let stats = self.stats.as_ref();
        stats.map_or((0, 0), |stats| (stats.lost(), stats.jitter()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtp::wire::dtmf_tones;
    use crate::rtp::wire::telephone_event::{DtmfKey, TelephoneEvent};

    const EVENTS: u8 = 96;
    const OURS: u8 = 101;
    const PCMA: Format = Format { codec: Codec::Pcma, payload_type: 8 };

    fn receiver(wants_dtmf: bool) -> StreamReceiver {
        let described = [EVENTS].into_iter().collect();
        StreamReceiver::new(PCMA, EventTypes { described, ours: Some(OURS) }, wants_dtmf)
    }

    fn pressed(signal: Option<KeySignal>) -> Option<char> {
        signal?.change.pressed().map(DtmfKey::as_char)
    }

    fn header(payload_type: u8, sequence: u16, timestamp: u32) -> Header {
        Header { marker: false, payload_type, sequence, timestamp, ssrc: 5 }
    }

    fn press(code: u8) -> [u8; 4] {
        let event = TelephoneEvent { code, is_end: false, volume: 10, duration: 160 };
        event.bytes()
    }

    /// Receives `samples` in frames of 20 ms and returns the keys.
    fn listen(receiver: &mut StreamReceiver, samples: &[i16], start: Instant) -> Vec<char> {
        let frames = samples.chunks(160).enumerate();
        let keys = frames.filter_map(|(n, frame)| {
            let payload: Vec<u8> = frame.iter().map(|s| Codec::Pcma.encode(*s)).collect();
            let now = start + Duration::from_millis(20) * n as u32;
            let packet = header(8, n as u16, n as u32 * 160);
            pressed(receiver.receive(&packet, &payload, now, start))
        });
        keys.collect()
    }

    #[test]
    fn an_event_counts_under_the_far_ends_payload_type_and_under_ours() {
        let start = Instant::now();
        for payload_type in [EVENTS, OURS] {
            let mut receiver = receiver(true);
            let packet = header(payload_type, 1, 100);
            let signal = receiver.receive(&packet, &press(3), start, start);
            assert_eq!(pressed(signal), Some('3'));
            assert_eq!(signal.unwrap().source, KeySource::Event);
            assert_eq!(receiver.receive(&packet, &press(3), start, start), None, "the same press");
        }
        let other = receiver(true).receive(&header(102, 1, 100), &press(3), start, start);
        assert_eq!(other, None);
    }

    #[test]
    fn an_event_type_that_is_also_a_codecs_number_is_an_event() {
        let start = Instant::now();
        let described = [0].into_iter().collect();
        let mut receiver = StreamReceiver::new(PCMA, EventTypes { described, ours: None }, true);
        assert_eq!(
            pressed(receiver.receive(&header(0, 1, 100), &press(7), start, start)),
            Some('7')
        );
    }

    #[test]
    fn tones_count_until_an_event_shows_how_the_far_end_sends_keys() {
        let start = Instant::now();
        let tone = dtmf_tones::tone(DtmfKey::from_char('9').unwrap(), 100, -10.0);
        let tone = [tone, vec![0; 800]].concat();
        let mut one = receiver(true);
        assert_eq!(listen(&mut one, &tone, start), ['9'], "although events were agreed");
        one.receive(&header(EVENTS, 100, 100), &press(3), start, start);
        assert_eq!(listen(&mut one, &tone, start), Vec::<char>::new());
        let mut other = receiver(true);
        other.ignore_tones();
        assert_eq!(listen(&mut other, &tone, start), Vec::<char>::new());
        assert_eq!(listen(&mut receiver(false), &tone, start), Vec::<char>::new());
    }

    #[test]
    fn lost_packets_are_reported() {
        let start = Instant::now();
        let mut receiver = receiver(false);
        assert_eq!(receiver.report_block(start), None, "nothing was received");
        for n in [0_u16, 1, 3] {
            receiver.receive(&header(8, n, u32::from(n) * 160), &[0; 160], start, start);
        }
        assert_eq!(receiver.report_block(start).unwrap().lost, 1);
        assert_eq!(receiver.loss_and_jitter().0, 1);
    }

    #[test]
    fn a_codec_is_received_under_its_agreed_and_its_static_payload_type() {
        let start = Instant::now();
        let tone = dtmf_tones::tone(DtmfKey::from_char('9').unwrap(), 100, -10.0);
        for number in [96, 8] {
            let mut receiver = StreamReceiver::new(
                Format { payload_type: 96, ..PCMA },
                EventTypes::default(),
                true,
            );
            assert!(receiver.accepts(number) && receiver.accepts(0) && !receiver.accepts(97));
            let frames = tone.chunks(160).enumerate();
            let keys = frames.filter_map(|(n, frame)| {
                let payload: Vec<u8> = frame.iter().map(|s| Codec::Pcma.encode(*s)).collect();
                let now = start + Duration::from_millis(20) * n as u32;
                let header = header(number, n as u16, n as u32 * 160);
                pressed(receiver.receive(&header, &payload, now, start))
            });
            assert_eq!(keys.collect::<Vec<_>>(), ['9'], "{number}");
        }
    }
}
