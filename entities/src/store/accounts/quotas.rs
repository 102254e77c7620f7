//! Counts of free actions per day, accounts' own limits, and grants of free credit.
//!
//! [`Accounts::take_quota`] counts exactly, also between nodes. Counters kept in memory are added by
//! [`Accounts::add_quota_uses`].

use nexo_domain::account::quota::{QuotaExceeded, QuotaKind, QuotaScope, day_of};
use nexo_domain::ids::AccountId;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};
use uuid::Uuid;

use super::lock_open_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};

/// The subject of the quotas that count all clients together.
pub const EVERYONE: &str = "all";

/// Actions to count.
#[derive(Debug, Clone, Copy)]
pub struct QuotaTake<'a> {
    pub kind: QuotaKind,
    /// An account's id, a network, a mailbox's hash or [`EVERYONE`].
    pub subject: &'a str,
    pub count: u32,
    /// `None`: unlimited.
    pub limit: Option<u32>,
    pub at_ms: i64,
}

/// Actions that a node counted in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaDelta {
    pub kind: QuotaKind,
    pub account: AccountId,
    pub day: i64,
    /// Negative if more was given back than taken.
    pub count: i64,
}

/// An account's own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountQuota {
    pub account: AccountId,
    pub kind: QuotaKind,
    /// 0: unlimited.
    pub per_day: u32,
}

/// Whether a new account received its free credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeCredit {
    Granted,
    /// No free credit is configured.
    NotOffered,
    /// Another account of the same mailbox received it.
    MailboxHadOne,
    /// The grants of this day are used up.
    DailyLimitReached,
}

const TAKE: &str = "INSERT INTO quota_uses (day, kind, subject, used) VALUES (?, ?, ?, ?) \
     ON CONFLICT (day, kind, subject) DO UPDATE SET used = quota_uses.used + excluded.used \
     WHERE quota_uses.used + excluded.used <= ? RETURNING used";

/// The first count must not be negative; later ones may be, but not below 0.
const ADD: &str = "INSERT INTO quota_uses (day, kind, subject, used) VALUES (?, ?, ?, ?) \
     ON CONFLICT (day, kind, subject) DO UPDATE SET used = CASE \
     WHEN quota_uses.used + ? < 0 THEN 0 ELSE quota_uses.used + ? END RETURNING used";

