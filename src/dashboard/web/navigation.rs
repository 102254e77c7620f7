//! The pages of the navigation: their paths, labels and icons.

use crate::dashboard::texts::{Text, frame};

/// The page that sets up the second factor.
pub const SECOND_FACTOR_PATH: &str = "/dashboard/settings/second-factor";

/// A page in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NavItem {
    Overview,
    Deliveries,
    Verifications,
    ApiKeys,
    Webhooks,
    Integrations,
    Wallet,
    Referrals,
    Settings,
    Limits,
    Docs,
    /// The first of the operators' pages.
    Accounts,
    Carriers,
    Deposits,
    Reviews,
    Payouts,
    Revocations,
}

impl NavItem {
    /// The pages of every member.
    pub const MEMBER: [NavItem; 11] = [
        NavItem::Overview,
        NavItem::Deliveries,
        NavItem::Verifications,
        NavItem::ApiKeys,
        NavItem::Webhooks,
        NavItem::Integrations,
        NavItem::Wallet,
        NavItem::Referrals,
        NavItem::Settings,
        NavItem::Limits,
        NavItem::Docs,
    ];

    /// The additional pages of operators.
    pub const OPERATOR: [NavItem; 6] = [
        NavItem::Accounts,
        NavItem::Carriers,
        NavItem::Deposits,
        NavItem::Reviews,
        NavItem::Payouts,
        NavItem::Revocations,
    ];

    /// The path, the label, and the SVG path of the icon in a 24 by 24 box.
    #[rustfmt::skip]
    fn parts(self) -> (&'static str, Text, &'static str) {
        match self {
            NavItem::Overview => ("/dashboard", frame::OVERVIEW, "M4 13h6V4H4zM14 20h6v-9h-6zM14 7h6V4h-6zM4 20h6v-3H4z"),
            NavItem::Deliveries => ("/dashboard/deliveries", frame::DELIVERIES, "M5 4h4l2 5-2.5 1.5a11 11 0 0 0 5 5L15 13l5 2v4a2 2 0 0 1-2 2A15 15 0 0 1 3 6a2 2 0 0 1 2-2z"),
            NavItem::Verifications => ("/dashboard/verifications", frame::VERIFICATIONS, "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4"),
            NavItem::ApiKeys => ("/dashboard/api-keys", frame::API_KEYS, "M14 10a4 4 0 1 1-4-4 4 4 0 0 1 4 4zM13 13l7 7M17 17l2-2"),
            NavItem::Webhooks => ("/dashboard/webhooks", frame::WEBHOOKS, "M4 12h5M15 12h5M9 12a3 3 0 1 0 6 0 3 3 0 1 0-6 0zM7 5l2.5 4.5M17 5l-2.5 4.5"),
            NavItem::Integrations => ("/dashboard/integrations", frame::INTEGRATIONS, "M9 4v4M15 4v4M6 8h12v4a6 6 0 0 1-12 0zM12 18v3"),
            NavItem::Wallet => ("/dashboard/wallet", frame::WALLET, "M4 7h14a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM4 7l10-3v3M16 13.5h.01"),
            NavItem::Referrals => ("/dashboard/referrals", frame::REFERRALS, "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20a6 6 0 0 1 12 0M16 5a3 3 0 0 1 0 6M18 14a5 5 0 0 1 3 6"),
            NavItem::Settings => ("/dashboard/settings", frame::SETTINGS, "M4 7h10M18 7h2M4 17h2M10 17h10M14 5v4M6 15v4"),
            NavItem::Limits => ("/dashboard/limits", frame::LIMITS, "M4 16a8 8 0 1 1 16 0M12 16l4-5M7 20h10"),
            NavItem::Docs => ("/dashboard/docs", frame::DOCS, "M5 4h10l4 4v12H5zM15 4v4h4M8 13h8M8 17h6"),
            NavItem::Accounts => ("/dashboard/operators/accounts", frame::ACCOUNTS, "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21a8 8 0 0 1 16 0"),
            NavItem::Carriers => ("/dashboard/operators/carriers", frame::CARRIERS, "M12 20v-8M8.5 8.5a5 5 0 0 1 7 0M5.5 5.5a9 9 0 0 1 13 0M12 12h.01"),
            NavItem::Deposits => ("/dashboard/operators/deposits", frame::DEPOSITS, "M12 4v11M7 11l5 5 5-5M4 20h16"),
            NavItem::Reviews => ("/dashboard/operators/reviews", frame::REVIEWS, "M12 4l9 16H3zM12 10v4M12 17h.01"),
            NavItem::Payouts => ("/dashboard/operators/payouts", frame::PAYOUTS, "M12 16V5M7 9l5-5 5 5M4 20h16"),
            NavItem::Revocations => ("/dashboard/operators/revocations", frame::REVOCATIONS, "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM6 6l12 12"),
        }
    }

    pub fn path(self) -> &'static str {
        self.parts().0
    }

    pub fn label(self) -> Text {
        self.parts().1
    }

    /// The SVG path of the icon, in a 24 by 24 box.
    pub fn icon(self) -> &'static str {
        self.parts().2
    }
}
