//! Puts received audio back into its order and its time (RFC 3550 §5.1 timestamps).

use std::collections::VecDeque;

/// Audio further ahead than this, or further behind, is a new stream rather than a straggler: 2 s at 8 kHz.
const NEW_STREAM_SAMPLES: i32 = 16_000;

/// So many late packets, each the one before's successor, are no jitter but a sender that stood
/// still for a while.
const FALLEN_BEHIND: u32 = 5;

/// A jitter buffer for 8 kHz audio. What never came sounds as silence; what comes after its time is
/// dropped, until the whole stream is seen to have fallen behind: then it is waited for.
pub(in crate::sandbox) struct JitterBuffer {
    delay_samples: usize,
    stream: Option<Stream>,
}

struct Stream {
    ssrc: u32,
    /// The timestamp of the first sample in `samples`.
    next_timestamp: u32,
    samples: VecDeque<i16>,
    /// Samples of delay still to be waited before the first is heard.
    wait: usize,
    late: LateRun,
}

/// Late packets that followed each other without a gap.
#[derive(Default)]
struct LateRun {
    count: u32,
    next_timestamp: u32,
}

impl LateRun {
    /// Counts a late packet; how many there are in a row.
    fn count(&mut self, timestamp: u32, samples: usize) -> u32 {
        if timestamp != self.next_timestamp {
            self.count = 0;
        }
        self.count += 1;
        self.next_timestamp = timestamp.wrapping_add(samples as u32);
        self.count
    }
}

impl JitterBuffer {
    /// A buffer that holds audio back by `delay_samples`.
    pub fn new(delay_samples: usize) -> JitterBuffer {
        JitterBuffer {
            delay_samples,
            stream: None,
        }
    }

    /// Takes one packet's samples, which begin at `timestamp`.
    pub fn insert(&mut self, ssrc: u32, timestamp: u32, audio: &[i16]) {
        if audio.is_empty() {
            return;
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(Stream {
                ssrc,
                next_timestamp: timestamp,
                samples: VecDeque::new(),
                wait: self.delay_samples,
                late: LateRun::default(),
            }),
        };
        let mut offset = timestamp.wrapping_sub(stream.next_timestamp) as i32;
        if ssrc != stream.ssrc || offset.abs() > NEW_STREAM_SAMPLES {
            // The new stream follows what is still to be heard of the old one.
            stream.ssrc = ssrc;
            stream.next_timestamp = timestamp.wrapping_sub(stream.samples.len() as u32);
            offset = stream.samples.len() as i32;
        }
        if stream.wait > 0 && offset < 0 {
            // Nothing was heard yet: the stream begins earlier than its first packet to arrive.
            let earlier = offset.unsigned_abs() as usize;
            for _ in 0..earlier {
                stream.samples.push_front(0);
            }
            stream.next_timestamp = timestamp;
            stream.wait = stream.wait.saturating_sub(earlier);
            offset = 0;
        }
        let skipped = usize::try_from(-i64::from(offset)).unwrap_or(0);
        if skipped >= audio.len() {
            if stream.late.count(timestamp, audio.len()) < FALLEN_BEHIND {
                return;
            }
            stream.next_timestamp = timestamp.wrapping_sub(self.delay_samples as u32);
            stream.samples.clear();
            offset = self.delay_samples as i32;
        }
        stream.late.count = 0;
        let skipped = usize::try_from(-i64::from(offset)).unwrap_or(0);
        let audio = &audio[skipped..];
        let begin = usize::try_from(offset).unwrap_or(0);
        if stream.samples.len() < begin + audio.len() {
            stream.samples.resize(begin + audio.len(), 0);
        }
        for (place, sample) in stream.samples.range_mut(begin..).zip(audio) {
            *place = *sample;
        }
    }

    /// Lets `count` samples' time pass and appends what is heard in it to `heard`: nothing before
    /// the first packet's delay is over, then always `count` samples.
    pub fn pull(&mut self, count: usize, heard: &mut Vec<i16>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let waited = stream.wait.min(count);
        stream.wait -= waited;
        let count = count - waited;
        let there = count.min(stream.samples.len());
        heard.extend(stream.samples.drain(..there));
        heard.extend(std::iter::repeat_n(0, count - there));
        stream.next_timestamp = stream.next_timestamp.wrapping_add(count as u32);
    }

