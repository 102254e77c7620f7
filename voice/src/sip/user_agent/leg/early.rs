//! The provisional responses to one INVITE: which are new, and the media description they carry.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::sip::message::Response;
use crate::sip::sdp;

/// The maximum number of digests. Repetitions of further responses count as new.
const MAX_DIGESTS: usize = 8;

/// The provisional responses to one INVITE.
#[derive(Debug, Default)]
pub(super) struct ProvisionalResponses {
    /// Digests of the reported responses.
    digests: Vec<u64>,
    /// The To tag and body of the last media description.
    description: Option<(String, Vec<u8>)>,
}

impl ProvisionalResponses {
    /// Takes a 1xx. Returns whether its combination of code, To tag and body is new.
    pub fn is_new(&mut self, response: &Response) -> bool {
        let tag = response.to_tag().unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (response.code(), tag, response.body()).hash(&mut hasher);
        let digest = hasher.finish();
        if self.digests.contains(&digest) {
            return false;
        }
        if self.digests.len() < MAX_DIGESTS {
            self.digests.push(digest);
        }
        if let Some(description) = sdp::find(response) {
            self.describe(tag, description);
        }
        true
    }

    /// Takes the media description of the far end with this tag.
    pub fn describe(&mut self, tag: &str, description: &[u8]) {
        self.description = Some((tag.to_owned(), description.to_vec()));
    }

    /// The description of the far end with this tag. One from a response without a tag, which the network sent
    /// on behalf of the callee, applies to every tag.
    pub fn description_for(self, tag: &str) -> Option<Vec<u8>> {
        let (from, description) = self.description?;
        (from.is_empty() || from == tag).then_some(description)
    }

    /// Its approximate memory in bytes, itself included.
    pub fn bytes_held(&self) -> usize {
        let description = self.description.as_ref();
        size_of::<Self>()
            + self.digests.capacity() * size_of::<u64>()
            + description.map_or(0, |(tag, body)| tag.capacity() + body.capacity())
    }
}
