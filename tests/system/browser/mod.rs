//! The site in a real browser: the tasks of a new customer on a wide screen, on a phone, in both languages,
//! with scripts and without; and the operator's pages.
//!
//! Needs Debian's chromium and chromium-driver, and axe-core at the path in `NEXO_TEST_AXE`; `tests/run`
//! installs all three. Screenshots are saved in `NEXO_TEST_SCREENSHOTS`, or beside the build.

mod chromium;
mod gallery;
mod integrations;
mod preferences;
mod sign_in;
mod tour;
