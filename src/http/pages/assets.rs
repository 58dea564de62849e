//! The static files of the pages: they are in the program, and a name with a hash in it lets browsers
//! keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::store::evidence::hex;

/// A static file.
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// How everything looks.
pub static STYLE: Asset = Asset {
    stem: "board",
    extension: "css",
    kind: "text/css; charset=utf-8",
    bytes: include_bytes!("../assets/board.css"),
};
/// What makes pages live.
pub static SCRIPT: Asset = Asset {
    stem: "board",
    extension: "js",
    kind: "text/javascript; charset=utf-8",
    bytes: include_bytes!("../assets/board.js"),
};
/// The sign in the browser's tab.
pub static ICON: Asset = Asset {
    stem: "icon",
    extension: "svg",
    kind: "image/svg+xml",
    bytes: include_bytes!("../assets/icon.svg"),
};

static ALL: LazyLock<[(String, &'static Asset); 3]> =
    LazyLock::new(|| [&STYLE, &SCRIPT, &ICON].map(|asset| (name(asset), asset)));

fn name(asset: &Asset) -> String {
    let hash = hex(&Sha256::digest(asset.bytes));
    format!("{}-{}.{}", asset.stem, &hash[..12], asset.extension)
}

/// Where browsers find it.
#[must_use]
pub fn path(asset: &'static Asset) -> String {
    let known = ALL.iter().find(|(_, known)| std::ptr::eq(*known, asset));
    known.map_or_else(String::new, |(name, _)| format!("/assets/{name}"))
}

/// All of them together, in bytes: part of what the first page costs.
#[cfg(test)]
pub fn total_bytes() -> usize {
    ALL.iter().map(|(_, asset)| asset.bytes.len()).sum()
}

/// `GET /assets/{file}`.
pub async fn get(Path(file): Path<String>) -> Response {
    match ALL.iter().find(|(name, _)| *name == file) {
        Some((_, asset)) => {
            let keep = "public, max-age=31536000, immutable";
            let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, keep)];
            (headers, asset.bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_are_found_by_their_paths_only() {
        for asset in [&STYLE, &SCRIPT, &ICON] {
            let path = path(asset);
            let file = path.strip_prefix("/assets/").unwrap().to_owned();
            let found = get(Path(file)).await;
            assert_eq!(found.status(), StatusCode::OK, "{path}");
            assert_eq!(found.headers()[header::CONTENT_TYPE], asset.kind);
        }
        let found = get(Path("board.css".to_owned())).await;
        assert_eq!(found.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn nothing_is_asked_of_others() {
        for (name, asset) in ALL.iter() {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let elsewhere = text.replace("http://www.w3.org/", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{name}");
        }
    }
}
