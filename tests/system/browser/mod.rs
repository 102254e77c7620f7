//! The site in a real browser: what a newcomer does, on a wide screen, on a phone, in both languages,
//! with scripts and without; and what an operator sees.
//!
//! Needs Debian's chromium and chromium-driver, and axe-core where `NEXO_TEST_AXE` says; `tests/run` brings
//! all three. Screenshots are kept in `NEXO_TEST_SCREENSHOTS`, or beside the build.

mod chromium;
mod sign_in;
mod tour;
