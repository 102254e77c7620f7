//! A call, and messages from the gateway and from strangers: records for [`Scene::play`], each ended by the byte 0x1E.

use std::sync::LazyLock;
use std::time::Instant;

use crate::Scene;

/// The same for all runs, so that a failure can be reproduced.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub fn run(records: &[u8]) {
    let mut scene = Scene::start(*START);
    for record in records.split(|byte| *byte == 0x1e).take(64) {
        scene.play(record);
    }
    scene.end();
}
