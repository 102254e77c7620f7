//! The nonces of a gateway's realms, and which challenges of a response are answered.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rand::Rng;

use super::challenge::Challenge;
use super::{Credentials, DigestError, NonceState};
use crate::sip::message::header::Name;
use crate::sip::message::{Method, Response};

/// How often one request is sent with credentials, whatever the realms are.
const MAX_ROUNDS: u8 = 4;
/// The maximum number of realms of one gateway. A new one replaces the one that was challenged longest ago.
const MAX_REALMS: usize = 8;

/// The name and value of a header field that answers a challenge.
pub(in crate::sip::user_agent) type AuthField = (&'static str, String);

/// Which element challenges: the two kinds have separate header fields (RFC 3261 §22.2, §22.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Challenger {
    Server,
    Proxy,
}

impl Challenger {
    /// The field with its challenges. A proxy that forks a request may put both kinds into one response, whatever its
    /// code is (§16.7).
    fn challenge_field(self) -> Name {
        match self {
            Challenger::Server => Name::WwwAuthenticate,
            Challenger::Proxy => Name::ProxyAuthenticate,
        }
    }

    /// The field that answers it.
    fn answer_field(self) -> &'static str {
        match self {
            Challenger::Server => "Authorization",
            Challenger::Proxy => "Proxy-Authorization",
        }
    }
}

/// The realms that one request has been authorized for, and how often.
#[derive(Debug, Default)]
pub(in crate::sip::user_agent) struct AnsweredRealms {
    rounds: u8,
    /// The hash of a challenger and its realm, once for each answer.
    answers: Vec<u64>,
}

impl AnsweredRealms {
    /// Whether a challenge may be answered: the first of its realm, and one more after a stale nonce.
    fn may_answer(&self, challenger: Challenger, challenge: &Challenge) -> bool {
        let key = AnsweredRealms::key(challenger, challenge);
        let before = self.answers.iter().filter(|answer| **answer == key).count();
        self.rounds < MAX_ROUNDS && before <= usize::from(challenge.is_stale)
    }

    fn key(challenger: Challenger, challenge: &Challenge) -> u64 {
        let mut hasher = DefaultHasher::new();
        (challenger, &challenge.realm).hash(&mut hasher);
        hasher.finish()
    }

    /// Its approximate heap memory in bytes.
    pub fn bytes_held(&self) -> usize {
        self.answers.capacity() * size_of::<u64>()
    }
}

/// Answers the challenges of one gateway and of the proxies behind it.
pub(in crate::sip::user_agent) struct Authorizer {
    credentials: Arc<Credentials>,
    /// The nonce of each realm, the last challenged one at the end.
    nonces: Vec<(Challenger, NonceState)>,
}

impl Authorizer {
    pub fn new(credentials: Arc<Credentials>) -> Authorizer {
        Authorizer { credentials, nonces: Vec::new() }
    }

    /// Whether it uses these credentials.
    pub fn is_for(&self, credentials: &Credentials) -> bool {
        *self.credentials == *credentials
    }

    /// Takes a 401 or 407 to a request that was authorized for the realms in `answered`. The nonces of the
    /// challenges that may be answered are used from now on; the request must be sent again.
    ///
    /// Of several challenges of a realm the strongest algorithm is answered, whatever their order: RFC 8760 §2.4
    /// lets the server order them, but a host on the path could reorder them. Of equally strong ones the
    /// topmost is answered.
    ///
    /// # Errors
    /// If none of the challenges is answered. Nonces that were not accepted are dropped.
    pub fn handle_challenge(
        &mut self,
        response: &Response,
        answered: &mut AnsweredRealms,
        random: &mut impl Rng,
    ) -> Result<(), DigestError> {
        let mut error = DigestError::Unsupported;
        let mut has_answer = false;
        for (challenger, challenge) in strongest_challenges(response) {
            let is_same = |(known, nonce): &(Challenger, NonceState)| {
                *known == challenger && nonce.challenge.realm == challenge.realm
            };
            self.nonces.retain(|nonce| !is_same(nonce));
            if let Err(refused) = self.check(challenger, &challenge, answered) {
                error = error.max(refused);
                continue;
            }
            answered.answers.push(AnsweredRealms::key(challenger, &challenge));
            if self.nonces.len() == MAX_REALMS {
                self.nonces.remove(0);
            }
            let nonce = NonceState::new(challenge, &self.credentials, random);
            self.nonces.push((challenger, nonce));
            has_answer = true;
        }
        if !has_answer {
            return Err(error);
        }
        answered.rounds += 1;
        Ok(())
    }

    /// Whether a challenge is answered.
    fn check(
        &self,
        challenger: Challenger,
        challenge: &Challenge,
        answered: &AnsweredRealms,
    ) -> Result<(), DigestError> {
        let Credentials { realm, minimum, .. } = &*self.credentials;
        let (offered, required) = (challenge.algorithm.hash, *minimum);
        if realm.as_ref().is_some_and(|realm| *realm != challenge.realm) {
            return Err(DigestError::OtherRealm);
        }
        if offered < required {
            return Err(DigestError::TooWeak { offered, required });
        }
        match answered.may_answer(challenger, challenge) {
            true => Ok(()),
            false => Err(DigestError::Refused),
        }
    }

    /// The header fields that authorize a request, one for each realm; none before the first challenge.
    pub fn authorize(&mut self, method: Method, uri: &str, body: &[u8]) -> Vec<AuthField> {
        let username = &self.credentials.username;
        let answer = |(challenger, nonce): &mut (Challenger, NonceState)| {
            (challenger.answer_field(), nonce.authorization(username, method, uri, body))
        };
        self.nonces.iter_mut().map(answer).collect()
    }
}

/// The strongest challenge of each challenger and realm, [`MAX_REALMS`] at most.
fn strongest_challenges(response: &Response) -> Vec<(Challenger, Challenge)> {
    let mut strongest: Vec<(Challenger, Challenge)> = Vec::new();
    for challenger in [Challenger::Server, Challenger::Proxy] {
        let lines = response.lines(challenger.challenge_field());
        for challenge in lines.flat_map(Challenge::parse_all) {
            let same = strongest
                .iter()
                .position(|(known, other)| *known == challenger && other.realm == challenge.realm);
            match same {
                Some(same) if challenge.algorithm.hash > strongest[same].1.algorithm.hash => {
                    strongest[same].1 = challenge;
                }
                None if strongest.len() < MAX_REALMS => strongest.push((challenger, challenge)),
                Some(_) | None => {}
            }
        }
    }
    strongest
}
