//! What is made of a far end's packets: keys that are pressed, and how well they arrive.

use std::time::{Duration, Instant};

use super::quality::{Arrivals, Reception};
use crate::audio::g711::Codec;
use crate::rtp::wire::dtmf_tones::ToneReader;
use crate::rtp::wire::packet::Header;
use crate::rtp::wire::telephone_event::{Key, KeyReader};

/// A key that comes as an event and as sound within this time was pressed once: gateways let the
/// beginning of the sound through before they know what it is.
const SAME_PRESS: Duration = Duration::from_millis(300);

/// Of a longer packet than 60 ms the rest is not listened to.
const MOST_SAMPLES: usize = 480;

/// The ears of one stream.
#[derive(Debug)]
pub(in crate::rtp) struct Ears {
    codec: Codec,
    /// The payload type of events, where the far end agreed to send them.
    telephone_event: Option<u8>,
    events: KeyReader,
    /// While no event has come: then the far end has shown how it sends keys.
    tones: Option<Box<ToneReader>>,
    last_key: Option<(Key, Instant)>,
    arrivals: Option<Arrivals>,
}

impl Ears {
    /// `wants_keys`: without, sound is not listened to.
    pub fn new(codec: Codec, telephone_event: Option<u8>, wants_keys: bool) -> Ears {
        Ears {
            codec,
            telephone_event,
            events: KeyReader::default(),
            tones: (wants_keys && telephone_event.is_none()).then(Box::default),
            last_key: None,
            arrivals: None,
        }
    }

    /// The far end agreed to something else in mid-call.
    pub fn agree(&mut self, codec: Codec, telephone_event: Option<u8>) {
        (self.codec, self.telephone_event) = (codec, telephone_event);
    }

    /// Takes a packet; `epoch` is any fixed time.
    pub fn take(
        &mut self,
        header: &Header,
        payload: &[u8],
        now: Instant,
        epoch: Instant,
    ) -> Option<Key> {
        let arrivals = match &mut self.arrivals {
            Some(arrivals) if arrivals.ssrc() == header.ssrc => arrivals,
            other => {
                self.events = KeyReader::default();
                other.insert(Arrivals::start(header.ssrc, header.sequence))
            }
        };
        if self.telephone_event == Some(header.payload_type) {
            // Its timestamp is when the key was pressed, not when it was sent.
            arrivals.take_untimed(header.sequence);
            let key = self.events.take(header.timestamp, payload)?;
            self.tones = None;
            return self.pressed(key, now);
        }
        let since = now.saturating_duration_since(epoch);
        arrivals.take(header.sequence, header.timestamp, since);
        let codec = Codec::from_payload_type(header.payload_type)?;
        let tones = self.tones.as_mut()?;
        let mut samples = [0; MOST_SAMPLES];
        let length = payload.len().min(MOST_SAMPLES);
        for (sample, byte) in samples.iter_mut().zip(payload) {
            *sample = codec.decode(*byte);
        }
        let key = tones.take(&samples[..length])?;
        self.pressed(key, now)
    }

    fn pressed(&mut self, key: Key, now: Instant) -> Option<Key> {
        let before = self.last_key.replace((key, now));
        let is_same = before.is_some_and(|(last, at)| {
            last == key && now.saturating_duration_since(at) < SAME_PRESS
        });
        (!is_same).then_some(key)
    }

    /// The far end has reported at this time of its own.
    pub fn reported(&mut self, ssrc: u32, ntp_middle: u32, now: Instant) {
        if let Some(arrivals) = self.arrivals.as_mut().filter(|a| a.ssrc() == ssrc) {
            arrivals.reported(ntp_middle, now);
        }
    }

    /// What is to be said of the far end's stream.
    pub fn report(&mut self, now: Instant) -> Option<Reception> {
        self.arrivals.as_mut().map(|arrivals| arrivals.report(now))
    }

    /// Packets lost on the way here, and their jitter in timestamp units.
    pub fn figures(&self) -> (u32, u32) {
        let arrivals = self.arrivals.as_ref();
        arrivals.map_or((0, 0), |arrivals| (arrivals.lost(), arrivals.jitter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::wire::dtmf_tones;
    use crate::rtp::wire::telephone_event::Event;

    const EVENTS: u8 = 101;

    fn header(payload_type: u8, sequence: u16, timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_type,
            sequence,
            timestamp,
            ssrc: 5,
        }
    }

    fn press(code: u8) -> [u8; 4] {
        let event = Event {
            code,
            is_end: false,
            volume: 10,
            duration: 160,
        };
        event.bytes()
    }

    /// Each 20 ms frame of `samples` in turn.
    fn listen(ears: &mut Ears, samples: &[i16], start: Instant) -> Vec<char> {
        let frames = samples.chunks(160).enumerate();
        let keys = frames.filter_map(|(n, frame)| {
            let payload: Vec<u8> = frame.iter().map(|s| Codec::Pcma.encode(*s)).collect();
            let now = start + Duration::from_millis(20) * n as u32;
            ears.take(&header(8, n as u16, n as u32 * 160), &payload, now, start)
        });
        keys.map(Key::as_char).collect()
    }

    #[test]
    fn keys_are_heard_as_events_and_as_sound() {
        let start = Instant::now();
        let mut ears = Ears::new(Codec::Pcma, Some(EVENTS), true);
        let key = ears.take(&header(EVENTS, 1, 100), &press(3), start, start);
        assert_eq!(key.map(Key::as_char), Some('3'));
        let key = Key::of_char('9').unwrap();
        let sound = dtmf_tones::tone(key, 100, -10.0);
        assert_eq!(
            listen(&mut ears, &sound, start),
            Vec::<char>::new(),
            "events were agreed on"
        );
        let mut ears = Ears::new(Codec::Pcma, None, true);
        assert_eq!(listen(&mut ears, &sound, start), ['9']);
        let mut ears = Ears::new(Codec::Pcma, None, false);
        assert_eq!(listen(&mut ears, &sound, start), Vec::<char>::new());
    }

    #[test]
    fn a_key_that_comes_twice_at_once_was_pressed_once() {
        let start = Instant::now();
        let mut ears = Ears::new(Codec::Pcma, Some(EVENTS), true);
        let mut press_at = |timestamp, ms| {
            let now = start + Duration::from_millis(ms);
            let header = header(EVENTS, timestamp as u16, timestamp);
            ears.take(&header, &press(3), now, start).is_some()
        };
        assert!(press_at(100, 0));
        assert!(!press_at(300, 100));
        assert!(press_at(9000, 1000));
    }

    #[test]
    fn what_was_lost_is_reported() {
        let start = Instant::now();
        let mut ears = Ears::new(Codec::Pcma, None, false);
        assert_eq!(ears.report(start), None, "nothing was heard");
        for n in [0_u16, 1, 3] {
            ears.take(&header(8, n, u32::from(n) * 160), &[0; 160], start, start);
        }
        assert_eq!(ears.report(start).unwrap().lost, 1);
        assert_eq!(ears.figures().0, 1);
    }
}
