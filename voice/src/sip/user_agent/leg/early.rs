//! What a call's provisional answers have said so far.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::sip::message::message::Response;

/// The most different provisional answers that are told apart; repetitions beyond it count as new.
const MOST_TOLD: usize = 8;

/// The provisional answers to one INVITE.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// Digests of those that were told.
    told: Vec<u64>,
    /// The last description that came, and the To tag of who sent it.
    described: Option<(String, Vec<u8>)>,
}

impl Early {
    /// Takes a 1xx. Whether its code, sender and body were not seen together before.
    pub fn is_new(&mut self, response: &Response) -> bool {
        let tag = response.to_tag().unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (response.code(), tag, response.body()).hash(&mut hasher);
        let digest = hasher.finish();
        if self.told.contains(&digest) {
            return false;
        }
        if self.told.len() < MOST_TOLD {
            self.told.push(digest);
        }
        if !response.body().is_empty() {
            self.described = Some((tag.to_owned(), response.body().to_vec()));
        }
        true
    }

    /// The far end with this tag describes its media anew.
    pub fn describe(&mut self, tag: &str, description: &[u8]) {
        self.described = Some((tag.to_owned(), description.to_vec()));
    }

    /// The description that the far end with this tag sent early. A 183 may lack its tag (the
    /// network spoke for the callee): then it counts for whoever answers.
    pub fn description_of(self, tag: &str) -> Option<Vec<u8>> {
        let (from, description) = self.described?;
        (from.is_empty() || from == tag).then_some(description)
    }

    /// About how many bytes it holds, itself included.
    pub fn bytes_held(&self) -> usize {
        let described = self.described.as_ref();
        size_of::<Self>()
            + self.told.capacity() * size_of::<u64>()
            + described.map_or(0, |(tag, body)| tag.capacity() + body.capacity())
    }
}
