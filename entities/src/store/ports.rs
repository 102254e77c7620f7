//! Ported numbers: whole sets only. A set is written piece by piece, so that no debit waits for long,
//! and comes into force at once.

use nexo_domain::carrier_plan::Carrier;
use nexo_domain::ports::PortTable;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::changes::{self, Change};
use super::{Store, StoreError};
use crate::{port_pieces, port_sets};

/// Rows of one piece: half a megabyte, which takes a few milliseconds to write.
const PIECE_ROWS: usize = 100_000;

impl Store {
    /// Puts `table` in the place of the ported numbers that are in force. Until it is all written, and
    /// where that fails, the older ones stay.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn replace_ports(&self, table: &PortTable, at_ms: i64) -> Result<(), StoreError> {
        let id = Uuid::now_v7();
        let names: Vec<&str> = Carrier::all().map(Carrier::name).collect();
        let set = port_sets::ActiveModel {
            id: Set(id),
            row_count: Set(table.len() as i64),
            carriers: Set(names.join(",")),
            imported_at_ms: Set(at_ms),
            in_force: Set(false),
        };
        port_sets::Entity::insert(set).exec(&self.writer).await?;
        for (place, packed) in table.packed(PIECE_ROWS).enumerate() {
            let piece = port_pieces::ActiveModel {
                set_id: Set(id),
                place: Set(place as i64),
                packed: Set(packed),
            };
            port_pieces::Entity::insert(piece)
                .exec(&self.writer)
                .await?;
        }
        let transaction = self.begin().await?;
        port_sets::Entity::update_many()
            .col_expr(
                port_sets::Column::InForce,
                Expr::col(port_sets::Column::Id).eq(id),
            )
            .exec(&transaction)
            .await?;
        changes::append(&transaction, Change::Ports(id), at_ms).await?;
        transaction.commit().await?;
        self.drop_old_ports(id).await
    }

    /// The ported numbers in force; none where none were imported.
    ///
    /// # Errors
    /// What the database fails with, or a set that cannot be read.
    pub async fn ports(&self) -> Result<PortTable, StoreError> {
        let unreadable = StoreError::Unreadable {
            table: "port_pieces",
            column: "packed",
        };
        let in_force = port_sets::Entity::find().filter(port_sets::Column::InForce.eq(true));
        let Some(set) = in_force.one(&self.reader).await? else {
            return Ok(PortTable::default());
        };
        let carriers: Option<Vec<Carrier>> = set.carriers.split(',').map(Carrier::named).collect();
        let pieces: Vec<Vec<u8>> = port_pieces::Entity::find()
            .filter(port_pieces::Column::SetId.eq(set.id))
            .order_by_asc(port_pieces::Column::Place)
            .select_only()
            .column(port_pieces::Column::Packed)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let pieces = pieces.iter().map(Vec::as_slice);
        let table = PortTable::unpacked(pieces, &carriers.unwrap_or_default());
        // Replaced while it was read: what is missing will be told as the next change.
        match table {
            Ok(table) if table.len() as i64 == set.row_count => Ok(table),
            Ok(_) | Err(_) => Err(unreadable),
        }
    }

    /// Drops the sets that are older than `id`, piece by piece.
    async fn drop_old_ports(&self, id: Uuid) -> Result<(), StoreError> {
        let older: Vec<(Uuid, i64)> = port_pieces::Entity::find()
            .filter(port_pieces::Column::SetId.lt(id))
            .select_only()
            .column(port_pieces::Column::SetId)
            .column(port_pieces::Column::Place)
            .into_tuple()
            .all(&self.reader)
            .await?;
        for key in older {
            port_pieces::Entity::delete_by_id(key)
                .exec(&self.writer)
                .await?;
        }
        port_sets::Entity::delete_many()
            .filter(port_sets::Column::Id.lt(id))
            .filter(port_sets::Column::InForce.eq(false))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}
