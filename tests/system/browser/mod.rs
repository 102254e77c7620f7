//! The site in a real browser: what a newcomer does, on a wide screen, on a phone, in both languages,
//! with scripts and without; and what an operator sees.
//!
//! Needs Debian's chromium and chromium-driver, and axe-core where `NEXO_TEST_AXE` says; `tests/run` brings
//! all three. Screenshots are kept in `NEXO_TEST_SCREENSHOTS`, or beside the build.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;
#[path = "dashboard/visitor.rs"]
mod visitor;
#[path = "operators/waiting.rs"]
mod waiting;

#[path = "browser/chromium.rs"]
mod chromium;
#[path = "browser/doors.rs"]
mod doors;
#[path = "browser/walk.rs"]
mod walk;
