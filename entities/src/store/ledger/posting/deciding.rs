//! Which debits of a batch are posted, in memory: pure, so that its order can be read and tested.

use std::collections::{BTreeMap, HashMap, HashSet};

use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;

use super::cache::Wallet;
use super::{Debit, DebitOutcome};

/// A phone in its realm: test or live.
type Window = (bool, Phone);

/// A batch while it is decided, in rounds.
///
/// A round takes the debits in order and pays those that are funded, tentatively; their windows are
/// then claimed in the database. Winners are posted. Losers are out, and what they would have paid is
/// there for the debits that were short, in the next round.
pub(super) struct Deciding<'a> {
    debits: &'a [Debit],
    outcomes: Vec<Option<DebitOutcome>>,
    wallets: HashMap<AccountId, Working>,
    refunds: Vec<(AccountId, Parts)>,
    /// Windows known to be taken, and until when.
    taken: HashMap<Window, i64>,
}

struct Working {
    wallet: Wallet,
    /// With the round's claims paid.
    tentative: Buckets,
    /// Whether it was read in this transaction.
    exact: bool,
    touched: bool,
}

/// What one round asks of the database.
pub(super) struct Round {
    /// The debits, by place, whose windows are to be claimed. No phone is in it twice.
    pub claims: Vec<usize>,
    /// The debits that lack funds as things stand, and what their wallets hold.
    short: Vec<(usize, Micros)>,
    /// Accounts short by a wallet that was not read in this transaction.
    pub doubted: HashSet<AccountId>,
}

impl<'a> Deciding<'a> {
    /// `wallet` gives an account's wallet and whether it was read in this transaction; it is asked for
    /// the debits' accounts and for `others`.
    pub(super) fn new(
        debits: &'a [Debit],
        others: impl Iterator<Item = AccountId>,
        wallet: impl Fn(AccountId) -> Option<(Wallet, bool)>,
    ) -> Self {
        let mut wallets: HashMap<AccountId, Working> = HashMap::new();
        for account in debits.iter().map(|debit| debit.account_id).chain(others) {
            if wallets.contains_key(&account) {
                continue;
            }
            if let Some((wallet, exact)) = wallet(account) {
                let tentative = wallet.buckets;
                let touched = false;
                wallets.insert(
                    account,
                    Working {
                        wallet,
                        tentative,
                        exact,
                        touched,
                    },
                );
            }
        }
        Self {
            debits,
            outcomes: second_of_a_key(debits),
            wallets,
            refunds: Vec::new(),
            taken: HashMap::new(),
        }
    }

    /// Takes out the debits at `places`: what they would do was done under their idempotency keys.
    pub(super) fn take_out(&mut self, places: &HashSet<usize>) {
        for place in places {
            self.outcomes[*place] = Some(DebitOutcome::KeyTaken);
        }
    }

    /// Whether a debit with an idempotency key is out because its phone's window is closed.
    pub(super) fn has_keyed_late(&self) -> bool {
        let mut outcomes = self.debits.iter().zip(&self.outcomes);
        outcomes.any(|(debit, outcome)| {
            debit.idempotent.is_some() && matches!(outcome, Some(DebitOutcome::WindowClosed { .. }))
        })
    }

    /// Gives a delivery's price back, before any debit is decided.
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

