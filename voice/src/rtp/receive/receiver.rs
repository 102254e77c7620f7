//! Receives the packets of one stream's far end: detects DTMF keys and measures reception quality.

use std::time::{Duration, Instant};

use super::quality::ReceptionStats;
use crate::audio::g711::Codec;
use crate::rtp::wire::dtmf_tones::ToneDetector;
use crate::rtp::wire::packet::Header;
use crate::rtp::wire::rtcp::ReportBlock;
use crate::rtp::wire::telephone_event::{DtmfKey, TelephoneEventReader};

/// The same key received again within this time is one press: a gateway may let the beginning of
/// the tone through before it recognises it and sends an event.
const SAME_KEY_WITHIN: Duration = Duration::from_millis(300);

/// Its static payload type (RFC 3551 §6).
const COMFORT_NOISE: u8 = 13;

/// 60 ms. The rest of a longer packet is ignored.
const MAX_SAMPLES: usize = 480;

/// The receiver of one stream.
#[derive(Debug)]
pub(in crate::rtp) struct StreamReceiver {
    codec: Codec,
    /// The payload type of telephone-events, if the far end agreed to send them.
    telephone_event: Option<u8>,
    events: TelephoneEventReader,
    /// Dropped at the first event, which shows how the far end sends keys.
    tones: Option<Box<ToneDetector>>,
    last_key: Option<(DtmfKey, Instant)>,
    stats: Option<ReceptionStats>,
}

impl StreamReceiver {
    /// Without `wants_dtmf`, tones are not detected.
    pub fn new(codec: Codec, telephone_event: Option<u8>, wants_dtmf: bool) -> StreamReceiver {
        StreamReceiver {
            codec,
            telephone_event,
            events: TelephoneEventReader::default(),
            tones: (wants_dtmf && telephone_event.is_none()).then(Box::default),
            last_key: None,
            stats: None,
        }
    }

    /// Applies what a mid-call offer and answer changed.
    pub fn update(&mut self, codec: Codec, telephone_event: Option<u8>) {
        (self.codec, self.telephone_event) = (codec, telephone_event);
    }

    /// Whether a far end may send this payload type: a codec of ours, telephone-events or comfort
    /// noise (RFC 3389).
    pub fn accepts(&self, payload_type: u8) -> bool {
        Codec::from_payload_type(payload_type).is_some()
            || self.telephone_event == Some(payload_type)
            || payload_type == COMFORT_NOISE
    }

    /// Handles a packet and returns the key that it completes. `epoch` is any fixed time.
    pub fn receive(
        &mut self,
        header: &Header,
        payload: &[u8],
        now: Instant,
        epoch: Instant,
    ) -> Option<DtmfKey> {
        let stats = match &mut self.stats {
            Some(stats) if stats.ssrc() == header.ssrc => stats,
            other => {
                self.events = TelephoneEventReader::default();
                other.insert(ReceptionStats::new(header.ssrc, header.sequence))
            }
        };
        if self.telephone_event == Some(header.payload_type) {
            // The timestamp of an event is the time of the key press, not of the packet.
            stats.record_untimed(header.sequence);
            let key = self.events.read(header.timestamp, payload)?;
            self.tones = None;
            return self.deduplicate(key, now);
        }
        let since = now.saturating_duration_since(epoch);
        stats.record(header.sequence, header.timestamp, since);
        let codec = Codec::from_payload_type(header.payload_type)?;
        let tones = self.tones.as_mut()?;
        let mut samples = [0; MAX_SAMPLES];
        let length = payload.len().min(MAX_SAMPLES);
        for (sample, byte) in samples.iter_mut().zip(payload) {
            *sample = codec.decode(*byte);
        }
        let key = tones.detect(&samples[..length])?;
        self.deduplicate(key, now)
    }

    fn deduplicate(&mut self, key: DtmfKey, now: Instant) -> Option<DtmfKey> {
        let before = self.last_key.replace((key, now));
        let is_same = before.is_some_and(|(last, at)| {
            last == key && now.saturating_duration_since(at) < SAME_KEY_WITHIN
        });
        (!is_same).then_some(key)
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
    use super::*;
    use crate::rtp::wire::dtmf_tones;
    use crate::rtp::wire::telephone_event::TelephoneEvent;

    const EVENTS: u8 = 101;

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
            receiver.receive(&header(8, n as u16, n as u32 * 160), &payload, now, start)
        });
        keys.map(DtmfKey::as_char).collect()
    }

    #[test]
    fn keys_are_detected_as_events_and_as_tones() {
        let start = Instant::now();
        let mut receiver = StreamReceiver::new(Codec::Pcma, Some(EVENTS), true);
        let key = receiver.receive(&header(EVENTS, 1, 100), &press(3), start, start);
        assert_eq!(key.map(DtmfKey::as_char), Some('3'));
        let key = DtmfKey::from_char('9').unwrap();
        let tone = dtmf_tones::tone(key, 100, -10.0);
        assert_eq!(
            listen(&mut receiver, &tone, start),
            Vec::<char>::new(),
            "telephone-events were negotiated"
        );
        let mut receiver = StreamReceiver::new(Codec::Pcma, None, true);
        assert_eq!(listen(&mut receiver, &tone, start), ['9']);
        let mut receiver = StreamReceiver::new(Codec::Pcma, None, false);
        assert_eq!(listen(&mut receiver, &tone, start), Vec::<char>::new());
    }

    #[test]
    fn a_key_received_twice_at_once_is_reported_once() {
        let start = Instant::now();
        let mut receiver = StreamReceiver::new(Codec::Pcma, Some(EVENTS), true);
        let mut press_at = |timestamp, ms| {
            let now = start + Duration::from_millis(ms);
            let header = header(EVENTS, timestamp as u16, timestamp);
            receiver.receive(&header, &press(3), now, start).is_some()
        };
        assert!(press_at(100, 0));
        assert!(!press_at(300, 100));
        assert!(press_at(9000, 1000));
    }

    #[test]
    fn lost_packets_are_reported() {
        let start = Instant::now();
        let mut receiver = StreamReceiver::new(Codec::Pcma, None, false);
        assert_eq!(receiver.report_block(start), None, "nothing was received");
        for n in [0_u16, 1, 3] {
            receiver.receive(&header(8, n, u32::from(n) * 160), &[0; 160], start, start);
        }
        assert_eq!(receiver.report_block(start).unwrap().lost, 1);
        assert_eq!(receiver.loss_and_jitter().0, 1);
    }
}
