//! The style, the script and the picture of the site. Each is named by its content, and never changes.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use sha2::{Digest, Sha256};

use super::error::{Refused, Why};

/// One file.
pub struct Asset {
    /// Under `/assets/`: its name holds a hash of its content.
    pub path: String,
    name: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, text: &'static str) -> Asset {
        let digest = Sha256::digest(text.as_bytes());
        let hash: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let name = format!("{stem}-{hash}.{extension}");
        Asset {
            path: format!("/assets/{name}"),
            name,
            kind,
            text,
        }
    }
}

pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("../assets/style.css");
    Asset::new("style", "css", "text/css; charset=utf-8", text)
});
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("../assets/script.js");
    Asset::new("script", "js", "text/javascript; charset=utf-8", text)
});
pub static ICON: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("../assets/icon.svg");
    Asset::new("icon", "svg", "image/svg+xml", text)
});

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/{name}").get(asset));
}

async fn asset(name: web::Path<String>) -> Result<HttpResponse, Refused> {
    let assets: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let asset = assets.into_iter().find(|asset| asset.name == *name);
    let asset = asset.ok_or_else(|| Refused::because(Why::NotFound))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.kind))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.text))
}
