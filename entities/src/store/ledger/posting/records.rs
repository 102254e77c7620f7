//! What goes into a batch and what comes out.

use std::borrow::Cow;
use std::sync::Arc;

use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::call::outcome::Status;
use nexo_domain::call::steps::CallStep;
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::{AccountId, AttemptId, DeliveryId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::trace_parent::TraceParent;
use nexo_domain::webhook::Event;

/// This node in its present life. Deliveries carry it, and only it settles them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEpoch {
    pub node: Arc<str>,
    pub epoch: i64,
}

/// One OTP that waits to be paid. Ids are best made in the order of time (UUIDv7): the database
/// then appends instead of writing all over its indexes.
#[derive(Debug, Clone)]
pub struct Debit {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    /// Whether its key is a test key. Its windows are apart from the live ones.
    pub test: bool,
    pub phone: Phone,
    pub carrier: Carrier,
    /// Zero writes no entries.
    pub cost: Micros,
    pub created_at_ms: i64,
    pub window_until_ms: i64,
    /// The request that it comes from, where that may be sent again: its answer is kept with the debit.
    pub idempotent: Option<Arc<IdempotentRequest>>,
}

/// What became of a [`Debit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebitOutcome {
    /// Paid; the delivery is `sent` and the phone's window is taken.
    Posted { parts: Parts, after: Buckets },
    /// The wallet holds less than the cost: `total`.
    FundsShort { total: Micros },
    /// Another OTP has the phone's window.
    WindowClosed { until_ms: i64 },
    /// The account is closed or unknown.
    AccountClosed,
    /// An answer is kept under its request's idempotency key, or is about to be.
    KeyTaken,
}

/// The end of one delivery.
#[derive(Debug, Clone)]
pub struct Settlement {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub test: bool,
    pub phone: Phone,
    /// Delivered or failed.
    pub status: Status,
    pub error_code: Option<&'static str>,
    pub carrier_status: Option<Cow<'static, str>>,
    pub completed_at_ms: i64,
    /// What the delivery paid, known from its debit. Given back where `refund` is set.
    pub parts: Parts,
    pub refund: bool,
    /// Whether the phone may be called again at once: so where the error code is [`NO_ROUTE`], and nowhere
    /// else.
    ///
    /// [`NO_ROUTE`]: nexo_domain::call::outcome::NO_ROUTE
    pub release_window: bool,
    pub attempts: Vec<CallAttempt>,
    /// What each active endpoint is told; without it no webhook is queued.
    pub event: Option<Event>,
    /// The trace that its webhooks are part of, where one is recorded.
    pub trace: Option<TraceParent>,
    /// The request that its debit came from, where the answer kept for that is dropped: no gateway took
    /// the call, and the same request may try again.
    pub frees: Option<Arc<IdempotentRequest>>,
}

/// What is to be kept under an idempotency key, apart from a debit.
#[derive(Debug, Clone)]
pub enum Keep {
    /// A gateway has taken the call that was paid under it: the answer kept with the debit stands.
    Accepted {
        request: Arc<IdempotentRequest>,
        delivery_id: DeliveryId,
    },
    /// A refusal, to be given again.
    Refused {
        request: Arc<IdempotentRequest>,
        status: u16,
        body: String,
        at_ms: i64,
    },
}

/// The call detail record of one finished leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAttempt {
    pub id: AttemptId,
    /// From 1, in the order of dialling.
    pub number: u16,
    pub gateway: String,
    /// SIP's Call-ID.
    pub call_id: String,
    pub started_at_ms: i64,
    pub accepted_at_ms: Option<i64>,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub ended_at_ms: i64,
    pub sip_code: Option<u16>,
    pub end_reason: Cow<'static, str>,
    pub codec: Option<Cow<'static, str>>,
    pub packets_sent: u32,
    /// `None` where nothing was ever awaited.
    pub packets_received: Option<u32>,
    /// `None` where the far end has reported nothing.
    pub quality: Option<CallQuality>,
    /// Between its answer and its end.
    pub steps: Vec<CallStep>,
}

/// How good a call's audio was, as the far end reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallQuality {
    /// Of our packets, in millionths.
    pub loss_ppm: u32,
    pub jitter_us: u32,
    /// `None` where the far end does not say.
    pub round_trip_us: Option<u32>,
    /// An estimate by ITU-T G.107, in hundredths: 100 to 450.
    pub mos_hundredths: u16,
}

/// What a batch came to, in the order of its debits and settlements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub debits: Vec<DebitOutcome>,
    /// False where the delivery had been settled before, or is another epoch's: nothing was written.
    pub settled: Vec<bool>,
    /// How many webhook attempts were queued.
    pub webhooks: u64,
    /// False for a refusal whose key another request has: nothing was written.
    pub kept: Vec<bool>,
}
