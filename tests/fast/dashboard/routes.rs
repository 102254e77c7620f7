//! The site's addresses as its router has them, read from its source: whoever adds a page or a form adds it
//! to the tests that go through all of them.

use std::path::Path;

use harness::visitor::between;

/// An address of the site.
#[derive(Debug)]
pub struct Route {
    /// `/dashboard/api-keys/{id}/revoke`.
    pub path: String,
    /// Whether there is a page.
    pub shows: bool,
    /// Whether it takes a form.
    pub takes: bool,
}

/// Every address of the site.
pub fn routes() -> Vec<Route> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    read(&source, "dashboard", "routes", "", &mut found);
    found
}

/// What this function of a module adds below `scope`.
fn read(folder: &Path, module: &str, function: &str, scope: &str, found: &mut Vec<Route>) {
    let (alone, within) = (folder.join(format!("{module}.rs")), folder.join(module));
    let (file, folder) = match alone.exists() {
        true => (alone, folder),
        false => (within.join("mod.rs"), within.as_path()),
    };
    let source = std::fs::read_to_string(&file).unwrap();
    let head = format!("pub fn {function}(config: &mut web::ServiceConfig) {{");
    let body = between(&source, &head, "\n}\n").unwrap_or_else(|| panic!("{head} in {file:?}"));
    let body: String = body.split_whitespace().collect();
    let mut current = scope.to_owned();
    for part in body.split("web::").skip(1) {
        let path = between(part, "(\"", "\")");
        let shows = part.contains(".get(");
        let takes = part.contains(".post(");
        match (part.split('(').next().unwrap(), path) {
            ("scope", Some(path)) => current = format!("{scope}{path}"),
            ("resource", Some(path)) => found.push(Route {
                path: format!("{current}{path}"),
                shows,
                takes,
            }),
            // The landing page, at several addresses; and what is nowhere.
            ("resource" | "to", _) if !takes => {}
            _ => panic!("{file:?} adds to the router what is not understood here: {part}"),
        }
        for configured in part.split(".configure(").skip(1) {
            let (module, rest) = configured.split_once("::").unwrap();
            let function = rest.split(')').next().unwrap();
            read(folder, module, function, &current, found);
        }
    }
}