    /// Decides again on `moved` wallets, once all is decided: the same refunds, and the same debits in
    /// the same order. False when those do not fit any more.
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
                Ok((after, parts)) if !working.wallet.closed => {
                    working.wallet.buckets = after;
                    *outcome = Some(DebitOutcome::Posted { parts, after });
                }
                _ => return false,
            }
        }
        true
    }

    pub(super) fn undecided(&self) -> bool {
        self.outcomes.iter().any(Option::is_none)
    }

    /// Takes the undecided debits in order. What needs no database is decided at once.
    pub(super) fn round(&mut self) -> Round {
        for working in self.wallets.values_mut() {
            working.tentative = working.wallet.buckets;
        }
        let mut round = Round {
            claims: Vec::with_capacity(self.debits.len()),
            short: Vec::new(),
            doubted: HashSet::new(),
        };
        let mut claimed = HashSet::with_capacity(self.debits.len());
        for (place, debit) in self.debits.iter().enumerate() {
            if self.outcomes[place].is_some() {
                continue;
            }
            let window = (debit.test, debit.phone);
            let Some(working) = self.wallets.get_mut(&debit.account_id) else {
                self.outcomes[place] = Some(DebitOutcome::AccountClosed);
                continue;
            };
            if working.wallet.closed {
                self.outcomes[place] = Some(DebitOutcome::AccountClosed);
            } else if let Some(until_ms) = self.taken.get(&window)
                && *until_ms > debit.created_at_ms
            {
                let until_ms = *until_ms;
                self.outcomes[place] = Some(DebitOutcome::WindowClosed { until_ms });
            } else if !claimed.contains(&window) {
                match working.tentative.debit(debit.cost) {
                    Ok((after, _)) => {
                        working.tentative = after;
                        claimed.insert(window);
                        round.claims.push(place);
                    }
                    Err(short) => {
                        round.short.push((place, short.total));
                        if !working.exact {
                            round.doubted.insert(debit.account_id);
                        }
                    }
                }
            }
        }
        round
    }

    /// Posts the round's winners. `lost` holds the claims that another OTP has, and until when.
    pub(super) fn close_round(&mut self, round: Round, lost: &HashMap<usize, i64>) {
        for place in round.claims {
            let debit = &self.debits[place];
            let window = (debit.test, debit.phone);
            if let Some(until_ms) = lost.get(&place).copied() {
                self.taken.insert(window, until_ms);
                self.outcomes[place] = Some(DebitOutcome::WindowClosed { until_ms });
                continue;
            }
            let working = self
                .wallets
                .get_mut(&debit.account_id)
                .expect("only a debit with a wallet is claimed");
            let (after, parts) = working
                .wallet
                .buckets
                .debit(debit.cost)
                .expect("what was there beside the losers is there without them");
            working.wallet.buckets = after;
            working.touched |= parts != Parts::default();
            self.taken.insert(window, debit.window_until_ms);
            self.outcomes[place] = Some(DebitOutcome::Posted { parts, after });
        }
        if lost.is_empty() {
            for (place, total) in round.short {
                self.outcomes[place] = Some(DebitOutcome::FundsShort { total });
            }
        }
    }

    /// The wallets to be written: their content to be, and the version that they must still have.
    /// Every node writes them in the same order.
    pub(super) fn touched(&self) -> BTreeMap<AccountId, Wallet> {
        self.wallets
            .iter()
            .filter(|(_, working)| working.touched)
            .map(|(account, working)| (*account, working.wallet))
            .collect()
    }

    /// The debits that are posted so far, what they paid, and what their wallets held then.
    pub(super) fn posted(&self) -> impl Iterator<Item = (&'a Debit, Parts, Buckets)> {
        self.debits
            .iter()
            .zip(&self.outcomes)
            .filter_map(|(debit, outcome)| match outcome {
                Some(DebitOutcome::Posted { parts, after }) => Some((debit, *parts, *after)),
                _ => None,
            })
    }

    /// The outcomes in the order of the debits, once none is undecided.
    pub(super) fn into_outcomes(self) -> Vec<DebitOutcome> {
        self.outcomes.into_iter().flatten().collect()
    }
}

