//! Ported numbers. A set is written in pieces, so that no debit waits long, and takes effect as a
//! whole.

use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::portability::PortTable;
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QuerySelect,
};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::cluster::changes;
use crate::store::cluster::changes::Change;
use crate::store::views::Operations;
use crate::tables::cluster::{port_piece, port_set};

/// Rows per piece: half a megabyte, which takes a few milliseconds to write.
const PIECE_ROWS: usize = 100_000;

impl Operations<'_> {
    /// Replaces the ported numbers. The previous set stays in effect until the new one is complete.
    /// Of concurrent imports the one that started last wins.
    pub async fn replace_ported_numbers(
        self,
        table: &PortTable,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let id = Uuid::now_v7();
        let names: Vec<&str> = Carrier::all().map(Carrier::name).collect();
        let set = port_set::ActiveModel {
            id: Set(id),
            row_count: Set(table.len() as i64),
            carriers: Set(names.join(",")),
            imported_at_ms: Set(at_ms),
            in_force: Set(false),
        };
        port_set::Entity::insert(set).exec(self.store.write_connection()?).await?;
        let mut written = 0;
        for (place, packed) in table.packed(PIECE_ROWS).enumerate() {
            let piece = port_piece::ActiveModel {
                set_id: Set(id),
                place: Set(place as i64),
                packed: Set(packed),
            };
            port_piece::Entity::insert(piece).exec(self.store.write_connection()?).await?;
            written += 1;
        }
        let transaction = self.store.begin().await?;
        // Appending to the change feed locks it, which serializes imports.
        changes::append_change(&transaction, Change::Ports(id), at_ms).await?;
        let in_force = port_set::Entity::find().filter(port_set::Column::InForce.eq(true));
        let in_force = in_force.one(&transaction).await?;
        if in_force.is_some_and(|set| set.id > id) {
            // A later import finished first.
            transaction.rollback().await?;
            return self
                .drop_ports(self.store.write_connection()?, port_set::Column::Id.eq(id))
                .await;
        }
        port_set::Entity::update_many()
            .col_expr(port_set::Column::InForce, Expr::col(port_set::Column::Id).eq(id))
            .exec(&transaction)
            .await?;
        let pieces = port_piece::Entity::find().filter(port_piece::Column::SetId.eq(id));
        let set = port_set::Entity::find_by_id(id).one(&transaction).await?;
        // A set that this transaction cannot see completely must not take effect.
        if set.is_none() || pieces.count(&transaction).await? != written {
            transaction.rollback().await?;
            return Err(StoreError::Contended);
        }
        self.drop_ports(&transaction, port_set::Column::Id.lt(id)).await?;
        self.store.commit(transaction).await?;
        Ok(())
    }

    /// Returns the ported numbers in effect; an empty table if none were imported.
    ///
    /// # Errors
    /// Also [`StoreError::Unreadable`] for a damaged set.
    pub async fn ported_numbers(self) -> Result<PortTable, StoreError> {
        // One statement reads one snapshot, however often sets are replaced.
        let statement = self.store.sql(
            "SELECT s.row_count, s.carriers, p.packed FROM port_sets AS s \
             LEFT JOIN port_pieces AS p ON p.set_id = s.id WHERE s.in_force = ? ORDER BY p.place",
            [true.into()],
        );
        let rows = self.store.job_reader.query_all_raw(statement).await?;
        let Some(first) = rows.first() else {
            return Ok(PortTable::default());
        };
        let count: i64 = first.try_get_by_index(0)?;
        let names: String = first.try_get_by_index(1)?;
        let carriers: Option<Vec<Carrier>> = names.split(',').map(Carrier::named).collect();
        let pieces: Result<Vec<Option<Vec<u8>>>, DbErr> =
            rows.iter().map(|row| row.try_get_by_index(2)).collect();
        let pieces: Vec<Vec<u8>> = pieces?.into_iter().flatten().collect();
        let pieces = pieces.iter().map(Vec::as_slice);
        let table = PortTable::unpacked(pieces, &carriers.unwrap_or_default()).ok();
        let whole = table.filter(|table| table.len() as i64 == count);
        whole.ok_or(StoreError::unreadable("port_pieces", "packed"))
    }

    /// Deletes these sets and their pieces.
    async fn drop_ports(
        self,
        connection: &impl ConnectionTrait,
        sets: SimpleExpr,
    ) -> Result<(), StoreError> {
        let dropped: Vec<Uuid> = port_set::Entity::find()
            .filter(sets)
            .select_only()
            .column(port_set::Column::Id)
            .into_tuple()
            .all(connection)
            .await?;
        port_piece::Entity::delete_many()
            .filter(port_piece::Column::SetId.is_in(dropped.iter().copied()))
            .exec(connection)
            .await?;
        port_set::Entity::delete_many()
            .filter(port_set::Column::Id.is_in(dropped))
            .exec(connection)
            .await?;
        Ok(())
    }
}
