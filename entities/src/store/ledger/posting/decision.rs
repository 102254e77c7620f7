//! Decides in memory which debits of a batch are posted. Pure, so that the order can be tested.

use std::collections::{BTreeMap, HashMap, HashSet};

use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::idempotency::{IdempotentRequest, Lifetime};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;

use super::cache::Wallet;
use super::records::{Debit, DebitOutcome};
use crate::store::phone_windows::cache::Window;

/// A batch being decided, in rounds.
///
/// A round takes the debits in order and pays the funded ones tentatively. Their windows are then
/// claimed. Debits that win their window are posted; losers are rejected, and their money is
/// available to short debits in the next round.
pub(super) struct BatchDecision<'a> {
    debits: &'a [Debit],
    outcomes: Vec<Option<DebitOutcome>>,
    wallets: HashMap<AccountId, WorkingWallet>,
    refunds: Vec<(AccountId, Parts)>,
    /// Windows known to be taken, and until when.
    taken: HashMap<Window, i64>,
}

struct WorkingWallet {
    wallet: Wallet,
    /// The buckets after the tentative payments of the current round.
    tentative: Buckets,
    /// Whether it was read in this transaction.
    is_fresh: bool,
    touched: bool,
}

/// What one round needs from the database.
pub(super) struct Round {
    /// Indexes of the debits whose windows are to be claimed. Each phone occurs once.
    pub claims: Vec<usize>,
    /// Indexes of the debits that lack funds in this round, and their wallets' totals.
    short: Vec<(usize, Micros)>,
    /// Accounts found short by a wallet that was not read in this transaction.
    pub unverified: HashSet<AccountId>,
}

impl<'a> BatchDecision<'a> {
    /// `wallet` returns an account's wallet and whether it was read in this transaction. It is
    /// called for the accounts of the debits and for `others`.
    pub(super) fn new(
        debits: &'a [Debit],
        others: impl Iterator<Item = AccountId>,
        wallet: impl Fn(AccountId) -> Option<(Wallet, bool)>,
    ) -> Self {
        let mut wallets: HashMap<AccountId, WorkingWallet> = HashMap::new();
        for account in debits.iter().map(|debit| debit.account_id).chain(others) {
            if wallets.contains_key(&account) {
                continue;
            }
            if let Some((wallet, is_fresh)) = wallet(account) {
                let tentative = wallet.buckets;
                let touched = false;
                wallets.insert(account, WorkingWallet { wallet, tentative, is_fresh, touched });
            }
        }
        Self {
            debits,
            outcomes: reject_repeated_keys(debits),
            wallets,
            refunds: Vec::new(),
            taken: HashMap::new(),
        }
    }

    /// Rejects the debits at these indexes.
    pub(super) fn reject(&mut self, indexes: &HashSet<usize>, outcome: DebitOutcome) {
        for index in indexes {
            self.outcomes[*index] = Some(outcome);
        }
    }

    /// Returns whether a debit was rejected because its phone window is closed, although its
    /// idempotency key may be taken, which comes first.
    pub(super) fn has_keyed_window_conflict(&self) -> bool {
        let mut outcomes = self.debits.iter().zip(&self.outcomes);
        outcomes.any(|(debit, outcome)| {
            let has_key = |request: &IdempotentRequest| request.lifetime == Lifetime::Day;
            debit.idempotent.as_deref().is_some_and(has_key)
                && matches!(outcome, Some(DebitOutcome::WindowHeld { .. }))
        })
    }

    /// Refunds a delivery's price. Must be called before the first round.
    pub(super) fn refund(&mut self, account: AccountId, parts: Parts) {
        if parts == Parts::default() {
            return;
        }
        if let Some(working) = self.wallets.get_mut(&account) {
            working.wallet.buckets = working.wallet.buckets.refund(parts);
            working.touched = true;
            self.refunds.push((account, parts));
        }
    }

    /// Recomputes `moved` wallets after all debits are decided: the same refunds and the same
    /// debits in the same order. Returns `false` if the debits no longer fit.
    pub(super) fn rebase(&mut self, moved: &HashMap<AccountId, Wallet>) -> bool {
        for (account, wallet) in moved {
            if let Some(working) = self.wallets.get_mut(account) {
                working.wallet = *wallet;
            }
        }
        for (account, parts) in &self.refunds {
            if let (Some(working), true) =
                (self.wallets.get_mut(account), moved.contains_key(account))
            {
                working.wallet.buckets = working.wallet.buckets.refund(*parts);
            }
        }
        for (debit, outcome) in self.debits.iter().zip(&mut self.outcomes) {
            let Some(DebitOutcome::Posted { .. }) = outcome else {
                continue;
            };
            if !moved.contains_key(&debit.account_id) {
                continue;
            }
            let Some(working) = self.wallets.get_mut(&debit.account_id) else {
                return false;
            };
            match working.wallet.buckets.debit(debit.cost) {
                Ok((after, parts)) if !working.wallet.is_closed => {
                    working.wallet.buckets = after;
                    *outcome = Some(DebitOutcome::Posted { parts, after });
                }
                _ => return false,
            }
        }
        true
    }

