//! Tests of HTTP itself: bodies, headers, methods, refusals by the parser, and the OpenAPI document by Schemathesis.

mod bodies;
mod headers;
mod methods;
mod refusals;
mod schemathesis;
