//! Bounds the lines of the log: what a client can repeat must not fill the disk.
//!
//! Each call site writes at most [`MAX_LINES`] warnings and errors in [`WINDOW`]. The lines beyond that are counted,
//! and the count is logged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tracing::callsite::Identifier;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Filter};

/// How many lines a call site may write in one window.
const MAX_LINES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);
/// The target of actix-http's connections. It reports every malformed request and every broken connection as an error,
/// though none is a fault of the gateway.
const CONNECTIONS: &str = "actix_http::h1";

/// Lines that were suppressed since the last report.
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// Takes the number of lines that were suppressed since the last call.
pub fn take_suppressed() -> u64 {
    SUPPRESSED.swap(0, Ordering::Relaxed)
}

/// The filter. The number of its entries is bounded by the number of call sites in the program.
pub struct LineLimit {
    /// Whether the log shows debug lines of connections.
    shows_connections: bool,
    windows: DashMap<Identifier, Window>,
}

struct Window {
    since: Instant,
    lines: u32,
}

impl LineLimit {
    /// A filter; errors of client connections are shown only if `shows_connections`.
    pub fn new(shows_connections: bool) -> LineLimit {
        LineLimit { shows_connections, windows: DashMap::new() }
    }

    /// Whether the call site may write a line at this time.
    fn admits(&self, site: Identifier, now: Instant) -> bool {
        let mut window = self.windows.entry(site).or_insert(Window { since: now, lines: 0 });
        if now.duration_since(window.since) >= WINDOW {
            window.since = now;
            window.lines = 0;
        }
        window.lines += 1;
        window.lines <= MAX_LINES
    }
}

/// Whether a line is about a client's connection and not about the gateway.
fn is_connection_noise(line: &Metadata<'_>) -> bool {
    line.target().starts_with(CONNECTIONS)
}

/// Whether it is a warning or an error.
fn is_limited(line: &Metadata<'_>) -> bool {
    line.is_event() && *line.level() <= Level::WARN
}

impl<S> Filter<S> for LineLimit {
    /// Decides here and not in `event_enabled`: after that, the next line of the thread would be filtered wrongly.
    fn enabled(&self, line: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        if is_connection_noise(line) && !self.shows_connections {
            return false;
        }
        if !is_limited(line) || self.admits(line.callsite(), Instant::now()) {
            return true;
        }
        SUPPRESSED.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Only warnings and errors are decided one by one, so that requests do not pay for it.
    fn callsite_enabled(&self, line: &'static Metadata<'static>) -> Interest {
        if is_connection_noise(line) && !self.shows_connections {
            return Interest::never();
        }
        match is_limited(line) {
            true => Interest::sometimes(),
            false => Interest::always(),
        }
    }

    /// Leaves the level to the other filter.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use tracing_subscriber::filter::FilterExt;
    use tracing_subscriber::layer::{Layer, SubscriberExt};
    use tracing_subscriber::registry::Registry;

    /// A call site to identify.
    fn site() -> Identifier {
        struct Site;
        impl tracing::Callsite for Site {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                unimplemented!("not used")
            }
        }
        static SITE: Site = Site;
        Identifier(&SITE)
    }

    #[test]
    fn a_call_site_writes_a_bounded_number_of_lines_in_each_window() {
        let (limit, start) = (LineLimit::new(false), Instant::now());
        let written = |at: Instant| (0..500).filter(|_| limit.admits(site(), at)).count();
        assert_eq!(written(start), 50);
        assert_eq!(written(start + WINDOW / 2), 0);
        assert_eq!(written(start + WINDOW), 50);
    }

    /// Collects what a log layer writes.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn suppressed_lines_leave_the_lines_of_other_places_alone() {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let filter = LevelFilter::INFO.and(LineLimit::new(false));
        let log = Registry::default().with(lines.with_filter(filter));
        tracing::subscriber::with_default(log, || {
            for n in 0..200 {
                tracing::error!(n, "again");
                tracing::info!(n, "in between");
                tracing::debug!(n, "hidden");
            }
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error");
            tracing::warn!("at the end");
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count("again"), 50);
        assert_eq!(count("in between"), 200);
        assert_eq!(count("at the end"), 1);
        assert_eq!(count("hidden") + count("stream error"), 0);
        assert!(take_suppressed() >= 150);
    }
}
