//! HTTP figures by route and status, registered once.

use std::sync::OnceLock;
use std::time::Instant;

use actix_web::http::StatusCode;
use metrics::{Counter, Histogram};

const ROUTES: [&str; 21] = [
    "/api/v1/send-otp",
    "/api/v1/hooks/{kind}/{id}",
    "/api/v1/deliveries/{id}",
    "/api/v1/deliveries",
    "/api/v1/verifications",
    "/api/v1/verifications/{id}",
    "/api/v1/verifications/{id}/check",
    "/api/v1/verifications/{id}/resend",
    "/api/v1/verifications/{id}/cancel",
    "/api/v1/ledger",
    "/api/v1/balance",
    "/api/v1/bank-notifications",
    "/api/v1/openapi.json",
    "/healthz",
    "/readyz",
    "/dashboard/*",
    "/auth/*",
    "/docs",
    "/en",
    "/vi",
    "other",
];
const STATUSES: [u16; 20] = [
    200, 202, 204, 303, 304, 400, 401, 402, 403, 404, 405, 406, 409, 413, 429, 500, 501, 502, 503,
    0,
];

/// The counters and the latency of every route and status.
pub struct HttpMeters {
    requests: Vec<[Counter; STATUSES.len()]>,
    /// Registered when the first answer of the kind is given: most kinds never come.
    latency: Vec<[OnceLock<Histogram>; STATUSES.len()]>,
}

/// One request being measured.
pub struct Timer {
    route: usize,
    started: Instant,
}

impl HttpMeters {
    /// The process's meters; registered at first use, after the recorder.
    pub fn get() -> &'static HttpMeters {
        static METERS: OnceLock<HttpMeters> = OnceLock::new();
        METERS.get_or_init(HttpMeters::register)
    }

    fn register() -> HttpMeters {
        let counter = |route: &'static str, status: u16| {
            let status = status_label(status);
            metrics::counter!("nexo_http_requests_total", "route" => route, "status" => status)
        };
        HttpMeters {
            requests: ROUTES
                .iter()
                .map(|route| STATUSES.map(|status| counter(route, status)))
                .collect(),
            latency: ROUTES.iter().map(|_| [const { OnceLock::new() }; STATUSES.len()]).collect(),
        }
    }

    pub fn start(&self, path: &str) -> Timer {
        Timer { route: route(path), started: Instant::now() }
    }
}

impl Timer {
    pub fn finish(self, status: StatusCode) {
        let meters = HttpMeters::get();
        let place = STATUSES
            .iter()
            .position(|known| *known == status.as_u16())
            .unwrap_or(STATUSES.len() - 1);
        meters.requests[self.route][place].increment(1);
        let latency = meters.latency[self.route][place].get_or_init(|| {
            metrics::histogram!(
                "nexo_http_request_seconds",
                "route" => ROUTES[self.route], "status" => status_label(STATUSES[place])
            )
        });
        latency.record(self.started.elapsed());
    }
}

fn status_label(status: u16) -> String {
    match status {
        0 => "other".to_owned(),
        code => code.to_string(),
    }
}

fn route(path: &str) -> usize {
    let starts = |start: &str| path.starts_with(start);
    let name = match path {
        _ if starts("/api/v1/hooks/") => "/api/v1/hooks/{kind}/{id}",
        _ if starts("/api/v1/deliveries/") => "/api/v1/deliveries/{id}",
        _ if starts("/api/v1/verifications/") => match path.rsplit('/').next() {
            Some("check") => "/api/v1/verifications/{id}/check",
            Some("resend") => "/api/v1/verifications/{id}/resend",
            Some("cancel") => "/api/v1/verifications/{id}/cancel",
            _ => "/api/v1/verifications/{id}",
        },
        "/dashboard" => "/dashboard/*",
        _ if starts("/dashboard/") => "/dashboard/*",
        _ if starts("/auth/") => "/auth/*",
        _ => path,
    };
    ROUTES.iter().position(|known| *known == name).unwrap_or(ROUTES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_falls_into_a_bounded_set_of_routes() {
        assert_eq!(ROUTES[route("/api/v1/send-otp")], "/api/v1/send-otp");
        assert_eq!(ROUTES[route("/api/v1/deliveries/8f2e1c4d")], "/api/v1/deliveries/{id}");
        let hook = "/api/v1/hooks/logto/8f2e1c4d-0000-4000-8000-000000000001";
        assert_eq!(ROUTES[route(hook)], "/api/v1/hooks/{kind}/{id}");
        assert_eq!(ROUTES[route("/api/v1/deliveries")], "/api/v1/deliveries");
        for path in ["/dashboard", "/dashboard/deliveries/8f2e1c4d"] {
            assert_eq!(ROUTES[route(path)], "/dashboard/*", "{path}");
        }
        for (path, name) in [
            ("/api/v1/verifications", "/api/v1/verifications"),
            ("/api/v1/verifications/8f2e1c4d", "/api/v1/verifications/{id}"),
            ("/api/v1/verifications/8f2e1c4d/check", "/api/v1/verifications/{id}/check"),
            ("/api/v1/verifications/8f2e1c4d/x", "/api/v1/verifications/{id}"),
        ] {
            assert_eq!(ROUTES[route(path)], name);
        }
        assert_eq!(ROUTES[route("/auth/sign-in")], "/auth/*");
        assert_eq!(ROUTES[route("/docs")], "/docs");
        for path in ["/", "/dashboards", "/wp-admin.php", "other", "/api/v1/send-otp/x"] {
            assert_eq!(ROUTES[route(path)], "other", "{path}");
        }
    }
}
