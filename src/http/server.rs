//! An HTTP server on a listening socket.

use std::fmt::Debug;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Protocol, Request, Response};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, Service};
use actix_web::rt::net::TcpStream;

use super::connection::{Complete, Connection};

/// How long the head of a request may take to arrive on a new connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to close a connection that the server has ended.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long requests in progress may take when the server stops, in seconds.
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 5;

/// What differs between the servers of the process.
pub struct ServerOptions {
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// The number of worker threads; `None` for one per CPU.
    pub workers: Option<usize>,
    /// Completes the refusals of the HTTP parser.
    pub complete: Complete,
}

/// Serves `app` on `listener`. Like `actix_web::HttpServer`, with [`Connection`] around each TCP stream.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    options: ServerOptions,
    app: F,
) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let ServerOptions {
        keep_alive,
        workers,
        complete,
    } = options;
    let address = listener.local_addr()?;
    let mut server = Server::build()
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_TIMEOUT_SECONDS);
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen(address.to_string(), listener, move || {
        let stopping = stopping.clone();
        let app = app()
            .into_factory()
            .map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(keep_alive)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .local_addr(address)
            .finish(map_config(app, |_| AppConfig::default()));
        fn_service(move |stream: TcpStream| async move {
            let peer = stream.peer_addr().ok();
            Ok((Connection::new(stream, complete), Protocol::Http1, peer))
        })
        .and_then(http)
    })?;
    Ok(server.run())
}
