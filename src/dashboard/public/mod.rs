//! Pages for visitors.

pub(super) mod landing;
