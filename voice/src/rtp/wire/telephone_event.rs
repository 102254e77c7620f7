//! Keys as RTP carries them: telephone-events (RFC 4733).

/// Bytes of one event.
pub const EVENT_BYTES: usize = 4;
/// The longest that an event can say it has lasted; longer ones go on as a new one (§2.5.1.3).
const LONGEST: u16 = u16::MAX;

/// A key of a phone: `0`–`9`, `*`, `#`, `A`–`D`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(u8);

const KEYS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];

impl Key {
    /// The key of an event code (§3.2). Above 15 are other sounds.
    pub fn of_event(code: u8) -> Option<Key> {
        (usize::from(code) < KEYS.len()).then_some(Key(code))
    }

    /// The key that is written so.
    pub fn of_char(key: char) -> Option<Key> {
        let code = KEYS.iter().position(|known| *known == key)?;
        Some(Key(code as u8))
    }

    pub fn event(self) -> u8 {
        self.0
    }

    pub fn as_char(self) -> char {
        KEYS[usize::from(self.0)]
    }
}

/// One packet's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    pub code: u8,
    /// Whether the key has been released.
    pub is_end: bool,
    /// From 0 to −63 dBm0, as a positive number.
    pub volume: u8,
    /// So far, in timestamp units.
    pub duration: u16,
}

impl Event {
    /// Reads a payload; further events in it are later news of the same kind, and not looked at.
    pub fn read(payload: &[u8]) -> Option<Event> {
        let (bytes, _) = payload.split_first_chunk::<EVENT_BYTES>()?;
        Some(Event {
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

/// Tells presses from the many packets of each.
#[derive(Clone, Copy, Default, Debug)]
pub struct KeyReader {
    last: Option<Press>,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    timestamp: u32,
    code: u8,
    duration: u16,
}

impl KeyReader {
    /// Takes a packet: the key, where it is the first news of its press. All packets of a press have
    /// the timestamp of its beginning; which of them arrive does not matter.
    pub fn take(&mut self, timestamp: u32, payload: &[u8]) -> Option<Key> {
        let event = Event::read(payload)?;
        let press = Press {
            timestamp,
            code: event.code,
            duration: event.duration,
        };
        if let Some(last) = &mut self.last {
            let since = timestamp.wrapping_sub(last.timestamp);
            if since == 0 {
                last.duration = last.duration.max(event.duration);
                return None;
            }
            if since > u32::MAX / 2 {
                // A packet of an earlier press, come late.
                return None;
            }
            let goes_on =
                last.code == event.code && last.duration == LONGEST && since == u32::from(LONGEST);
            if goes_on {
                *last = press;
                return None;
            }
        }
        self.last = Some(press);
        Key::of_event(event.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The packets of one press: one each 20 ms, and the last one three times.
    fn press(code: u8, timestamp: u32, packets: u16) -> Vec<(u32, [u8; EVENT_BYTES])> {
        let event = |n: u16, is_end| Event {
            code,
            is_end,
            volume: 10,
            duration: 160 * (n + 1),
        };
        let lasting = (0..packets).map(|n| event(n, false));
        let ends = std::iter::repeat_n(event(packets, true), 3);
        lasting
            .chain(ends)
            .map(|event| (timestamp, event.bytes()))
            .collect()
    }

    fn heard(packets: &[(u32, [u8; EVENT_BYTES])]) -> Vec<char> {
        let mut reader = KeyReader::default();
        let taken = packets
            .iter()
            .filter_map(|(timestamp, payload)| reader.take(*timestamp, payload));
        taken.map(Key::as_char).collect()
    }

    #[test]
    fn each_press_is_told_once_at_its_first_packet() {
        let mut packets = press(5, 1000, 4);
        packets.extend(press(5, 9000, 4));
        packets.extend(press(11, 20_000, 0));
        assert_eq!(heard(&packets), ['5', '5', '#']);
    }

    #[test]
    fn a_late_packet_of_an_earlier_press_is_no_new_one() {
        let (one, two) = (press(1, u32::MAX - 10, 2), press(2, 5000, 2));
        let mixed = [one[0], two[0], one[4], two[1], one[1]];
        assert_eq!(heard(&mixed), ['1', '2']);
    }

    #[test]
    fn a_key_held_for_longer_than_an_event_can_say_is_one_press() {
        let long = Event {
            code: 3,
            is_end: false,
            volume: 10,
            duration: LONGEST,
        };
        let after = Event {
            duration: 160,
            ..long
        };
        let start = 77_u32;
        let next = start + u32::from(LONGEST);
        assert_eq!(
            heard(&[(start, long.bytes()), (next, after.bytes())]),
            ['3']
        );
        assert_eq!(
            heard(&[(start, after.bytes()), (next, after.bytes())]),
            ['3', '3'],
            "the first one had ended"
        );
    }

    #[test]
    fn other_sounds_are_no_keys() {
        assert_eq!(heard(&press(16, 0, 2)), Vec::<char>::new());
        assert_eq!(KeyReader::default().take(0, &[1, 2, 3]), None);
        assert_eq!(Key::of_char('E'), None);
    }

    proptest! {
        #[test]
        fn whatever_is_lost_each_press_that_is_heard_at_all_is_told_once(
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
                    expected.push(Key(*code).as_char());
                }
                packets.extend(left);
            }
            prop_assert_eq!(heard(&packets), expected);
        }

        #[test]
        fn no_payload_makes_the_reader_panic(
            packets in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 0..9)), 0..20),
        ) {
            let mut reader = KeyReader::default();
            for (timestamp, payload) in packets {
                let _ = reader.take(timestamp, &payload);
            }
        }
    }
}
