//! The sources (SSRC) under one master key, and how far each has come.

use super::SrtpError;
use super::packet_index::ReplayWindow;

/// The most sources under one master key. A call's far end changes its source when another of its
/// machines takes over: ringing tone, announcement, answer, music on hold.
pub(super) const MOST_SOURCES: usize = 16;

/// One source's indices.
#[derive(Clone, Copy)]
pub(super) struct Source {
    ssrc: u32,
    pub rtp: ReplayWindow,
    pub rtcp: ReplayWindow,
}

#[derive(Default)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// A copy of what is known of a source, to be [`put`](Sources::put) back once the packet that
    /// changes it is known to be good. A new source has sent nothing.
    ///
    /// # Errors
    /// Where the source is new and there is no room for another.
    pub fn get(&self, ssrc: u32) -> Result<Source, SrtpError> {
        match self.0.iter().find(|source| source.ssrc == ssrc) {
            Some(source) => Ok(*source),
            None if self.0.len() >= MOST_SOURCES => Err(SrtpError::TooManySources),
            None => Ok(Source {
                ssrc,
                rtp: ReplayWindow::default(),
                rtcp: ReplayWindow::default(),
            }),
        }
    }

    pub fn put(&mut self, source: Source) {
        match self.0.iter_mut().find(|known| known.ssrc == source.ssrc) {
            Some(known) => *known = source,
            None => self.0.push(source),
        }
    }
}
