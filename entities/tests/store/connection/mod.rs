//! Opening a database and checking its schema.

mod opening;
mod schema;
