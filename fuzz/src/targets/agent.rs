//! A call, and all that a gateway or a stranger may say in its course: records, each ended by the byte
//! 0x1E, as [`Scene::play`] takes them.

use std::sync::LazyLock;
use std::time::Instant;

use crate::Scene;

/// The same for all runs: what is found is found again.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub fn run(records: &[u8]) {
    let mut scene = Scene::start(*START);
    for record in records.split(|byte| *byte == 0x1e).take(64) {
        scene.play(record);
    }
    scene.end();
}