/// Outcomes in which nothing is decided but this: of the debits under one idempotency key, all but the
/// first are out.
fn second_of_a_key(debits: &[Debit]) -> Vec<Option<DebitOutcome>> {
    let mut keys = HashSet::new();
    let mut is_first = |debit: &Debit| match debit.idempotent.as_deref() {
        Some(request) => keys.insert((request.key_id, request.key.clone())),
        None => true,
    };
    debits
        .iter()
        .map(|debit| (!is_first(debit)).then_some(DebitOutcome::KeyTaken))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::ids::{DeliveryId, KeyId};
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
            phone,
            carrier: phone.carrier(&plan).unwrap(),
            cost: Micros::new(cost),
            created_at_ms: 1_000,
            window_until_ms: 31_000,
            idempotent: None,
        }
    }

    fn cash(balance: i64) -> Buckets {
        Buckets {
            balance: Micros::new(balance),
            ..Buckets::default()
        }
    }

    fn deciding(debits: &[Debit], balance: i64, exact: bool) -> Deciding<'_> {
        let wallet = Wallet {
            buckets: cash(balance),
            version: 7,
            closed: false,
            referred: false,
        };
        Deciding::new(debits, std::iter::empty(), move |_| Some((wallet, exact)))
    }

    /// Decides with the claims for `losers` lost until 20,000.
    fn outcomes(mut deciding: Deciding<'_>, losers: &[usize]) -> Vec<DebitOutcome> {
        while deciding.undecided() {
            let round = deciding.round();
            let lost = round
                .claims
                .iter()
                .filter(|place| losers.contains(place))
                .map(|place| (*place, 20_000))
                .collect();
            deciding.close_round(round, &lost);
        }
        deciding.into_outcomes()
    }

    fn posted(paid: i64, left: i64) -> DebitOutcome {
        DebitOutcome::Posted {
            parts: Parts {
                balance: Micros::new(paid),
                ..Parts::default()
            },
            after: cash(left),
        }
    }

    fn short(total: i64) -> DebitOutcome {
        DebitOutcome::FundsShort {
            total: Micros::new(total),
        }
    }

    #[test]
    fn a_short_debit_fails_alone_and_a_cheaper_one_after_it_is_posted() {
        let debits = [debit(1, 6), debit(2, 6), debit(3, 4)];
        assert_eq!(
            outcomes(deciding(&debits, 10, true), &[]),
            [posted(6, 4), short(4), posted(4, 0)]
        );
    }

    #[test]
    fn what_a_loser_would_have_paid_goes_to_a_debit_that_was_short() {
        let debits = [debit(1, 8), debit(2, 9), debit(3, 2)];
        let closed = DebitOutcome::WindowClosed { until_ms: 20_000 };
        // The third has been promised its two while the first still held eight: the second is too dear.
        assert_eq!(
            outcomes(deciding(&debits, 10, true), &[0]),
            [closed, short(8), posted(2, 8)]
        );
        assert_eq!(
            outcomes(deciding(&debits[..2], 10, true), &[0]),
            [closed, posted(9, 1)]
        );
    }

    #[test]
    fn the_second_debit_for_a_phone_waits_for_the_first_ones_claim() {
        let debits = [debit(1, 2), debit(1, 2)];
        let until = |until_ms| DebitOutcome::WindowClosed { until_ms };
        assert_eq!(
            outcomes(deciding(&debits, 10, true), &[]),
            [posted(2, 8), until(31_000)]
        );
        assert_eq!(
            outcomes(deciding(&debits, 10, true), &[0]),
            [until(20_000), until(20_000)]
        );
    }

    #[test]
    fn a_wallet_of_the_cache_that_is_short_is_doubted_and_a_read_one_is_not() {
        let debits = [debit(1, 11)];
        let doubted = deciding(&debits, 10, false).round().doubted;
        assert_eq!(doubted, HashSet::from([ACCOUNT]));
        assert!(deciding(&debits, 10, true).round().doubted.is_empty());
    }

    #[test]
    fn a_free_debit_needs_no_funds_and_touches_no_wallet() {
        let debits = [debit(1, 0)];
        let mut free = deciding(&debits, 0, true);
        let round = free.round();
        free.close_round(round, &HashMap::new());
        assert!(free.touched().is_empty());
        assert_eq!(free.into_outcomes(), [posted(0, 0)]);
    }

    #[test]
    fn a_moved_wallet_is_charged_for_the_same_debits_or_for_none() {
        let debits = [debit(1, 6), debit(2, 3)];
        let decided = || {
            let mut deciding = deciding(&debits, 10, false);
            deciding.refund(
                ACCOUNT,
                Parts {
                    balance: Micros::new(1),
                    ..Parts::default()
                },
            );
            let round = deciding.round();
            deciding.close_round(round, &HashMap::new());
            deciding
        };
        let moved = |balance| {
            let wallet = Wallet {
                buckets: cash(balance),
                version: 8,
                closed: false,
                referred: false,
            };
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
        let nobody = Deciding::new(&debits, std::iter::empty(), |_| None);
        assert_eq!(outcomes(nobody, &[]), [DebitOutcome::AccountClosed]);
    }
}
