//! The routes of the site, the API and the metrics port, read from the source of their routers. New ones are thus
//! covered by the tests that visit all of them.

use std::path::Path;

use harness::visitor::between;

/// A route of the site.
#[derive(Debug)]
pub struct Route {
    /// For example `/dashboard/api-keys/{id}/revoke`.
    pub path: String,
    /// Whether it answers GET with a page.
    pub has_page: bool,
    /// Whether it accepts a form by POST.
    pub has_form: bool,
}

/// All routes of the site.
pub fn routes() -> Vec<Route> {
    routes_of("dashboard")
}

/// All routes of the API, and the health checks.
pub fn api_routes() -> Vec<Route> {
    routes_of("api")
}

/// All routes of the metrics port.
pub fn metrics_routes() -> Vec<Route> {
    routes_of("telemetry::page")
}

fn routes_of(module: &str) -> Vec<Route> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    read(&source, module, "routes", "", &mut found);
    found
}

/// Reads the routes that `function` of a module, such as `auth::sign_in`, adds below `scope`.
fn read(folder: &Path, module: &str, function: &str, scope: &str, found: &mut Vec<Route>) {
    let within = folder.join(module.replace("::", "/"));
    let alone = within.with_extension("rs");
    let (file, folder) = match alone.exists() {
        true => (alone, within.parent().unwrap()),
        false => (within.join("mod.rs"), within.as_path()),
    };
    let source = std::fs::read_to_string(&file).unwrap();
    let head = format!("pub fn {function}(config: &mut ");
    let body = between(&source, &head, "\n}\n").unwrap_or_else(|| panic!("{head} in {file:?}"));
    let mut body: String = body.split_whitespace().collect();
    const MARK: char = '\u{1}';
    for call in ["scope(", "resource(", "to("] {
        body = body.replace(&format!("web::{call}"), call);
        body = body.replace(call, &format!("{MARK}{call}"));
    }
    let mut current = scope.to_owned();
    for part in body.split(MARK).skip(1) {
        let path = between(part, "(\"", "\")");
        let has_page = part.contains(".get(");
        let has_form = part.contains(".post(");
        match (part.split('(').next().unwrap(), path) {
            ("scope", Some(path)) => current = format!("{scope}{path}"),
            ("resource", Some(path)) => {
                found.push(Route { path: format!("{current}{path}"), has_page, has_form })
            }
            // Static files, the landing page at several paths, and the handler of all other paths.
            ("resource" | "to", _) if !has_form => {}
            _ => panic!("{file:?} adds a route that this parser does not support: {part}"),
        }
        for configured in part.split(".configure(").skip(1) {
            let path = configured.split(')').next().unwrap();
            let (module, function) = path.rsplit_once("::").unwrap();
            read(folder, module, function, &current, found);
        }
    }
}
