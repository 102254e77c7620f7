//! The views of a [`Store`], one per subject. Each has its methods in the folder of its name.

use super::database::Store;

macro_rules! views {
    ($($(#[$doc:meta])* $method:ident -> $View:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $View<'a> {
                pub(super) store: &'a Store,
            }
        )*

        impl Store {
            $(
                $(#[$doc])*
                pub fn $method(&self) -> $View<'_> {
                    $View { store: self }
                }
            )*
        }
    };
}

views! {
    /// Accounts, API keys, passwords and sessions.
    accounts -> Accounts;
    /// Deposits, bank payments, referrals and payouts.
    billing -> Billing;
    /// Nodes and the change feed.
    cluster -> Cluster;
    /// Deliveries, their statistics and idempotent answers.
    deliveries -> Deliveries;
    /// Wallets, ledger entries and postings.
    ledger -> Ledger;
    /// What operators do and configure.
    operations -> Operations;
    /// Open phone windows.
    phone_windows -> PhoneWindows;
    /// Verifications of phones.
    verifications -> Verifications;
    /// Webhook endpoints and attempts.
    webhooks -> Webhooks;
}
