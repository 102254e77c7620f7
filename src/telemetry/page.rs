//! `/metrics`, and beside it `/trunks`: what is known of each gateway, for operators.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;
use nexo_actors::dispatch::DispatchDesk;

use crate::trunks::status::{CarrierStatus, Status};

/// Histograms keep what was recorded until it is put into its buckets, so often.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What `/metrics` needs.
struct Page {
    recorder: PrometheusHandle,
    /// Memory, CPU, descriptors and threads, read when asked for.
    process: Collector,
}

/// Serves `/metrics` on a listener of its own.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_metrics(
    listener: TcpListener,
    recorder: PrometheusHandle,
    desk: Arc<DispatchDesk>,
) -> std::io::Result<Server> {
    let desk = web::Data::from(desk);
    let upkeep = recorder.clone();
    actix_web::rt::spawn(async move {
        let mut due = tokio::time::interval(UPKEEP_EVERY);
        loop {
            due.tick().await;
            upkeep.run_upkeep();
        }
    });
    let process = Collector::new("nexo_");
    process.describe();
    let page = web::Data::new(Page { recorder, process });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(page.clone())
            .app_data(desk.clone())
            .route("/metrics", web::get().to(metrics_page))
            .route("/trunks", web::get().to(trunks_page))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

async fn metrics_page(page: web::Data<Page>) -> HttpResponse {
    page.process.collect();
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(page.recorder.render())
}

async fn trunks_page(desk: web::Data<DispatchDesk>) -> HttpResponse {
    let carriers = desk.carriers.iter();
    let carriers =
        carriers.map(|route| CarrierStatus::of(&route.trunk.now(), Some(&route.admission)));
    HttpResponse::Ok().json(Status {
        running: true,
        carriers: carriers.collect(),
    })
}