impl Accounts<'_> {
    /// Counts actions, all or nothing. Exact between nodes.
    ///
    /// # Errors
    /// [`Conflict::QuotaExceeded`]; nothing is counted then.
    pub async fn take_quota(self, take: QuotaTake<'_>) -> Result<(), StoreError> {
        let connection = self.store.write_connection()?;
        let taken = self.take(connection, take).await;
        self.store.check_write(taken)
    }

    /// Counts actions within a transaction.
    pub(super) async fn take(
        self,
        connection: &impl ConnectionTrait,
        take: QuotaTake<'_>,
    ) -> Result<(), StoreError> {
        let exceeded = |limit| QuotaExceeded::of_day(take.kind, limit, take.at_ms);
        if let Some(limit) = take.limit.filter(|limit| take.count > *limit) {
            return Err(Conflict::QuotaExceeded(exceeded(limit)).into());
        }
        let values = [
            day_of(take.at_ms).into(),
            take.kind.name().into(),
            take.subject.into(),
            i64::from(take.count).into(),
            take.limit.map_or(i64::MAX, i64::from).into(),
        ];
        let used: Option<i64> = scalar(connection, self.store.sql(TAKE, values)).await?;
        match (used, take.limit) {
            (None, Some(limit)) => Err(Conflict::QuotaExceeded(exceeded(limit)).into()),
            _ => Ok(()),
        }
    }

    /// Counts as many of the actions as the limit allows, and returns their number.
    pub async fn take_quota_up_to(self, take: QuotaTake<'_>) -> Result<u32, StoreError> {
        let transaction = self.store.begin().await?;
        // Adding nothing locks the row.
        let used = self.add(&transaction, &take, 0).await?;
        let left = take.limit.map_or(i64::MAX, i64::from) - used;
        let count = left.clamp(0, take.count.into());
        self.add(&transaction, &take, count).await?;
        self.store.commit(transaction).await?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    /// Subtracts actions that were counted but not done.
    pub async fn give_back_quota(self, taken: QuotaTake<'_>) -> Result<(), StoreError> {
        let connection = self.store.write_connection()?;
        let given_back = self.add(connection, &taken, -i64::from(taken.count)).await;
        self.store.check_write(given_back).map(|_| ())
    }

    async fn add(
        self,
        connection: &impl ConnectionTrait,
        to: &QuotaTake<'_>,
        count: i64,
    ) -> Result<i64, StoreError> {
        let day = day_of(to.at_ms);
        self.add_on(connection, day, to.kind, to.subject, count).await
    }

    async fn add_on(
        self,
        connection: &impl ConnectionTrait,
        day: i64,
        kind: QuotaKind,
        subject: &str,
        count: i64,
    ) -> Result<i64, StoreError> {
        let values: [Value; 6] = [
            day.into(),
            kind.name().into(),
            subject.into(),
            count.max(0).into(),
            count.into(),
            count.into(),
        ];
        let used: Option<i64> = scalar(connection, self.store.sql(ADD, values)).await?;
        used.ok_or(StoreError::unreadable("quota_uses", "used"))
    }

    /// Adds what a node counted in memory. Returns the count of each after it, with those of other
    /// nodes.
    pub async fn add_quota_uses(self, deltas: &[QuotaDelta]) -> Result<Vec<i64>, StoreError> {
        let transaction = self.store.begin().await?;
        let mut used = vec![0; deltas.len()];
        // All nodes lock the rows in the same order.
        let mut order: Vec<usize> = (0..deltas.len()).collect();
        order.sort_unstable_by_key(|index| {
            let delta = &deltas[*index];
            (delta.day, delta.kind, delta.account.0)
        });
        for index in order {
            let delta = &deltas[index];
            let account = delta.account.to_string();
            used[index] =
                self.add_on(&transaction, delta.day, delta.kind, &account, delta.count).await?;
        }
        self.store.commit(transaction).await?;
        Ok(used)
    }

    /// Returns what an account used of its quotas on the day of `at_ms`.
    pub async fn quota_uses(
        self,
        account: AccountId,
        at_ms: i64,
    ) -> Result<Vec<(QuotaKind, i64)>, StoreError> {
        let kinds: Vec<QuotaKind> = QuotaKind::of_accounts().collect();
        let places = vec!["?"; kinds.len()].join(",");
        let sql = format!(
            "SELECT kind, used FROM quota_uses WHERE day = ? AND kind IN ({places}) AND subject = ?"
        );
        let kinds = kinds.iter().map(|kind| Value::from(kind.name()));
        let values = std::iter::once(Value::from(day_of(at_ms)))
            .chain(kinds)
            .chain([account.to_string().into()]);
        let statement = self.store.sql(&sql, values);
        let mut uses = Vec::new();
        for row in self.store.reader.query_all_raw(statement).await? {
            let (kind, used): (String, i64) = row.try_get_many_by_index()?;
            uses.extend(QuotaKind::named(&kind).map(|kind| (kind, used)));
        }
        Ok(uses)
    }

    /// Returns what all accounts used of a quota on the day of `at_ms`.
    pub async fn quota_uses_of_all(
        self,
        kind: QuotaKind,
        at_ms: i64,
    ) -> Result<Vec<(AccountId, i64)>, StoreError> {
        debug_assert_eq!(kind.scope(), QuotaScope::Account);
        let sql = "SELECT subject, used FROM quota_uses WHERE day = ? AND kind = ?";
        let statement = self.store.sql(sql, [day_of(at_ms).into(), kind.name().into()]);
        let mut uses = Vec::new();
        for row in self.store.reader.query_all_raw(statement).await? {
            let (subject, used): (String, i64) = row.try_get_many_by_index()?;
            let account = subject.parse();
            let account = account.map_err(|_| StoreError::unreadable("quota_uses", "subject"))?;
            uses.push((account, used));
        }
        Ok(uses)
    }

    /// Deletes the counts of days before `day`.
    pub async fn delete_quota_uses(self, day: i64) -> Result<u64, StoreError> {
        let delete = self.store.sql("DELETE FROM quota_uses WHERE day < ?", [day.into()]);
        let deleted = self.store.write_connection()?.execute_raw(delete).await;
        Ok(self.store.check_write(deleted)?.rows_affected())
    }

    /// Returns the own limits of `account`, or of all accounts.
    pub async fn account_quotas(
        self,
        account: Option<AccountId>,
    ) -> Result<Vec<AccountQuota>, StoreError> {
        let filter = match account {
            Some(_) => " WHERE account_id = ?",
            None => "",
        };
        let sql = format!("SELECT account_id, kind, per_day FROM account_quotas{filter}");
        let statement = self.store.sql(&sql, account.map(|account| Value::from(account.0)));
        let mut quotas = Vec::new();
        for row in self.store.reader.query_all_raw(statement).await? {
            let mut row = Columns::of(&row);
            let account = AccountId(row.get::<Uuid>()?);
            let kind = QuotaKind::named(&row.get::<String>()?);
            let per_day = u32::try_from(row.get::<i64>()?).unwrap_or(u32::MAX);
            // A kind of a newer version is skipped.
            quotas.extend(kind.map(|kind| AccountQuota { account, kind, per_day }));
        }
        Ok(quotas)
    }

    /// Sets an account's own limit of a quota; `None` removes it, so that the configured one
    /// applies. Returns false if that changes nothing.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`].
    pub async fn set_account_quota(
        self,
        by: Operator<'_>,
        account: AccountId,
        kind: QuotaKind,
        per_day: Option<u32>,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, account).await?;
        let statement = match per_day {
            Some(per_day) => self.store.sql(
                "INSERT INTO account_quotas (account_id, kind, per_day) VALUES (?, ?, ?) \
                 ON CONFLICT (account_id, kind) DO UPDATE SET per_day = excluded.per_day \
                 WHERE account_quotas.per_day <> excluded.per_day",
                [account.0.into(), kind.name().into(), i64::from(per_day).into()],
            ),
            None => self.store.sql(
                "DELETE FROM account_quotas WHERE account_id = ? AND kind = ?",
                [account.0.into(), kind.name().into()],
            ),
        };
        if transaction.execute_raw(statement).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let detail = per_day.map_or("default".to_owned(), |per_day| match per_day {
            0 => "unlimited".to_owned(),
            per_day => format!("{per_day} a day"),
        });
        let action = Action {
            action: "quota",
            account: Some(account),
            subject: Some(kind.name()),
            detail: Some(&detail),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        append_change(&transaction, Change::Account(account), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Decides whether a new account receives free credit, and records the grant. `limit`: grants a
    /// day; `None` is unlimited.
    pub(super) async fn grant_free_credit(
        self,
        transaction: &DatabaseTransaction,
        person: &str,
        account: AccountId,
        limit: Option<u32>,
        at_ms: i64,
    ) -> Result<FreeCredit, StoreError> {
        // A concurrent sign-up of the same mailbox waits here for the other one's commit.
        let insert = "INSERT INTO free_credits (person, account_id, granted_at_ms) \
                      VALUES (?, ?, ?) ON CONFLICT (person) DO NOTHING";
        let values = [person.into(), account.0.into(), at_ms.into()];
        let inserted = transaction.execute_raw(self.store.sql(insert, values)).await?;
        if inserted.rows_affected() == 0 {
            return Ok(FreeCredit::MailboxHadOne);
        }
        let take =
            QuotaTake { kind: QuotaKind::FreeCredits, subject: EVERYONE, count: 1, limit, at_ms };
        match self.take(transaction, take).await {
            Ok(()) => Ok(FreeCredit::Granted),
            Err(StoreError::Conflict(Conflict::QuotaExceeded(_))) => {
                let sql = "DELETE FROM free_credits WHERE person = ?";
                let delete = self.store.sql(sql, [person.into()]);
                transaction.execute_raw(delete).await?;
                Ok(FreeCredit::DailyLimitReached)
            }
            Err(error) => Err(error),
        }
    }
}
