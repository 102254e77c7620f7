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

/// Reads what `function` of a module, such as `auth::sign_in`, adds below `scope`.
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
        let shows = part.contains(".get(");
        let takes = part.contains(".post(");
        match (part.split('(').next().unwrap(), path) {
            ("scope", Some(path)) => current = format!("{scope}{path}"),
            ("resource", Some(path)) => found.push(Route {
                path: format!("{current}{path}"),
                shows,
                takes,
            }),
            // Static files, the landing page at several addresses, and the handler of all other addresses.
            ("resource" | "to", _) if !takes => {}
            _ => panic!("{file:?} adds to the router what is not understood here: {part}"),
        }
        for configured in part.split(".configure(").skip(1) {
            let path = configured.split(')').next().unwrap();
            let (module, function) = path.rsplit_once("::").unwrap();
            read(folder, module, function, &current, found);
        }
    }
}
