//! The state that a stream's owner and the media thread share: the flags of the owner, and the
//! statistics that the thread writes.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::rtp::wire::rtcp::ReportBlock;

/// The statistics of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamStats {
    pub packets_sent: u64,
    pub packets_received: u64,
    /// Packets of the far end that did not arrive.
    pub packets_missed: u32,
    /// Interarrival jitter of the far end's packets, in timestamp units.
    pub jitter_received: u32,
    /// From the far end's last report: the fraction of our packets lost, in 1/256.
    pub fraction_lost: Option<u8>,
    /// From the far end's last report: the number of our packets lost.
    pub packets_lost: Option<u32>,
    /// From the far end's last report: the jitter of our packets, in timestamp units.
    pub jitter: Option<u32>,
    /// The round trip time, from the far end's last report.
    pub round_trip: Option<Duration>,
}

/// The shared state of one stream.
#[derive(Debug, Default)]
pub(super) struct SharedState {
    /// Set by the owner: no further packet is sent.
    pub is_stopped: AtomicBool,
    /// Set by the owner: the far end holds the call, and the audio waits.
    pub is_held: AtomicBool,
    /// Set by the owner: keys no longer matter, so tones are not looked for.
    pub ignores_tones: AtomicBool,
    packets_sent: AtomicU32,
    packets_received: AtomicU32,
    /// The far end's stream: packets lost in the upper 32 bits, jitter in the lower.
    received_quality: AtomicU64,
    /// The far end's last report: [`HAS_REPORT`], fraction lost above 32 bits, jitter in the lower 32.
    last_report: AtomicU64,
    /// The number of our packets that the far end misses.
    reported_lost: AtomicU32,
    /// The last round trip in microseconds, plus one. 0: unknown.
    round_trip: AtomicU32,
}

const HAS_REPORT: u64 = 1 << 63;

impl SharedState {
    pub fn stats(&self) -> StreamStats {
        let report = self.last_report.load(Ordering::Relaxed);
        let has_report = report & HAS_REPORT != 0;
        let received = self.received_quality.load(Ordering::Relaxed);
        let round_trip = self.round_trip.load(Ordering::Relaxed).checked_sub(1);
        StreamStats {
            packets_sent: u64::from(self.packets_sent.load(Ordering::Relaxed)),
            packets_received: u64::from(self.packets_received.load(Ordering::Relaxed)),
            packets_missed: (received >> 32) as u32,
            jitter_received: received as u32,
            fraction_lost: has_report.then_some((report >> 32) as u8),
            packets_lost: has_report.then(|| self.reported_lost.load(Ordering::Relaxed)),
            jitter: has_report.then_some(report as u32),
            round_trip: round_trip.map(|micros| Duration::from_micros(micros.into())),
        }
    }

    pub fn set_packets_sent(&self, packets: u32) {
        self.packets_sent.store(packets, Ordering::Relaxed);
    }

    /// Stores the number of packets received, and the loss and jitter of the far end's stream.
    pub fn set_received(&self, packets: u32, missed: u32, jitter: u32) {
        self.packets_received.store(packets, Ordering::Relaxed);
        let packed = u64::from(missed) << 32 | u64::from(jitter);
        self.received_quality.store(packed, Ordering::Relaxed);
    }

    /// Stores what the far end reported about our stream.
    pub fn set_report(&self, block: ReportBlock, round_trip: Option<Duration>) {
        let lost = u32::try_from(block.lost).unwrap_or(0);
        self.reported_lost.store(lost, Ordering::Relaxed);
        let packed = HAS_REPORT | u64::from(block.fraction_lost) << 32 | u64::from(block.jitter);
        self.last_report.store(packed, Ordering::Relaxed);
        if let Some(round_trip) = round_trip {
            let micros = round_trip.as_micros().min(u128::from(u32::MAX - 1)) as u32;
            self.round_trip.store(micros + 1, Ordering::Relaxed);
        }
    }
}
