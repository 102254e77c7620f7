//! The rules of the wallet: which buckets a debit takes from, and what a refund returns.
//!
//! | posting | bucket | effect |
//! |---|---|---|
//! | debit | free, then bonus, then balance | taken until the cost is covered; if funds are short, nothing is taken |
//! | refund | the buckets of the debit | each receives what was taken from it |
//! | credit | the named bucket | added; a reference credits only once |
//! | correction | the named bucket | taken, if the bucket holds enough; a reference corrects only once |
//! | closing | all | cash is paid out, the rest is forfeited; nothing is left |

use thiserror::Error;

use crate::money::Micros;
use crate::schema::{schema, serialize_as_word, words};

/// One of the three buckets of a wallet, in spend order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bucket {
    /// Test credit of a new account. Cannot be paid out.
    Free,
    /// Promotional credit. Cannot be paid out.
    Bonus,
    /// Cash. Paid out when the account is closed.
    Balance,
}

impl Bucket {
    pub const ALL: [Bucket; 3] = [Bucket::Free, Bucket::Bonus, Bucket::Balance];

    pub fn as_str(self) -> &'static str {
        match self {
            Bucket::Free => "free",
            Bucket::Bonus => "bonus",
            Bucket::Balance => "balance",
        }
    }

    /// The bucket with this name: `free`, `bonus` or `balance`.
    pub fn named(name: &str) -> Option<Bucket> {
        Bucket::ALL.into_iter().find(|b| b.as_str() == name)
    }
}

schema!(
    Bucket,
    "Bucket",
    words("A bucket of the wallet; spent in this order.", Bucket::ALL.map(Bucket::as_str))
);
serialize_as_word!(Bucket, Bucket::as_str);

/// Why entries were written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryKind {
    /// The price of an accepted OTP.
    Debit,
    /// The price of an OTP, returned to the buckets that paid it.
    Refund,
    /// Cash was paid in.
    Deposit,
    /// Free or bonus credit was granted.
    Grant,
    /// The account was closed: its cash is paid out.
    Payout,
    /// The account was closed: credit that cannot be paid out is forfeited.
    Forfeit,
    /// An operator corrected a wrong credit.
    Correction,
    /// A share of the OTPs of a referred account.
    Commission,
}

schema!(
    EntryKind,
    "EntryKind",
    words("Why an entry was written.", EntryKind::ALL.map(EntryKind::as_str))
);
serialize_as_word!(EntryKind, EntryKind::as_str);

impl EntryKind {
    pub const ALL: [EntryKind; 8] = [
        EntryKind::Debit,
        EntryKind::Refund,
        EntryKind::Deposit,
        EntryKind::Grant,
        EntryKind::Payout,
        EntryKind::Forfeit,
        EntryKind::Correction,
        EntryKind::Commission,
    ];

    /// The kind with this name, as stored and as in the API.
    pub fn named(name: &str) -> Option<EntryKind> {
        EntryKind::ALL.into_iter().find(|k| k.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Debit => "debit",
            EntryKind::Refund => "refund",
            EntryKind::Deposit => "deposit",
            EntryKind::Grant => "grant",
            EntryKind::Payout => "payout",
            EntryKind::Forfeit => "forfeit",
            EntryKind::Correction => "correction",
            EntryKind::Commission => "commission",
        }
    }

    /// The kind of the entry that empties `bucket` when the account is closed.
    pub fn of_closing(bucket: Bucket) -> EntryKind {
        match bucket {
            Bucket::Balance => EntryKind::Payout,
            Bucket::Free | Bucket::Bonus => EntryKind::Forfeit,
        }
    }

    /// The kind of a credit to `bucket`.
    pub fn of_credit(bucket: Bucket) -> EntryKind {
        match bucket {
            Bucket::Balance => EntryKind::Deposit,
            Bucket::Free | Bucket::Bonus => EntryKind::Grant,
        }
    }
}

/// The content of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Buckets {
    pub free: Micros,
    pub bonus: Micros,
    pub balance: Micros,
}

/// What one debit took from each bucket. Never negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    pub free: Micros,
    pub bonus: Micros,
    pub balance: Micros,
}

/// The wallet holds less than the cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the wallet holds {total}, the cost is {cost}")]
pub struct FundsShort {
    pub total: Micros,
    pub cost: Micros,
}

impl Parts {
    /// The part taken from `bucket`.
    pub fn of(self, bucket: Bucket) -> Micros {
        match bucket {
            Bucket::Free => self.free,
            Bucket::Bonus => self.bonus,
            Bucket::Balance => self.balance,
        }
    }