    pub(super) fn has_undecided(&self) -> bool {
        self.outcomes.iter().any(Option::is_none)
    }

    /// Walks the undecided debits in order and decides those that need no window.
    pub(super) fn round(&mut self) -> Round {
        for working in self.wallets.values_mut() {
            working.tentative = working.wallet.buckets;
        }
        let mut round = Round {
            claims: Vec::with_capacity(self.debits.len()),
            short: Vec::new(),
            unverified: HashSet::new(),
        };
        let mut claimed = HashSet::with_capacity(self.debits.len());
        for (index, debit) in self.debits.iter().enumerate() {
            if self.outcomes[index].is_some() {
                continue;
            }
            let window = (debit.test, debit.phone);
            let Some(working) = self.wallets.get_mut(&debit.account_id) else {
                self.outcomes[index] = Some(DebitOutcome::AccountClosed);
                continue;
            };
            if working.wallet.is_closed {
                self.outcomes[index] = Some(DebitOutcome::AccountClosed);
            } else if let Some(until_ms) = self.taken.get(&window)
                && *until_ms > debit.window_from_ms
            {
                let until_ms = *until_ms;
                self.outcomes[index] = Some(DebitOutcome::WindowHeld { until_ms });
            } else if !claimed.contains(&window) {
                match working.tentative.debit(debit.cost) {
                    Ok((after, _)) => {
                        working.tentative = after;
                        claimed.insert(window);
                        round.claims.push(index);
                    }
                    Err(short) => {
                        round.short.push((index, short.total));
                        if !working.is_fresh {
                            round.unverified.insert(debit.account_id);
                        }
                    }
                }
            }
        }
        round
    }

    /// Posts the round's winners. `lost` maps claims that lost to the end of the winner's window.
    pub(super) fn close_round(&mut self, round: Round, lost: &HashMap<usize, i64>) {
        for index in round.claims {
            let debit = &self.debits[index];
            let window = (debit.test, debit.phone);
            if let Some(until_ms) = lost.get(&index).copied() {
                self.taken.insert(window, until_ms);
                self.outcomes[index] = Some(DebitOutcome::WindowHeld { until_ms });
                continue;
            }
            let working = self
                .wallets
                .get_mut(&debit.account_id)
                .expect("only a debit with a wallet is claimed");
            let (after, parts) =
                working.wallet.buckets.debit(debit.cost).expect(
                    "a debit that fits together with the losing ones also fits without them",
                );
            working.wallet.buckets = after;
            working.touched |= parts != Parts::default();
            self.taken.insert(window, debit.window_until_ms);
            self.outcomes[index] = Some(DebitOutcome::Posted { parts, after });
        }
        if lost.is_empty() {
            for (index, total) in round.short {
                self.outcomes[index] = Some(DebitOutcome::FundsShort { total });
            }
        }
    }

    /// Returns the changed wallets with the version that their rows must still have. The order is
    /// the same on every node.
    pub(super) fn touched(&self) -> BTreeMap<AccountId, Wallet> {
        self.wallets
            .iter()
            .filter(|(_, working)| working.touched)
            .map(|(account, working)| (*account, working.wallet))
            .collect()
    }

    /// Returns the debits posted so far, what they paid and their wallets' buckets at that point.
    pub(super) fn posted(&self) -> impl Iterator<Item = (&'a Debit, Parts, Buckets)> {
        self.debits.iter().zip(&self.outcomes).filter_map(|(debit, outcome)| match outcome {
            Some(DebitOutcome::Posted { parts, after }) => Some((debit, *parts, *after)),
            _ => None,
        })
    }

    /// Returns the outcomes in the order of the debits. All must be decided.
    pub(super) fn into_outcomes(self) -> Vec<DebitOutcome> {
        self.outcomes.into_iter().flatten().collect()
    }
}

