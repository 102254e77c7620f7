//! The places of the site that its navigation leads to.

use crate::dashboard::texts::{Text, frame};

/// A page in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Overview,
    Deliveries,
    ApiKeys,
    Webhooks,
    Wallet,
    Referrals,
    Settings,
    Docs,
    /// Of operators, from here on.
    Accounts,
    Carriers,
    Deposits,
    Reviews,
    Payouts,
    Revocations,
}

impl Place {
    /// What every member has.
    pub const MEMBERS: [Place; 8] = [
        Place::Overview,
        Place::Deliveries,
        Place::ApiKeys,
        Place::Webhooks,
        Place::Wallet,
        Place::Referrals,
        Place::Settings,
        Place::Docs,
    ];

    /// What operators have besides.
    pub const OPERATORS: [Place; 6] = [
        Place::Accounts,
        Place::Carriers,
        Place::Deposits,
        Place::Reviews,
        Place::Payouts,
        Place::Revocations,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Place::Overview => "/dashboard",
            Place::Deliveries => "/dashboard/deliveries",
            Place::ApiKeys => "/dashboard/api-keys",
            Place::Webhooks => "/dashboard/webhooks",
            Place::Wallet => "/dashboard/wallet",
            Place::Referrals => "/dashboard/referrals",
            Place::Settings => "/dashboard/settings",
            Place::Docs => "/dashboard/docs",
            Place::Accounts => "/dashboard/operators/accounts",
            Place::Carriers => "/dashboard/operators/carriers",
            Place::Deposits => "/dashboard/operators/deposits",
            Place::Reviews => "/dashboard/operators/reviews",
            Place::Payouts => "/dashboard/operators/payouts",
            Place::Revocations => "/dashboard/operators/revocations",
        }
    }

    pub fn name(self) -> Text {
        match self {
            Place::Overview => frame::OVERVIEW,
            Place::Deliveries => frame::DELIVERIES,
            Place::ApiKeys => frame::API_KEYS,
            Place::Webhooks => frame::WEBHOOKS,
            Place::Wallet => frame::WALLET,
            Place::Referrals => frame::REFERRALS,
            Place::Settings => frame::SETTINGS,
            Place::Docs => frame::DOCS,
            Place::Accounts => frame::ACCOUNTS,
            Place::Carriers => frame::CARRIERS,
            Place::Deposits => frame::DEPOSITS,
            Place::Reviews => frame::REVIEWS,
            Place::Payouts => frame::PAYOUTS,
            Place::Revocations => frame::REVOCATIONS,
        }
    }

    /// The strokes of its icon, in a square of 24.
    pub fn icon(self) -> &'static str {
        match self {
            Place::Overview => "M4 13h6V4H4zM14 20h6v-9h-6zM14 7h6V4h-6zM4 20h6v-3H4z",
            Place::Deliveries => {
                "M5 4h4l2 5-2.5 1.5a11 11 0 0 0 5 5L15 13l5 2v4a2 2 0 0 1-2 2A15 15 0 0 1 3 6a2 2 0 0 1 2-2z"
            }
            Place::ApiKeys => "M14 10a4 4 0 1 1-4-4 4 4 0 0 1 4 4zM13 13l7 7M17 17l2-2",
            Place::Webhooks => {
                "M4 12h5M15 12h5M9 12a3 3 0 1 0 6 0 3 3 0 1 0-6 0zM7 5l2.5 4.5M17 5l-2.5 4.5"
            }
            Place::Wallet => {
                "M4 7h14a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM4 7l10-3v3M16 13.5h.01"
            }
            Place::Referrals => {
                "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20a6 6 0 0 1 12 0M16 5a3 3 0 0 1 0 6M18 14a5 5 0 0 1 3 6"
            }
            Place::Settings => "M4 7h10M18 7h2M4 17h2M10 17h10M14 5v4M6 15v4",
            Place::Docs => "M5 4h10l4 4v12H5zM15 4v4h4M8 13h8M8 17h6",
            Place::Accounts => "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21a8 8 0 0 1 16 0",
            Place::Carriers => "M12 20v-8M8.5 8.5a5 5 0 0 1 7 0M5.5 5.5a9 9 0 0 1 13 0M12 12h.01",
            Place::Deposits => "M12 4v11M7 11l5 5 5-5M4 20h16",
            Place::Reviews => "M12 4l9 16H3zM12 10v4M12 17h.01",
            Place::Payouts => "M12 16V5M7 9l5-5 5 5M4 20h16",
            Place::Revocations => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM6 6l12 12",
        }
    }
}
