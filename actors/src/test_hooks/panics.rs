//! Makes actors panic and sets the wall clock, as the datagrams of a test say.

/// Makes actors panic when a datagram to `NEXO_TEST_PANICS` names them. Ends with the process.
///
/// # Panics
/// When the socket cannot be opened: the test that asked for it would wait for nothing.
pub(crate) fn listen(
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
        let mut name = [0; 32];
        while let Ok(length) = socket.recv(&mut name).await {
            // An actor whose mailbox is full panics with the next datagram.
            match &name[..length] {
                [b'c', b'l', b'o', b'c', b'k', b' ', offset @ ..] => super::wall_clock::set(offset),
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
