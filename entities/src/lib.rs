//! The tables of NEXO ROUTE and every query on them.
