//! What the service manager is told (`sd_notify(3)`): ready, reloading, stopping, and that we are alive.
//! Without one, nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Serves from now on.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Takes over another configuration; [`ready`] ends it.
pub fn reloading() {
    tell(&[
        NotifyState::Reloading,
        NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0)),
        NotifyState::Status("reloading"),
    ]);
}

/// Takes nothing more, and finishes what it has; for so long at most.
pub fn stopping(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status("draining: calls in progress are finished"),
    ]);
}

/// Gives a sign of life as often as the service manager wants one, for as long as `is_alive`. Ends at once where
/// none is wanted.
pub async fn watchdog(is_alive: impl Fn() -> bool) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut due = tokio::time::interval(within / 2);
    loop {
        due.tick().await;
        if is_alive() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
