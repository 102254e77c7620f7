//! The stylesheet, the script and the icon. The name of each contains a hash of its content, so browsers cache
//! it for ever.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use sha2::{Digest, Sha256};

/// A static file.
pub struct Asset {
    /// Its path, which contains a hash of its content.
    pub path: String,
    content_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, text: &'static str) -> Asset {
        let hash = hex::encode(&Sha256::digest(text.as_bytes())[..8]);
        Asset { path: format!("/assets/{stem}-{hash}.{extension}"), content_type, text }
    }

    fn response(&self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(self.text)
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
    let assets: [&'static Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    for asset in assets {
        let name = asset.path.trim_start_matches("/assets");
        config.service(web::resource(name).get(move || async move { asset.response() }));
    }
}
