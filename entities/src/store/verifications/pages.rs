//! Pages of an account's verifications, newest first, in the order of the pages of deliveries.

use nexo_domain::customer_fields::Reference;
use nexo_domain::ids::{AccountId, VerificationId};
use nexo_domain::phone::Phone;
use nexo_domain::verification::Status;
use sea_orm::{ConnectionTrait, Statement, Value};

use super::{COLUMNS, Verification};
use crate::store::StoreError;
use crate::store::views::Verifications;

/// Selects verifications of an account; the default selects all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerificationFilter {
    pub status: Option<Status>,
    pub phone: Option<Phone>,
    pub reference: Option<Reference>,
    /// Started at this time or later.
    pub from_ms: Option<i64>,
    /// Started before this time.
    pub to_ms: Option<i64>,
}

/// A position in the order of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationCursor {
    pub created_at_ms: i64,
    pub id: VerificationId,
}

/// A page of verifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationPage {
    pub verifications: Vec<Verification>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<VerificationCursor>,
}

impl Verifications<'_> {
    /// Returns at most `limit` verifications of the account that match `filter` at `now_ms`, newest first, after the
    /// position `after`.
    pub async fn page(
        self,
        account: AccountId,
        filter: &VerificationFilter,
        after: Option<VerificationCursor>,
        limit: u32,
        now_ms: i64,
    ) -> Result<VerificationPage, StoreError> {
        let statement = self.select_page(account, filter, after, limit, now_ms);
        let rows = self.store.reader.query_all_raw(statement).await?;
        let mut verifications =
            rows.iter().map(Verification::from_row).collect::<Result<Vec<_>, _>>()?;
        let is_last = verifications.len() <= limit as usize;
        verifications.truncate(limit as usize);
        let next = verifications
            .last()
            .filter(|_| !is_last)
            .map(|last| VerificationCursor { created_at_ms: last.created_at_ms, id: last.id });
        Ok(VerificationPage { verifications, next })
    }

    /// The ids come from an index, and only the rows of the page are read. What has expired without being marked
    /// comes from the index of the pending ones, which are few.
    fn select_page(
        self,
        account: AccountId,
        filter: &VerificationFilter,
        after: Option<VerificationCursor>,
        limit: u32,
        now_ms: i64,
    ) -> Statement {
        // SQLite would rather read all of the account's verifications in their order than sort the pending ones.
        let of_pending = match self.store.is_sqlite() {
            true => "verifications INDEXED BY verifications_pending",
            false => "verifications",
        };
        let limit = Value::from(i64::from(limit) + 1);
        let (mut branches, mut values) = (Vec::new(), Vec::new());
        for (is_stored, at) in branches_of(filter.status) {
            let (rest, rest_values) = conditions(filter, after);
            let table = if *at { of_pending } else { "verifications" };
            branches.push(format!(
                "SELECT * FROM (SELECT id, created_at_ms FROM {table} WHERE account_id = ?{is_stored}{rest} \
                 ORDER BY created_at_ms DESC, id LIMIT ?) AS one"
            ));
            values.push(account.0.into());
            values.extend(at.then(|| Value::from(now_ms)));
            values.extend(rest_values);
            values.push(limit.clone());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM verifications WHERE id IN ( \
             SELECT id FROM ({}) AS found ORDER BY created_at_ms DESC, id LIMIT ?) \
             ORDER BY created_at_ms DESC, id",
            branches.join(" UNION ALL ")
        );
        values.push(limit);
        self.store.sql(&sql, values)
    }
}

/// The conditions under which a verification has the status, and whether each contains the time. With the exact
/// condition of a partial index: with a parameter a database cannot know that the index covers the query.
fn branches_of(status: Option<Status>) -> &'static [(&'static str, bool)] {
    match status {
        None => &[("", false)],
        Some(Status::Pending) => &[(" AND status = 'pending' AND expires_at_ms > ?", true)],
        Some(Status::Approved) => &[(" AND status = 'approved' AND status <> 'pending'", false)],
        Some(Status::Failed) => &[(" AND status = 'failed' AND status <> 'pending'", false)],
        Some(Status::Canceled) => &[(" AND status = 'canceled' AND status <> 'pending'", false)],
        Some(Status::Expired) => &[
            (" AND status = 'expired' AND status <> 'pending'", false),
            (" AND status = 'pending' AND expires_at_ms <= ?", true),
        ],
    }
}

/// The other conditions of a page and their values.
fn conditions(
    filter: &VerificationFilter,
    after: Option<VerificationCursor>,
) -> (String, Vec<Value>) {
    let (mut text, mut values) = (String::new(), Vec::new());
    let mut add = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            text.push_str(condition);
            values.push(value);
        }
    };
    add(" AND created_at_ms >= ?", filter.from_ms.map(Value::from));
    add(" AND created_at_ms < ?", filter.to_ms.map(Value::from));
    add(" AND phone = ?", filter.phone.map(|phone| phone.to_string().into()));
    add(" AND reference = ?", filter.reference.as_ref().map(|r| r.as_str().into()));
    // The bound for the index search, then the order within a millisecond.
    let at = after.map(|place| Value::from(place.created_at_ms));
    add(" AND created_at_ms <= ?", at.clone());
    add(" AND (created_at_ms < ?", at);
    add(" OR id > ?)", after.map(|place| place.id.0.into()));
    (text, values)
}

#[cfg(test)]
mod tests {
    use nexo_domain::phone::carrier_plan::CarrierPlan;
    use uuid::Uuid;

    use super::*;
    use crate::store::Store;

    async fn plan(store: &Store, filter: &VerificationFilter) -> String {
        let after = VerificationCursor { created_at_ms: 1, id: VerificationId(Uuid::nil()) };
        let account = AccountId(Uuid::nil());
        let mut statement = store.verifications().select_page(account, filter, Some(after), 50, 1);
        statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let rows = store.connection().query_all_raw(statement).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.try_get_by_index(3).unwrap()).collect();
        steps.join("; ")
    }

    #[tokio::test]
    async fn every_page_is_found_by_an_index_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/plans.db", folder.path().display());
        let store = Store::connect(&url, 1).await.unwrap();
        nexo_migration::up(store.connection()).await.unwrap();
        let none = VerificationFilter::default;
        let phone = Phone::parse("+84981234567", &CarrierPlan::vietnam()).ok();
        let reference = Reference::parse("order-42");
        for (filter, index) in [
            (none(), "COVERING INDEX verifications_by_account (account_id=?"),
            (
                VerificationFilter { phone, from_ms: Some(0), ..none() },
                "COVERING INDEX verifications_by_account (account_id=?",
            ),
            (
                VerificationFilter { status: Some(Status::Failed), phone, ..none() },
                "COVERING INDEX verifications_closed (account_id=? AND status=?",
            ),
            (
                VerificationFilter { status: Some(Status::Pending), ..none() },
                "INDEX verifications_pending (account_id=?",
            ),
            (
                VerificationFilter { reference, from_ms: Some(0), ..none() },
                "COVERING INDEX verifications_by_reference (account_id=? AND reference=?",
            ),
        ] {
            let plan = plan(&store, &filter).await;
            assert!(plan.contains(index), "{filter:?}: {plan}");
            assert!(!plan.contains("SCAN verifications"), "{filter:?}: {plan}");
        }
        let expired = VerificationFilter { status: Some(Status::Expired), ..none() };
        let plan = plan(&store, &expired).await;
        for index in ["verifications_closed (account_id=? AND status=?", "verifications_pending ("]
        {
            assert!(plan.contains(index), "{plan}");
        }
    }
}
