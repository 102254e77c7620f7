//! Bounds the lines of the log: what a client can repeat must not fill the disk.
//!
//! Each call site writes at most [`MAX_LINES`] warnings and errors in [`WINDOW`]. The lines beyond that are counted,
//! and the count is logged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tracing::callsite::Identifier;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
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
        LineLimit {
            shows_connections,
            windows: DashMap::new(),
        }
    }

    /// Whether the call site may write a line at this time.
    fn admits(&self, site: Identifier, now: Instant) -> bool {
        let mut window = self.windows.entry(site).or_insert(Window {
            since: now,
            lines: 0,
        });
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

impl<S> Filter<S> for LineLimit {
    fn enabled(&self, line: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.shows_connections || !is_connection_noise(line)
    }

    /// Decided once for each call site, so that requests do not pay for it.
    fn callsite_enabled(&self, line: &'static Metadata<'static>) -> Interest {
        match self.shows_connections || !is_connection_noise(line) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    /// Leaves the level to the other filter.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let line = event.metadata();
        if *line.level() > Level::WARN || self.admits(line.callsite(), Instant::now()) {
            return true;
        }
        SUPPRESSED.fetch_add(1, Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
