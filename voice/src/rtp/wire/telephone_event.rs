//! DTMF keys as RTP packets: telephone-events (RFC 4733).

/// The length of one event.
pub const EVENT_BYTES: usize = 4;
/// The longest duration of one event; a longer press continues as a new event (§2.5.1.3).
const MAX_DURATION: u16 = u16::MAX;

/// A DTMF key: `0`–`9`, `*`, `#`, `A`–`D`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DtmfKey(u8);

const KEYS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

impl DtmfKey {
    /// The key of an event code (§3.2). Codes above 15 are other events.
    pub fn from_code(code: u8) -> Option<DtmfKey> {
        (usize::from(code) < KEYS.len()).then_some(DtmfKey(code))
    }

    /// The key with this character.
    pub fn from_char(key: char) -> Option<DtmfKey> {
        let code = KEYS.iter().position(|known| *known == key)?;
        Some(DtmfKey(code as u8))
    }

    pub fn code(self) -> u8 {
        self.0
    }

    pub fn as_char(self) -> char {
        KEYS[usize::from(self.0)]
    }
}

/// The payload of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TelephoneEvent {
    pub code: u8,
    /// Whether the key has been released.
    pub is_end: bool,
    /// From 0 to −63 dBm0, as a positive number.
    pub volume: u8,
    /// The duration so far, in timestamp units.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Parses a payload. Only its first event is read: further ones repeat earlier events.
    pub fn parse(payload: &[u8]) -> Option<TelephoneEvent> {
        let (bytes, _) = payload.split_first_chunk::<EVENT_BYTES>()?;
        Some(TelephoneEvent {
            code: bytes[0],
            is_end: bytes[1] & 0x80 != 0,
            volume: bytes[1] & 0x3f,
            duration: u16::from_be_bytes([bytes[2], bytes[3]]),
        })
    }

    pub fn bytes(&self) -> [u8; EVENT_BYTES] {
        let [high, low] = self.duration.to_be_bytes();
        let end = u8::from(self.is_end) << 7;
        [self.code, end | (self.volume & 0x3f), high, low]
    }
}

/// Reduces the many packets of each key press to one key.
#[derive(Clone, Copy, Default, Debug)]
pub struct TelephoneEventReader {
    last: Option<Press>,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    timestamp: u32,
    code: u8,
    duration: u16,
}

impl TelephoneEventReader {
    /// Handles a packet and returns its key if it is the first packet of its press. All packets of
    /// a press have the timestamp of its beginning, so it does not matter which of them arrive.
    pub fn read(&mut self, timestamp: u32, payload: &[u8]) -> Option<DtmfKey> {
        let event = TelephoneEvent::parse(payload)?;
        let press = Press { timestamp, code: event.code, duration: event.duration };
        if let Some(last) = &mut self.last {
            let since = timestamp.wrapping_sub(last.timestamp);
            if since == 0 {
                last.duration = last.duration.max(event.duration);
                return None;
            }
            if since > u32::MAX / 2 {
                // A late packet of an earlier press.
                return None;
            }
            let is_continuation = last.code == event.code
                && last.duration == MAX_DURATION
                && since == u32::from(MAX_DURATION);
            if is_continuation {
                *last = press;
                return None;
            }
        }
        self.last = Some(press);
        DtmfKey::from_code(event.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The packets of one press: one each 20 ms, and the last one three times.
    fn press(code: u8, timestamp: u32, packets: u16) -> Vec<(u32, [u8; EVENT_BYTES])> {
        let event =
            |n: u16, is_end| TelephoneEvent { code, is_end, volume: 10, duration: 160 * (n + 1) };
        let lasting = (0..packets).map(|n| event(n, false));
        let ends = std::iter::repeat_n(event(packets, true), 3);
        lasting.chain(ends).map(|event| (timestamp, event.bytes())).collect()
    }

    fn keys_of(packets: &[(u32, [u8; EVENT_BYTES])]) -> Vec<char> {
        let mut reader = TelephoneEventReader::default();
        let taken =
            packets.iter().filter_map(|(timestamp, payload)| reader.read(*timestamp, payload));
        taken.map(DtmfKey::as_char).collect()
    }

    #[test]
    fn each_press_is_reported_once_at_its_first_packet() {
        let mut packets = press(5, 1000, 4);
        packets.extend(press(5, 9000, 4));
        packets.extend(press(11, 20_000, 0));
        assert_eq!(keys_of(&packets), ['5', '5', '#']);
    }

    #[test]
    fn a_late_packet_of_an_earlier_press_is_ignored() {
        let (one, two) = (press(1, u32::MAX - 10, 2), press(2, 5000, 2));
        let mixed = [one[0], two[0], one[4], two[1], one[1]];
        assert_eq!(keys_of(&mixed), ['1', '2']);
    }

    #[test]
    fn a_key_held_longer_than_the_maximum_duration_is_one_press() {
        let long = TelephoneEvent { code: 3, is_end: false, volume: 10, duration: MAX_DURATION };
        let after = TelephoneEvent { duration: 160, ..long };
        let start = 77_u32;
        let next = start + u32::from(MAX_DURATION);
        assert_eq!(keys_of(&[(start, long.bytes()), (next, after.bytes())]), ['3']);
        assert_eq!(
            keys_of(&[(start, after.bytes()), (next, after.bytes())]),
            ['3', '3'],
            "the first press had ended"
        );
    }

    #[test]
    fn other_events_are_not_keys() {
        assert_eq!(keys_of(&press(16, 0, 2)), Vec::<char>::new());
        assert_eq!(TelephoneEventReader::default().read(0, &[1, 2, 3]), None);
        assert_eq!(DtmfKey::from_char('E'), None);
    }

    proptest! {
        #[test]
        fn each_press_with_a_received_packet_is_reported_once(
            codes in proptest::collection::vec(0u8..16, 1..12), kept: u64, start: u32,
        ) {
            let mut packets = Vec::new();
            let mut expected = Vec::new();
            for (n, code) in codes.iter().enumerate() {
                let all = press(*code, start.wrapping_add(n as u32 * 4000), 5);
                let left: Vec<_> = (0..all.len())
                    .filter(|at| kept.rotate_left((n * 7 + at) as u32) & 1 == 1)
                    .map(|at| all[at])
                    .collect();
                if !left.is_empty() {
                    expected.push(DtmfKey(*code).as_char());
                }
                packets.extend(left);
            }
            prop_assert_eq!(keys_of(&packets), expected);
        }

        #[test]
        fn no_payload_makes_the_reader_panic(
            packets in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 0..9)), 0..20),
        ) {
            let mut reader = TelephoneEventReader::default();
            for (timestamp, payload) in packets {
                let _ = reader.read(timestamp, &payload);
            }
        }
    }
}
