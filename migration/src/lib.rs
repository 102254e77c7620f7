//! The schema of NEXO ROUTE, one frozen step after another.
