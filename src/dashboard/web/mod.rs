//! What every page uses: layout, forms, errors, headers, charts.

pub(super) mod assets;
pub(super) mod charts;
pub mod error;
pub mod extract;
pub mod form;
pub(super) mod headers;
pub(super) mod ladder;
pub mod markup;
pub mod navigation;
pub mod page;
pub(super) mod public_url;