    /// The sum of all parts.
    pub fn total(self) -> Micros {
        Micros::new(self.free.get() + self.bonus.get() + self.balance.get())
    }

    /// The parts that are not zero, in spend order.
    pub fn taken(self) -> impl Iterator<Item = (Bucket, Micros)> {
        Bucket::ALL
            .into_iter()
            .map(move |bucket| (bucket, self.of(bucket)))
            .filter(|(_, part)| *part != Micros::ZERO)
    }
}

impl Buckets {
    /// The sum of all buckets.
    pub fn total(self) -> Micros {
        Micros::new(self.free.get() + self.bonus.get() + self.balance.get())
    }

    /// The content of `bucket`.
    pub fn of(self, bucket: Bucket) -> Micros {
        match bucket {
            Bucket::Free => self.free,
            Bucket::Bonus => self.bonus,
            Bucket::Balance => self.balance,
        }
    }

    /// Takes `cost` from free, then bonus, then balance. Returns the wallet afterwards, and what was taken.
    ///
    /// # Errors
    /// [`FundsShort`] when the wallet holds less. Nothing is taken then.
    pub fn debit(self, cost: Micros) -> Result<(Buckets, Parts), FundsShort> {
        let total = self.total();
        if total < cost {
            return Err(FundsShort { total, cost });
        }
        let mut due = cost.get().max(0);
        let mut take = |held: Micros| {
            let part = held.get().min(due);
            due -= part;
            Micros::new(part)
        };
        let parts =
            Parts { free: take(self.free), bonus: take(self.bonus), balance: take(self.balance) };
        let after = Buckets {
            free: Micros::new(self.free.get() - parts.free.get()),
            bonus: Micros::new(self.bonus.get() - parts.bonus.get()),
            balance: Micros::new(self.balance.get() - parts.balance.get()),
        };
        Ok((after, parts))
    }

    /// Returns to each bucket what a debit took from it.
    pub fn refund(self, parts: Parts) -> Buckets {
        Buckets {
            free: Micros::new(self.free.get() + parts.free.get()),
            bonus: Micros::new(self.bonus.get() + parts.bonus.get()),
            balance: Micros::new(self.balance.get() + parts.balance.get()),
        }
    }

    /// Adds `amount` to one bucket. `None` on overflow.
    pub fn credit(mut self, bucket: Bucket, amount: Micros) -> Option<Buckets> {
        let held = match bucket {
            Bucket::Free => &mut self.free,
            Bucket::Bonus => &mut self.bonus,
            Bucket::Balance => &mut self.balance,
        };
        *held = held.checked_add(amount)?;
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets(free: i64, bonus: i64, balance: i64) -> Buckets {
        Buckets {
            free: Micros::new(free),
            bonus: Micros::new(bonus),
            balance: Micros::new(balance),
        }
    }

    #[test]
    fn free_credit_is_spent_first_then_bonus_then_cash() {
        let (after, parts) = buckets(10, 5, 100).debit(Micros::new(22)).unwrap();
        assert_eq!(after, buckets(0, 0, 93));
        assert_eq!(parts.taken().count(), 3);
        assert_eq!(parts.balance, Micros::new(7));
    }

    #[test]
    fn short_funds_take_nothing() {
        let short = buckets(10, 5, 6).debit(Micros::new(22)).unwrap_err();
        assert_eq!(short.total, Micros::new(21));
    }

    #[test]
    fn the_last_cent_can_be_spent() {
        let (after, _) = buckets(0, 0, 22).debit(Micros::new(22)).unwrap();
        assert_eq!(after.total(), Micros::ZERO);
    }

    proptest! {
        #[test]
        fn a_debit_and_its_refund_leave_the_wallet_as_it_was(
            free in 0i64..1_000_000, bonus in 0i64..1_000_000, balance in 0i64..1_000_000,
            cost in 0i64..3_000_000,
        ) {
            let before = buckets(free, bonus, balance);
            if let Ok((after, parts)) = before.debit(Micros::new(cost)) {
                prop_assert_eq!(parts.total(), Micros::new(cost));
                prop_assert!(Bucket::ALL.into_iter().all(|b| !after.of(b).is_negative()));
                prop_assert_eq!(after.refund(parts), before);
            } else {
                prop_assert!(before.total() < Micros::new(cost));
            }
        }
    }
}
