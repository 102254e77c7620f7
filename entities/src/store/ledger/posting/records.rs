//! The input and output of a batch.

use std::borrow::Cow;
use std::sync::Arc;

use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::call::acceptance::Accepted;
use nexo_domain::call::outcome::Status;
use nexo_domain::call::steps::CallStep;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::{AccountId, AttemptId, DeliveryId, KeyId, VerificationId};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::trace_parent::TraceParent;
use nexo_domain::verification::answer::Sent;
use nexo_domain::verification::code::CodeLength;
use nexo_domain::webhook::Event;

/// A node in its current epoch. Deliveries carry it, and only the same epoch settles them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEpoch {
    pub node: Arc<str>,
    pub epoch: i64,
}

/// A debit for one OTP. Ids should be created in time order (UUIDv7), so that the database appends
/// to its indexes instead of writing all over them.
#[derive(Debug, Clone)]
pub struct Debit {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    /// Whether its key is a test key. Test windows are separate from live ones.
    pub test: bool,
    /// Whether the built-in sandbox takes the call, so that no phone rings.
    pub sandbox: bool,
    pub phone: Phone,
    pub carrier: Carrier,
    /// Zero writes no entries.
    pub cost: Micros,
    pub created_at_ms: i64,
    pub fields: CustomerFields,
    /// When the phone's window begins and ends. Unlike other times these are read from a clock that all
    /// nodes of the database share and that does not follow changes of a node's wall clock.
    pub window_from_ms: i64,
    pub window_until_ms: i64,
    /// The idempotent request that caused it; its answer is stored with the debit.
    pub idempotent: Option<Arc<IdempotentRequest>>,
    /// The verification whose code the call reads, if the gateway made the code.
    pub verification: Option<VerificationSend>,
}

impl Debit {
    /// Returns the answer to the client, if a gateway accepts the call.
    pub(crate) fn answer(&self, after: Buckets) -> Accepted {
        Accepted {
            id: self.delivery_id,
            carrier: self.carrier,
            cost: self.cost,
            after,
            verification: self.verification.map(|send| send.sent),
        }
    }
}

/// A call that reads the code of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationSend {
    pub sent: Sent,
    pub kind: SendKind,
}

/// What a debit writes of its verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendKind {
    /// The verification is written. It cancels the account's pending one for the phone.
    Start {
        code_length: CodeLength,
        /// The voice that the request asked for.
        language: Option<Language>,
    },
    /// The call is counted, if the verification is pending and has a send left.
    Resend,
}

/// The outcome of a [`Debit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebitOutcome {
    /// Paid; the delivery is `sent` and the phone's window is taken.
    Posted { parts: Parts, after: Buckets },
    /// The wallet holds `total`, less than the cost.
    FundsShort { total: Micros },
    /// Another OTP holds the phone's window until `until_ms`, by the clock of the windows.
    WindowHeld { until_ms: i64 },
    /// The account is closed, suspended or unknown.
    AccountClosed,
    /// An answer is stored under the request's idempotency key, or will be.
    KeyTaken,
    /// The verification whose code was to be sent again is closed, has expired or has no send left.
    NotResendable,
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
    /// What the delivery paid. Returned to the wallet if `refund` is set.
    pub parts: Parts,
    pub refund: bool,
    /// Whether the phone may be called again at once. Set only with the error code [`NO_ROUTE`].
    ///
    /// [`NO_ROUTE`]: nexo_domain::call::outcome::NO_ROUTE
    pub release_window: bool,
    pub attempts: Vec<CallAttempt>,
    /// The event sent to each active endpoint; `None` queues no webhook.
    pub event: Option<Event>,
    /// The trace that the webhooks continue, if one is recorded.
    pub trace: Option<TraceParent>,
    /// The request whose stored answer is deleted, so that it can be retried: no gateway accepted
    /// the call.
    pub releases_key: Option<Arc<IdempotentRequest>>,
    /// The verification from which the send is taken back, for the same reason. A first send takes the verification
    /// with it, and the one that it canceled is pending again.
    pub takes_back: Option<VerificationId>,
}

/// A write of an idempotent answer apart from a debit.
#[derive(Debug, Clone)]
pub enum IdempotencyWrite {
    /// A gateway accepted the paid call: the answer stored with the debit becomes final.
    Accepted { request: Arc<IdempotentRequest>, delivery_id: DeliveryId },
    /// A refusal, to be repeated for the same request.
    Refused { request: Arc<IdempotentRequest>, status: u16, body: String, at_ms: i64 },
}

/// The call detail record of one finished leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAttempt {
    pub id: AttemptId,
    /// Starts at 1, in the order of dialling.
    pub number: u16,
    pub gateway: String,
    /// SIP Call-ID.
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
    /// `None` if no packets were expected.
    pub packets_received: Option<u32>,
    /// `None` if the far end sent no report.
    pub quality: Option<CallQuality>,
    /// Steps between answer and end.
    pub steps: Vec<CallStep>,
}

/// Audio quality of a call as reported by the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallQuality {
    /// Loss of sent packets in parts per million.
    pub loss_ppm: u32,
    pub jitter_us: u32,
    /// `None` if the far end does not report it.
    pub round_trip_us: Option<u32>,
    /// Estimate by ITU-T G.107, in hundredths: 100 to 450.
    pub mos_hundredths: u16,
}

/// The outcomes of a batch, in the order of its debits and settlements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub debits: Vec<DebitOutcome>,
    /// False if the delivery was settled before or belongs to another epoch; nothing was written
    /// then.
    pub settled: Vec<bool>,
    /// Number of queued webhook attempts.
    pub webhooks: u64,
    /// False for a refusal whose key another request holds; nothing was written then.
    pub answers: Vec<bool>,
}
