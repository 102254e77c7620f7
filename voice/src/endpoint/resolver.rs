//! Resolves host names that far ends give, by DNS. One task, with a bounded number of queries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::inbox::{Command, Inbox};
use crate::net::locate::Locator;
use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::LOOKUP_TIMEOUT;

/// The maximum numbers of waiting names, of names looked up at a time, and of known names.
const MAX_WAITING: usize = 256;
const MAX_LOOKUPS: usize = 32;
const MAX_KNOWN: usize = 1024;
/// For how long a name without an address is not looked up again.
const FAILURE_TTL: Duration = Duration::from_secs(30);

/// The handle of the task. It ends with its last handle.
#[derive(Clone)]
pub(super) struct NameResolver {
    names: mpsc::Sender<Arc<GatewayUri>>,
}

impl NameResolver {
    /// Starts the task on the current runtime. It posts [`Command::Resolved`].
    pub fn start(locator: Locator, inbox: Arc<Inbox>) -> NameResolver {
        let (names, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(run(locator, waiting, inbox));
        NameResolver { names }
    }

    /// Looks up a name. Returns whether there will be an answer.
    pub fn look_up(&self, name: Arc<GatewayUri>) -> bool {
        self.names.try_send(name).is_ok()
    }
}

async fn run(locator: Locator, mut names: mpsc::Receiver<Arc<GatewayUri>>, inbox: Arc<Inbox>) {
    let mut known: HashMap<Arc<GatewayUri>, (Vec<Hop>, Instant)> = HashMap::new();
    let mut lookups = JoinSet::new();
    loop {
        tokio::select! {
            name = names.recv(), if lookups.len() < MAX_LOOKUPS => {
                let Some(name) = name else {
                    return;
                };
                match known.get(&name) {
                    Some((targets, until)) if *until > Instant::now() => {
                        inbox.post(Command::Resolved { name, targets: targets.clone() });
                    }
                    _ => _ = lookups.spawn(look_up(locator.clone(), name)),
                }
            }
            Some(Ok((name, targets, until))) = lookups.join_next() => {
                if known.len() == MAX_KNOWN {
                    known.clear();
                }
                known.insert(Arc::clone(&name), (targets.clone(), until));
                inbox.post(Command::Resolved { name, targets });
            }
        }
    }
}

/// The targets of a name, none if it has no address, and until when they are valid.
async fn look_up(locator: Locator, name: Arc<GatewayUri>) -> (Arc<GatewayUri>, Vec<Hop>, Instant) {
    let (targets, ttl) = match tokio::time::timeout(LOOKUP_TIMEOUT, locator.locate(&name)).await {
        Ok(Ok(located)) => (located.targets, located.ttl),
        Ok(Err(_)) | Err(_) => (Vec::new(), FAILURE_TTL),
    };
    (name, targets, Instant::now() + ttl)
}