    /// Appends everything that is still held back.
    pub fn drain(&mut self, heard: &mut Vec<i16>) {
        if let Some(stream) = self.stream.take() {
            heard.extend(stream.samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: u32 = 7;

    /// Frame `n` holds 160 samples of the value `n + 1`.
    fn insert(buffer: &mut JitterBuffer, n: u32, start: u32) {
        let audio = [n as i16 + 1; 160];
        buffer.insert(SSRC, start.wrapping_add(n * 160), &audio);
    }

    fn frames(heard: &[i16]) -> Vec<i16> {
        heard.iter().step_by(160).copied().collect()
    }

    #[test]
    fn reordered_and_repeated_packets_are_heard_once_and_in_order() {
        // The timestamp wraps around within the stream.
        let start = u32::MAX - 200;
        let mut buffer = JitterBuffer::new(480);
        for n in [0, 2, 1, 1, 3, 5, 4, 0] {
            insert(&mut buffer, n, start);
        }
        let mut heard = Vec::new();
        for _ in 0..9 {
            buffer.pull(160, &mut heard);
        }
        assert_eq!(frames(&heard), [1, 2, 3, 4, 5, 6]);
        assert_eq!(heard.len(), 6 * 160);
    }

    #[test]
    fn a_stream_whose_first_packets_come_in_the_wrong_order_is_heard_whole() {
        let mut buffer = JitterBuffer::new(480);
        for n in [2, 3, 0, 1] {
            insert(&mut buffer, n, 0);
        }
        let mut heard = Vec::new();
        for _ in 0..5 {
            buffer.pull(160, &mut heard);
        }
        // Two of three frames of delay went to the frames before the first to arrive.
        assert_eq!(frames(&heard), [1, 2, 3, 4]);
    }

    #[test]
    fn a_lost_packet_is_silence_and_a_late_one_is_dropped() {
        let mut buffer = JitterBuffer::new(160);
        insert(&mut buffer, 0, 0);
        insert(&mut buffer, 2, 0);
        let mut heard = Vec::new();
        for _ in 0..3 {
            buffer.pull(160, &mut heard);
        }
        assert_eq!(frames(&heard), [1, 0]);
        insert(&mut buffer, 1, 0);
        buffer.drain(&mut heard);
        assert_eq!(frames(&heard), [1, 0, 3]);
    }

    #[test]
    fn a_stream_that_falls_behind_for_good_is_waited_for() {
        let mut buffer = JitterBuffer::new(160);
        let mut heard = Vec::new();
        for n in 0..30 {
            // From the eleventh packet on, everything comes three frames later.
            match n {
                0..10 => insert(&mut buffer, n, 0),
                10..13 => {}
                _ => insert(&mut buffer, n - 3, 0),
            }
            buffer.pull(160, &mut heard);
        }
        let heard = frames(&heard);
        assert_eq!(heard[..10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        // Four packets were too late, the fifth set the delay anew.
        assert_eq!(heard[10..17], [0; 7]);
        assert_eq!(
            heard[17..],
            [15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26]
        );
    }

    #[test]
    fn a_packet_that_is_late_in_part_is_heard_in_part() {
        let mut buffer = JitterBuffer::new(0);
        buffer.insert(SSRC, 0, &[1; 80]);
        let mut heard = Vec::new();
        buffer.pull(160, &mut heard);
        buffer.insert(SSRC, 80, &[2; 160]);
        buffer.pull(80, &mut heard);
        assert_eq!(&heard[..80], [1; 80]);
        assert_eq!(&heard[80..160], [0; 80]);
        assert_eq!(&heard[160..], [2; 80]);
    }

    #[test]
    fn silence_goes_on_while_the_sender_pauses() {
        let mut buffer = JitterBuffer::new(0);
        insert(&mut buffer, 0, 0);
        let mut heard = Vec::new();
        for _ in 0..10 {
            buffer.pull(160, &mut heard);
        }
        insert(&mut buffer, 12, 0);
        for _ in 0..3 {
            buffer.pull(160, &mut heard);
        }
        assert_eq!(frames(&heard)[9..], [0, 0, 0, 13]);
    }

    #[test]
    fn a_stream_that_starts_over_is_heard_after_the_old_one() {
        let mut buffer = JitterBuffer::new(0);
        insert(&mut buffer, 0, 1_000);
        buffer.insert(SSRC, 4_000_000_000, &[50; 160]);
        buffer.insert(SSRC + 1, 77, &[60; 160]);
        buffer.insert(SSRC + 1, 77 + 160, &[61; 160]);
        let mut heard = Vec::new();
        for _ in 0..4 {
            buffer.pull(160, &mut heard);
        }
        assert_eq!(frames(&heard), [1, 50, 60, 61]);
    }

    #[test]
    fn nothing_is_heard_before_the_first_packet() {
        let mut buffer = JitterBuffer::new(160);
        let mut heard = Vec::new();
        buffer.pull(160, &mut heard);
        buffer.drain(&mut heard);
        assert!(heard.is_empty());
    }
}
