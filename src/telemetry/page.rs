//! The metrics port: `/metrics`, and `/trunks` with the state of each gateway for operators.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;
use nexo_actors::dispatch::Dispatcher;

use crate::http::methods::derive_methods;
use crate::http::parser_errors::ErrorAnswer;
use crate::http::{self, ConnectionLimiter, ConnectionLimits, ServerOptions};
use crate::trunks::status::{CarrierStatus, Status};

/// How often recorded samples are moved into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Prometheus and operators need few connections.
const CONNECTIONS: ConnectionLimits = ConnectionLimits { total: 64, per_address: 32 };

/// The state of `/metrics`.
struct Page {
    recorder: PrometheusHandle,
    /// Memory, CPU, descriptors and threads, read at each request.
    process: Collector,
}

/// Serves the metrics port.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve_metrics(
    listener: TcpListener,
    recorder: PrometheusHandle,
    dispatcher: Arc<Dispatcher>,
) -> std::io::Result<Server> {
    let dispatcher = web::Data::from(dispatcher);
    let upkeep = recorder.clone();
    actix_web::rt::spawn(async move {
        let mut due = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            due.tick().await;
            upkeep.run_upkeep();
        }
    });
    let process = Collector::new("nexo_");
    process.describe();
    let page = web::Data::new(Page { recorder, process });
    let options = ServerOptions {
        limiter: ConnectionLimiter::new(CONNECTIONS, Vec::new()),
        workers: Some(1),
        complete: |status| ErrorAnswer {
            headers: "content-type: text/plain; charset=utf-8\r\n".to_owned(),
            body: format!("{status}\n"),
        },
    };
    http::serve(listener, options, move || {
        App::new()
            .app_data(page.clone())
            .app_data(dispatcher.clone())
            .wrap(from_fn(derive_methods))
            .configure(routes)
    })
}

/// The routes of the metrics port.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/metrics").get(metrics_page))
        .service(web::resource("/trunks").get(trunks_page));
}

async fn metrics_page(page: web::Data<Page>) -> HttpResponse {
    page.process.collect();
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(page.recorder.render())
}

async fn trunks_page(dispatcher: web::Data<Dispatcher>) -> HttpResponse {
    let carriers = dispatcher.carriers.iter();
    let carriers =
        carriers.map(|route| CarrierStatus::of(&route.trunk.current(), Some(&route.admission)));
    HttpResponse::Ok().json(Status { running: true, carriers: carriers.collect() })
}
