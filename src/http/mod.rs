//! The HTTP servers: actix-web behind limits on connections and on slow clients.
//!
//! actix-web's own server accepts until the process has no descriptor left, and waits without limit for the rest of a
//! second request's head and for a client that does not read. Here each connection is admitted first
//! ([`limits`]) and then watched ([`stream`]).

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service,
    map_config,
};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;

mod body;
pub mod limits;
pub mod methods;
pub mod parser_errors;
mod refusal;
mod stream;

use body::TrackedBody;
pub use limits::{ConnectionLimiter, ConnectionLimits};
use parser_errors::{Complete, ErrorCompleter};
use stream::{Activity, ClientStream, KEEP_ALIVE};

/// How long requests may still take when the server stops, in seconds.
const SHUTDOWN_TIMEOUT: u64 = 5;

/// What differs between the servers of the process.
pub struct ServerOptions {
    pub limiter: ConnectionLimiter,
    /// The number of worker threads; `None` for one per core.
    pub workers: Option<usize>,
    /// Completes the refusals of the HTTP parser.
    pub complete: Complete,
}

/// Serves an application on a listener.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    options: ServerOptions,
    application: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let ServerOptions { limiter, workers, complete } = options;
    let address = listener.local_addr()?;
    let mut server = Server::build();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let stopping = server.graceful_shutdown_signal();
    let server = server
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_TIMEOUT)
        .listen("http", listener, move || {
            let limiter = limiter.clone();
            let stopping = stopping.clone();
            let application = application().into_factory();
            let application = application.map_err(|error| {
                let error: actix_web::Error = error.into();
                Response::<BoxBody>::from(error.as_response_error().error_response())
            });
            // The host and address in the configuration are used for generated URLs only. There are none.
            let application = map_config(application, |()| AppConfig::default());
            let application = apply_fn_factory(application, |request: Request, service| {
                let activity = request.conn_data::<Activity>().cloned().unwrap_or_default();
                activity.head_complete();
                let response = service.call(request);
                async move {
                    let response: Response<B> = response.await?.into();
                    Ok(response.map_body(|_, body| TrackedBody::new(body, activity)))
                }
            });
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_disconnect_timeout(Duration::from_secs(1))
                .local_addr(address)
                .on_connect_ext(|connection: &ErrorCompleter<ClientStream>, extensions| {
                    extensions.insert(connection.stream().activity());
                })
                .h1(application);
            fn_service(move |stream: TcpStream| admit(stream, limiter.clone(), complete))
                .and_then(http)
        })?
        .run();
    Ok(server)
}

type Admitted = (ErrorCompleter<ClientStream>, Option<std::net::SocketAddr>);

/// Admits a connection, or answers it with an error and closes it.
async fn admit(
    stream: TcpStream,
    limiter: ConnectionLimiter,
    complete: Complete,
) -> Result<Admitted, actix_http::error::DispatchError> {
    let peer = stream.peer_addr()?;
    match limiter.admit(peer.ip()) {
        Ok(permit) => {
            let stream = ClientStream::new(stream, permit);
            Ok((ErrorCompleter::new(stream, complete), Some(peer)))
        }
        Err(refusal) => {
            refusal::answer(stream, &refusal).await;
            Err(io::Error::from(io::ErrorKind::QuotaExceeded).into())
        }
    }
}
