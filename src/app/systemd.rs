//! Notifications to the service manager (`sd_notify(3)`): ready, reloading, stopping, and the watchdog's keep-alive.
//! Without a service manager they do nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Reports that the gateway serves.
pub fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Reports a reload; [`ready`] ends it.
pub fn reloading() {
    notify(&[
        NotifyState::Reloading,
        NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0)),
        NotifyState::Status("reloading"),
    ]);
}

/// Reports a shutdown that takes at most `within`.
pub fn stopping(within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status("draining: calls in progress are finished"),
    ]);
}

/// Sends keep-alives at the service manager's interval while `is_alive`. Returns at once without a watchdog.
pub async fn watchdog(is_alive: impl Fn() -> bool) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut due = tokio::time::interval(within / 2);
    loop {
        due.tick().await;
        if is_alive() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "notifying the service manager failed");
    }
}