/// Rejects every debit but the first under the same idempotency key; leaves the others undecided.
fn reject_repeated_keys(debits: &[Debit]) -> Vec<Option<DebitOutcome>> {
    let mut keys = HashSet::new();
    let mut is_first = |debit: &Debit| match debit.idempotent.as_deref() {
        Some(request) => keys.insert((request.key_id, request.key.clone())),
        None => true,
    };
    debits.iter().map(|debit| (!is_first(debit)).then_some(DebitOutcome::KeyTaken)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::customer_fields::CustomerFields;
    use nexo_domain::ids::{DeliveryId, KeyId};
    use nexo_domain::phone::Phone;
    use nexo_domain::phone::carrier_plan::CarrierPlan;
    use uuid::Uuid;

    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));

    fn debit(number: u32, cost: i64) -> Debit {
        let plan = CarrierPlan::vietnam();
        let phone = Phone::parse(&format!("+8498{number:07}"), &plan).unwrap();
        Debit {
            delivery_id: DeliveryId(Uuid::from_u128(u128::from(number))),
            account_id: ACCOUNT,
            key_id: KeyId(Uuid::from_u128(2)),
            test: false,
            sandbox: false,
            fields: CustomerFields::default(),
            phone,
            carrier: phone.carrier(&plan).unwrap(),
            cost: Micros::new(cost),
            created_at_ms: 1_000,
            window_from_ms: 1_000,
            window_until_ms: 31_000,
            idempotent: None,
            verification: None,
        }
    }

    fn cash(balance: i64) -> Buckets {
        Buckets { balance: Micros::new(balance), ..Buckets::default() }
    }

    fn decision(debits: &[Debit], balance: i64, is_fresh: bool) -> BatchDecision<'_> {
        let wallet =
            Wallet { buckets: cash(balance), version: 7, is_closed: false, is_referred: false };
        BatchDecision::new(debits, std::iter::empty(), move |_| Some((wallet, is_fresh)))
    }

    /// Decides the batch; the claims at `losers` are lost until 20,000.
    fn outcomes(mut decision: BatchDecision<'_>, losers: &[usize]) -> Vec<DebitOutcome> {
        while decision.has_undecided() {
            let round = decision.round();
            let lost = round
                .claims
                .iter()
                .filter(|index| losers.contains(index))
                .map(|index| (*index, 20_000))
                .collect();
            decision.close_round(round, &lost);
        }
        decision.into_outcomes()
    }

    fn posted(paid: i64, left: i64) -> DebitOutcome {
        DebitOutcome::Posted {
            parts: Parts { balance: Micros::new(paid), ..Parts::default() },
            after: cash(left),
        }
    }

    fn short(total: i64) -> DebitOutcome {
        DebitOutcome::FundsShort { total: Micros::new(total) }
    }

    #[test]
    fn a_short_debit_fails_alone_and_a_cheaper_one_after_it_is_posted() {
        let debits = [debit(1, 6), debit(2, 6), debit(3, 4)];
        assert_eq!(
            outcomes(decision(&debits, 10, true), &[]),
            [posted(6, 4), short(4), posted(4, 0)]
        );
    }

    #[test]
    fn the_money_of_a_losing_debit_is_available_to_a_short_one() {
        let debits = [debit(1, 8), debit(2, 9), debit(3, 2)];
        let closed = DebitOutcome::WindowHeld { until_ms: 20_000 };
        // The third debit was promised its two while the first still held eight, so the second is
        // short.
        assert_eq!(outcomes(decision(&debits, 10, true), &[0]), [closed, short(8), posted(2, 8)]);
        assert_eq!(outcomes(decision(&debits[..2], 10, true), &[0]), [closed, posted(9, 1)]);
    }

    #[test]
    fn the_second_debit_for_a_phone_waits_for_the_first_ones_claim() {
        let debits = [debit(1, 2), debit(1, 2)];
        let until = |until_ms| DebitOutcome::WindowHeld { until_ms };
        assert_eq!(outcomes(decision(&debits, 10, true), &[]), [posted(2, 8), until(31_000)]);
        assert_eq!(outcomes(decision(&debits, 10, true), &[0]), [until(20_000), until(20_000)]);
    }

    #[test]
    fn a_short_cached_wallet_is_unverified_and_a_fresh_one_is_not() {
        let debits = [debit(1, 11)];
        let unverified = decision(&debits, 10, false).round().unverified;
        assert_eq!(unverified, HashSet::from([ACCOUNT]));
        assert!(decision(&debits, 10, true).round().unverified.is_empty());
    }

    #[test]
    fn a_free_debit_needs_no_funds_and_touches_no_wallet() {
        let debits = [debit(1, 0)];
        let mut free = decision(&debits, 0, true);
        let round = free.round();
        free.close_round(round, &HashMap::new());
        assert!(free.touched().is_empty());
        assert_eq!(free.into_outcomes(), [posted(0, 0)]);
    }

    #[test]
    fn a_changed_wallet_is_charged_for_the_same_debits_or_for_none() {
        let debits = [debit(1, 6), debit(2, 3)];
        let decided = || {
            let mut decision = decision(&debits, 10, false);
            decision.refund(ACCOUNT, Parts { balance: Micros::new(1), ..Parts::default() });
            let round = decision.round();
            decision.close_round(round, &HashMap::new());
            decision
        };
        let moved = |balance| {
            let wallet =
                Wallet { buckets: cash(balance), version: 8, is_closed: false, is_referred: false };
            HashMap::from([(ACCOUNT, wallet)])
        };
        let mut richer = decided();
        assert!(richer.rebase(&moved(50)));
        assert_eq!(richer.touched()[&ACCOUNT].version, 8);
        assert_eq!(richer.into_outcomes(), [posted(6, 45), posted(3, 42)]);
        assert!(decided().rebase(&moved(8)));
        assert!(!decided().rebase(&moved(7)));
    }

    #[test]
    fn an_unknown_account_is_closed() {
        let debits = [debit(1, 1)];
        let unknown = BatchDecision::new(&debits, std::iter::empty(), |_| None);
        assert_eq!(outcomes(unknown, &[]), [DebitOutcome::AccountClosed]);
    }
}
