//! What every page uses: the viewer, forms, errors, headers and the frame around a page.

pub(super) mod assets;
pub(super) mod cookies;
pub(super) mod document;
pub(super) mod error;
pub(super) mod extract;
pub(super) mod form;
pub(super) mod headers;
pub(super) mod navigation;
pub(super) mod page;
pub(super) mod public_url;
pub(super) mod state;

pub(super) use error::{ErrorKind, PageError, PageResult};
pub(super) use extract::{Member, Operator, Viewer, Visitor, query, query_of_path};
pub(super) use form::{Fields, Posted};
pub(super) use navigation::NavItem;
pub(super) use page::{Page, form_token, public_page, redirect, standalone};
pub(super) use state::{Id, Site, SiteState};
