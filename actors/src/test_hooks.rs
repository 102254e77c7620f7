//! What tests change in a running node: they make actors panic and shorten long waits.
//!
//! Only debug builds contain this. A release build ignores the variables and has no code that reads them.
//!
//! | variable | what it does |
//! |---|---|
//! | `NEXO_TEST_PANICS` | a Unix datagram socket to open; a datagram names the actors that panic: `carriers`, `wallets` or `webhooks` |
//! | `NEXO_TEST_LONGEST_CALL_MS` | how long after the end of a lease a call of that node may still be up |
//! | `NEXO_TEST_RETENTION_MS` | how often old test records are deleted |

use std::time::Duration;

/// The duration that a debug build finds in this variable, in milliseconds. Otherwise `shipped`.
pub fn duration(variable: &str, shipped: Duration) -> Duration {
    #[cfg(debug_assertions)]
    if let Some(milliseconds) = std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return Duration::from_millis(milliseconds);
    }
    #[cfg(not(debug_assertions))]
    let _ = variable;
    shipped
}

/// Makes actors panic when a datagram to `NEXO_TEST_PANICS` names them. Ends with the process.
///
/// # Panics
/// When the socket cannot be opened: the test that asked for it would wait for nothing.
#[cfg(debug_assertions)]
pub(crate) fn listen_for_panics(
    dispatcher: std::sync::Arc<crate::dispatch::Dispatcher>,
    webhooks: crate::supervision::handle::Handle<crate::webhook::WebhookActor>,
) {
    use crate::supervision::supervisor::Supervise;

    let Some(path) = std::env::var_os("NEXO_TEST_PANICS") else {
        return;
    };
    // A predecessor that was killed left its socket behind.
    let _ = std::fs::remove_file(&path);
    let socket = tokio::net::UnixDatagram::bind(&path).expect("the socket in NEXO_TEST_PANICS");
    actix_rt::spawn(async move {
        let mut name = [0; 16];
        while let Ok(length) = socket.recv(&mut name).await {
            // An actor whose mailbox is full panics with the next datagram.
            match &name[..length] {
                b"carriers" => dispatcher.carriers.iter().for_each(|route| {
                    let _ = route.actor.try_send(Supervise::Panic);
                }),
                b"wallets" => dispatcher.wallets.all().iter().for_each(|wallet| {
                    let _ = wallet.try_send(Supervise::Panic);
                }),
                b"webhooks" => {
                    let _ = webhooks.try_send(Supervise::Panic);
                }
                _ => {}
            }
        }
    });
}
