//! Restores the order and timing of received audio, by its RTP timestamps (RFC 3550 §5.1).

use std::collections::VecDeque;

/// Audio further ahead or behind than this belongs to a new stream: 2 s at 8 kHz.
const MAX_OFFSET_SAMPLES: i32 = 16_000;

/// After this many consecutive late packets the delay is reset: that is not jitter, but a sender
/// that was stalled.
const LATE_PACKETS_BEFORE_RESET: u32 = 5;

/// A jitter buffer for 8 kHz audio. Lost audio becomes silence. Late audio is dropped, until the
/// whole stream has fallen behind: then the buffer delays it again.
pub(crate) struct JitterBuffer {
    delay_samples: usize,
    stream: Option<Stream>,
}

struct Stream {
    ssrc: u32,
    /// The timestamp of the first sample in `samples`.
    next_timestamp: u32,
    samples: VecDeque<i16>,
    /// Samples of delay that remain before the first output.
    wait: usize,
    late: LateRun,
}

/// Consecutive late packets.
#[derive(Default)]
struct LateRun {
    count: u32,
    next_timestamp: u32,
}

impl LateRun {
    /// Counts a late packet and returns the number of consecutive ones.
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
    /// Creates a buffer that delays audio by `delay_samples`.
    pub fn new(delay_samples: usize) -> JitterBuffer {
        JitterBuffer { delay_samples, stream: None }
    }

    /// Inserts the samples of one packet, which begin at `timestamp`.
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
        if ssrc != stream.ssrc || offset.abs() > MAX_OFFSET_SAMPLES {
            // The new stream follows the remaining audio of the old one.
            stream.ssrc = ssrc;
            stream.next_timestamp = timestamp.wrapping_sub(stream.samples.len() as u32);
            offset = stream.samples.len() as i32;
        }
        if stream.wait > 0 && offset < 0 {
            // Nothing was output yet: the stream begins before its first packet to arrive.
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
            if stream.late.count(timestamp, audio.len()) < LATE_PACKETS_BEFORE_RESET {
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
        for (slot, sample) in stream.samples.range_mut(begin..).zip(audio) {
            *slot = *sample;
        }
    }

    /// Advances by `count` samples and appends them to `output`: nothing before the delay of the
    /// first packet is over, then always `count` samples.
    pub fn pull(&mut self, count: usize, output: &mut Vec<i16>) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let waited = stream.wait.min(count);
        stream.wait -= waited;
        let count = count - waited;
        let available = count.min(stream.samples.len());
        output.extend(stream.samples.drain(..available));
        output.extend(std::iter::repeat_n(0, count - available));
        stream.next_timestamp = stream.next_timestamp.wrapping_add(count as u32);
    }

    /// Appends all remaining samples.
    pub fn drain(&mut self, output: &mut Vec<i16>) {
        if let Some(stream) = self.stream.take() {
            output.extend(stream.samples);
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

    fn frames(output: &[i16]) -> Vec<i16> {
        output.iter().step_by(160).copied().collect()
    }

    #[test]
    fn reordered_and_repeated_packets_are_output_once_and_in_order() {
        // The timestamp wraps around within the stream.
        let start = u32::MAX - 200;
        let mut buffer = JitterBuffer::new(480);
        for n in [0, 2, 1, 1, 3, 5, 4, 0] {
            insert(&mut buffer, n, start);
        }
        let mut output = Vec::new();
        for _ in 0..9 {
            buffer.pull(160, &mut output);
        }
        assert_eq!(frames(&output), [1, 2, 3, 4, 5, 6]);
        assert_eq!(output.len(), 6 * 160);
    }

    #[test]
    fn a_stream_whose_first_packets_are_reordered_is_output_completely() {
        let mut buffer = JitterBuffer::new(480);
        for n in [2, 3, 0, 1] {
            insert(&mut buffer, n, 0);
        }
        let mut output = Vec::new();
        for _ in 0..5 {
            buffer.pull(160, &mut output);
        }
        // Two of the three frames of delay were used by the frames before the first to arrive.
        assert_eq!(frames(&output), [1, 2, 3, 4]);
    }

    #[test]
    fn a_lost_packet_is_silence_and_a_late_one_is_dropped() {
        let mut buffer = JitterBuffer::new(160);
        insert(&mut buffer, 0, 0);
        insert(&mut buffer, 2, 0);
        let mut output = Vec::new();
        for _ in 0..3 {
            buffer.pull(160, &mut output);
        }
        assert_eq!(frames(&output), [1, 0]);
        insert(&mut buffer, 1, 0);
        buffer.drain(&mut output);
        assert_eq!(frames(&output), [1, 0, 3]);
    }

    #[test]
    fn the_delay_adapts_to_a_stream_that_falls_behind_permanently() {
        let mut buffer = JitterBuffer::new(160);
        let mut output = Vec::new();
        for n in 0..30 {
            // From the eleventh packet on, everything arrives three frames later.
            match n {
                0..10 => insert(&mut buffer, n, 0),
                10..13 => {}
                _ => insert(&mut buffer, n - 3, 0),
            }
            buffer.pull(160, &mut output);
        }
        let output = frames(&output);
        assert_eq!(output[..10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        // Four packets were too late; the fifth reset the delay.
        assert_eq!(output[10..17], [0; 7]);
        assert_eq!(output[17..], [15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26]);
    }

    #[test]
    fn a_partly_late_packet_is_partly_output() {
        let mut buffer = JitterBuffer::new(0);
        buffer.insert(SSRC, 0, &[1; 80]);
        let mut output = Vec::new();
        buffer.pull(160, &mut output);
        buffer.insert(SSRC, 80, &[2; 160]);
        buffer.pull(80, &mut output);
        assert_eq!(&output[..80], [1; 80]);
        assert_eq!(&output[80..160], [0; 80]);
        assert_eq!(&output[160..], [2; 80]);
    }

    #[test]
    fn silence_is_output_while_the_sender_pauses() {
        let mut buffer = JitterBuffer::new(0);
        insert(&mut buffer, 0, 0);
        let mut output = Vec::new();
        for _ in 0..10 {
            buffer.pull(160, &mut output);
        }
        insert(&mut buffer, 12, 0);
        for _ in 0..3 {
            buffer.pull(160, &mut output);
        }
        assert_eq!(frames(&output)[9..], [0, 0, 0, 13]);
    }

    #[test]
    fn a_restarted_stream_is_output_after_the_old_one() {
        let mut buffer = JitterBuffer::new(0);
        insert(&mut buffer, 0, 1_000);
        buffer.insert(SSRC, 4_000_000_000, &[50; 160]);
        buffer.insert(SSRC + 1, 77, &[60; 160]);
        buffer.insert(SSRC + 1, 77 + 160, &[61; 160]);
        let mut output = Vec::new();
        for _ in 0..4 {
            buffer.pull(160, &mut output);
        }
        assert_eq!(frames(&output), [1, 50, 60, 61]);
    }

    #[test]
    fn nothing_is_output_before_the_first_packet() {
        let mut buffer = JitterBuffer::new(160);
        let mut output = Vec::new();
        buffer.pull(160, &mut output);
        buffer.drain(&mut output);
        assert!(output.is_empty());
    }
}
