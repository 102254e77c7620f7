//! The nodes that serve from this database.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Grows with every life of the node, and when another node takes over what it left.
    pub epoch: i64,
    /// By the database's clock.
    pub lease_until_ms: i64,
    /// How long after its lease's end one of its calls may still be up.
    pub longest_call_ms: i64,
    /// Whether its life holds the name by a lock that ends with its session.
    pub is_locked: bool,
    /// Until when another node has taken it upon itself to settle what this one left.
    pub taken_until_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
