//! The sources (SSRC) under one master key, and the indices that each has used.

use super::error::SrtpError;
use super::packet_index::ReplayWindow;

/// The most sources under one master key. A far end changes its source when another of its machines
/// takes over: ringing tone, announcement, answer, music on hold.
pub(super) const MAX_SOURCES: usize = 16;

/// The indices of one source.
#[derive(Clone, Copy)]
pub(super) struct Source {
    ssrc: u32,
    pub rtp: ReplayWindow,
    pub rtcp: ReplayWindow,
}

#[derive(Default)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// Returns a copy of a source, to be [`put`](Sources::put) back once the packet that changes it
    /// is known to be valid. A new source has no indices.
    ///
    /// # Errors
    /// [`SrtpError::TooManySources`] if the source is new and the limit is reached.
    pub fn get(&self, ssrc: u32) -> Result<Source, SrtpError> {
        match self.0.iter().find(|source| source.ssrc == ssrc) {
            Some(source) => Ok(*source),
            None if self.0.len() >= MAX_SOURCES => Err(SrtpError::TooManySources),
            None => {
                Ok(Source { ssrc, rtp: ReplayWindow::default(), rtcp: ReplayWindow::default() })
            }
        }
    }

    pub fn put(&mut self, source: Source) {
        match self.0.iter_mut().find(|known| known.ssrc == source.ssrc) {
            Some(known) => *known = source,
            None => self.0.push(source),
        }
    }
}
