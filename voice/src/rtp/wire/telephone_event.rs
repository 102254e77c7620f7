//! DTMF keys as RTP packets: telephone-events (RFC 4733).

/// The length of one event.
pub const EVENT_BYTES: usize = 4;
/// A longer press continues as a new event (§2.5.1.3). Senders that count in packets end an event
/// up to one packet of 120 ms before the longest duration.
const LONGEST_DURATIONS: u16 = u16::MAX - MAX_PACKET_UNITS;
/// 120 ms at 8000 Hz.
const MAX_PACKET_UNITS: u16 = 960;
/// The reserved bit of an event (§2.3.3).
const RESERVED: u8 = 0x40;

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

/// How the press of a key reached us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeySource {
    /// A telephone-event.
    Event,
    /// A pair of tones in the audio.
    Tone,
    /// A SIP INFO.
    Info,
}

/// The begin or the end of a press.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyChange {
    Pressed(DtmfKey),
    Released(DtmfKey),
}

impl KeyChange {
    /// The key whose press begins.
    pub fn pressed(self) -> Option<DtmfKey> {
        match self {
            KeyChange::Pressed(key) => Some(key),
            KeyChange::Released(_) => None,
        }
    }
}

/// A set of RTP payload types, 0 to 127.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PayloadTypes(u128);

impl PayloadTypes {
    pub fn contains(self, number: u8) -> bool {
        number < 128 && self.0 & (1 << number) != 0
    }
}

impl FromIterator<u8> for PayloadTypes {
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> PayloadTypes {
        let valid = numbers.into_iter().filter(|number| *number < 128);
        PayloadTypes(valid.fold(0, |set, number| set | 1 << number))
    }
}

/// The payload types under which a far end may send events.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EventTypes {
    /// Those that the far end described as telephone-events, of any clock rate.
    pub described: PayloadTypes,
    /// The one that we described. RFC 3264 §5.1 lets the far end send under it whatever its own
    /// description says, and many that describe none do. `None` if the far end uses the number for
    /// something else.
    pub ours: Option<u8>,
}

impl EventTypes {
    /// Whether a packet of this payload type may be an event.
    pub fn contains(self, payload_type: u8) -> bool {
        self.described.contains(payload_type) || self.ours == Some(payload_type)
    }

    /// Whether a packet is an event. Under our number only a single well-formed event counts: the far
    /// end did not say that it uses it.
    pub fn is_event(self, payload_type: u8, payload: &[u8]) -> bool {
        self.described.contains(payload_type)
            || self.ours == Some(payload_type)
                && payload.len() == EVENT_BYTES
                && payload[1] & RESERVED == 0
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
    has_ended: bool,
}

impl Press {
    /// Whether the event at `timestamp` continues this one, which was too long for its duration field.
    fn continues_at(&self, timestamp: u32, code: u8) -> bool {
        let gap = timestamp.wrapping_sub(self.timestamp).wrapping_sub(self.duration.into());
        let is_contiguous = gap <= MAX_PACKET_UNITS.into();
        self.code == code && !self.has_ended && self.duration >= LONGEST_DURATIONS && is_contiguous
    }
}

impl TelephoneEventReader {
    /// Handles a packet. The first packet of a press that arrives presses its key, and its first end
    /// packet releases it. All packets of a press have the timestamp of its beginning, so it does not
    /// matter which of them arrive; neither the marker nor the durations are needed.
    pub fn read(&mut self, timestamp: u32, payload: &[u8]) -> Option<KeyChange> {
        let event = TelephoneEvent::parse(payload)?;
        let key = DtmfKey::from_code(event.code);
        let press = Press {
            timestamp,
            code: event.code,
            duration: event.duration,
            has_ended: event.is_end,
        };
        if let Some(last) = &mut self.last {
            let since = timestamp.wrapping_sub(last.timestamp);
            if since == 0 {
                let is_released = event.is_end && !last.has_ended && last.code == event.code;
                last.duration = last.duration.max(event.duration);
                last.has_ended |= event.is_end;
                return key.filter(|_| is_released).map(KeyChange::Released);
            }
            if since > u32::MAX / 2 {
                // A late packet of an earlier press.
                return None;
            }
            if last.continues_at(timestamp, event.code) {
                *last = press;
                return key.filter(|_| event.is_end).map(KeyChange::Released);
            }
        }
        self.last = Some(press);
        key.map(KeyChange::Pressed)
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
        let changes =
            packets.iter().filter_map(|(timestamp, payload)| reader.read(*timestamp, payload));
        changes.filter_map(KeyChange::pressed).map(DtmfKey::as_char).collect()
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
    fn a_press_is_released_once_even_if_only_its_last_packets_arrive() {
        let mut reader = TelephoneEventReader::default();
        let packets = press(5, 1000, 4);
        let changes: Vec<KeyChange> = packets
            .iter()
            .filter_map(|(timestamp, payload)| reader.read(*timestamp, payload))
            .collect();
        let key = DtmfKey(5);
        assert_eq!(changes, [KeyChange::Pressed(key), KeyChange::Released(key)]);
        assert_eq!(keys_of(&packets[5..]), ['5'], "two of its end packets");
    }

    #[test]
    fn presses_without_end_packets_are_told_apart_by_their_timestamps() {
        let packets = [&press(5, 1000, 4)[..4], &press(5, 9000, 4)[..4]].concat();
        assert_eq!(keys_of(&packets), ['5', '5']);
    }

    #[test]
    fn a_duration_that_wraps_within_one_event_is_one_press() {
        let long = TelephoneEvent { code: 3, is_end: false, volume: 10, duration: u16::MAX - 100 };
        let wrapped = TelephoneEvent { duration: 60, ..long };
        assert_eq!(keys_of(&[(77, long.bytes()), (77, wrapped.bytes())]), ['3']);
    }

    #[test]
    fn under_our_own_payload_type_only_a_single_well_formed_event_counts() {
        let described = [96, 97, 200].into_iter().collect();
        let types = EventTypes { described, ours: Some(101) };
        let event = press(5, 0, 1)[0].1;
        assert!(types.is_event(97, &event) && types.is_event(96, &[event, event].concat()));
        assert!(types.is_event(101, &event));
        assert!(!types.is_event(101, &[event, event].concat()));
        assert!(!types.is_event(101, &[5, RESERVED, 0, 160]));
        assert!(!types.is_event(8, &event) && !types.contains(200));
        assert!(!EventTypes::default().contains(101));
    }

    #[test]
    fn a_key_held_longer_than_the_maximum_duration_is_one_press() {
        const MAX_DURATION: u16 = u16::MAX;
        // Some senders end an event at the last whole packet.
        let packets = MAX_DURATION / 160 * 160;
        let long = TelephoneEvent { code: 3, is_end: false, volume: 10, duration: packets };
        let after = TelephoneEvent { duration: 160, ..long };
        let next = u32::from(packets) + 160;
        assert_eq!(keys_of(&[(0, long.bytes()), (next, after.bytes())]), ['3']);
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
