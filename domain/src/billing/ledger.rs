//! The wallet's rules: what a debit takes of which bucket, and what a refund gives back.
//!
//! | posting | bucket | resolution |
//! |---|---|---|
//! | debit | free, then bonus, then balance | taken until the cost is met; short funds take nothing |
//! | refund | the buckets of the debit | each gets back what was taken of it |
//! | credit | the bucket named | added; a reference credits once only |
//! | correction | the bucket named | taken, if it is there; a reference corrects once only |
//! | closing | all | cash is to be paid out, the rest is forfeited; nothing is left |

use thiserror::Error;

use crate::money::Micros;

/// One of the wallet's three purses, in spend order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bucket {
    /// Test credit of a new account. Spend-only.
    Free,
    /// Promotional credit. Spend-only.
    Bonus,
    /// Cash, refundable when the account is closed.
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

    /// The bucket of this name: `free`, `bonus` or `balance`.
    pub fn named(name: &str) -> Option<Bucket> {
        Bucket::ALL.into_iter().find(|b| b.as_str() == name)
    }
}

/// Why entries were written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryKind {
    /// An accepted OTP was paid.
    Debit,
    /// An OTP's price went back to the buckets that paid it.
    Refund,
    /// Cash came in.
    Deposit,
    /// Free or bonus credit was given.
    Grant,
    /// An account was closed: its cash is to be paid out.
    Payout,
    /// An account was closed: what could only be spent is gone.
    Forfeit,
    /// An operator took back what should not be there.
    Correction,
    /// A share of what a referred account has paid for.
    Commission,
}

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

    /// The kind of this name, as entries are kept and the API writes them.
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

    /// The kind of what leaves `bucket` when its account is closed: cash is paid out, the rest is gone.
    pub fn of_closing(bucket: Bucket) -> EntryKind {
        match bucket {
            Bucket::Balance => EntryKind::Payout,
            Bucket::Free | Bucket::Bonus => EntryKind::Forfeit,
        }
    }

    /// The kind of a credit to `bucket`: cash is a deposit, the rest is granted.
    pub fn of_credit(bucket: Bucket) -> EntryKind {
        match bucket {
            Bucket::Balance => EntryKind::Deposit,
            Bucket::Free | Bucket::Bonus => EntryKind::Grant,
        }
    }
}

/// A wallet's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Buckets {
    pub free: Micros,
    pub bonus: Micros,
    pub balance: Micros,
}

/// What one debit took of each bucket. None is negative.
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
    /// The part taken of `bucket`.
    pub fn of(self, bucket: Bucket) -> Micros {
        match bucket {
            Bucket::Free => self.free,
            Bucket::Bonus => self.bonus,
            Bucket::Balance => self.balance,
        }
    }

    /// The price paid, all buckets together.
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
    /// All three together.
    pub fn total(self) -> Micros {
        Micros::new(self.free.get() + self.bonus.get() + self.balance.get())
    }

    /// What `bucket` holds.
    pub fn of(self, bucket: Bucket) -> Micros {
        match bucket {
            Bucket::Free => self.free,
            Bucket::Bonus => self.bonus,
            Bucket::Balance => self.balance,
        }
    }

    /// Takes `cost` from free, then bonus, then balance: the wallet after, and what was taken.
    ///
    /// # Errors
    /// [`FundsShort`] when all three hold less; nothing is taken then.
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
        let parts = Parts {
            free: take(self.free),
            bonus: take(self.bonus),
            balance: take(self.balance),
        };
        let after = Buckets {
            free: Micros::new(self.free.get() - parts.free.get()),
            bonus: Micros::new(self.bonus.get() - parts.bonus.get()),
            balance: Micros::new(self.balance.get() - parts.balance.get()),
        };
        Ok((after, parts))
    }

    /// Gives each bucket back what a debit took of it.
    pub fn refund(self, parts: Parts) -> Buckets {
        Buckets {
            free: Micros::new(self.free.get() + parts.free.get()),
            bonus: Micros::new(self.bonus.get() + parts.bonus.get()),
            balance: Micros::new(self.balance.get() + parts.balance.get()),
        }
    }

    /// Adds `amount` to one bucket, or `None` past the range of 64 bits.
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
