//! A carrier's trunk, and the actor that places calls on it. There is one actor per carrier.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};
use nexo_domain::call::CallLimits;
use nexo_domain::ids::DeliveryId;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::window::WINDOW_MS;
use nexo_entities::store::Store;
use nexo_entities::store::StoreError;
use nexo_entities::store::phone_windows::table::HeldWindow;
use nexo_voice::endpoint::{CallEvents, CallLabels, CallOrder, CallerId, Permit};
use nexo_voice::sip::message::hop::Hop;
use rand::RngExt;

use crate::clock;
use crate::clock::WindowClock;
use crate::node::lease::Lease;
use crate::supervised;
use crate::supervision::supervisor::ActorGuard;
use crate::trunk::admission::{Admission, Realm};
use crate::trunk::gateway::{Gateway, choose, has_untried, retry_after};
use crate::trunk::gateway_state::GatewayState;
use crate::trunk::meters::realm_label;

/// The most messages in the mailbox of a carrier's actor.
pub const MAILBOX_CAPACITY: usize = 8_192;
/// How often expired phone windows are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The caller ID if none is configured for the carrier.
const NO_CALLER_ID: &str = "anonymous";

/// Places calls: the SIP endpoint, or its substitute in a benchmark or the demo.
pub trait Line: Send + Sync {
    /// Starts a call and returns its events. Dropping the events abandons the call.
    fn place(&self, order: CallOrder) -> CallEvents;
}

impl Line for nexo_voice::endpoint::Endpoint {
    fn place(&self, order: CallOrder) -> CallEvents {
        nexo_voice::endpoint::Endpoint::place(self, order)
    }
}

/// The configuration of a carrier.
#[derive(Clone, Debug)]
pub struct Trunk {
    pub carrier: Carrier,
    pub channels: u32,
    pub calls_per_second: Option<NonZeroU32>,
    pub caller_ids: Vec<String>,
    /// For live keys, in any order. Empty: the carrier has no route.
    pub gateways: Vec<Gateway>,
    /// For test keys. Never a real trunk. Empty: test keys have no route.
    pub test_gateways: Vec<Gateway>,
    /// Whether the built-in sandbox takes the calls of live keys.
    pub live_on_sandbox: bool,
}

impl Trunk {
    /// Whether the built-in sandbox takes these calls, so that no phone rings.
    pub fn is_sandbox(&self, realm: Realm) -> bool {
        match realm {
            Realm::Live => self.live_on_sandbox,
            Realm::Test => true,
        }
    }

    pub fn gateways(&self, realm: Realm) -> &[Gateway] {
        match realm {
            Realm::Live => &self.gateways,
            Realm::Test => &self.test_gateways,
        }
    }

    /// The order for a call through one of the gateways, to one of its targets. `random` selects the caller ID.
    pub fn order(
        &self,
        gateway: &Gateway,
        target: Hop,
        call_id: String,
        params: CallParams,
        random: u32,
    ) -> CallOrder {
        let caller_id = match self.caller_ids.len() {
            0 => NO_CALLER_ID.to_owned(),
            n => self.caller_ids[random as usize % n].clone(),
        };
        CallOrder {
            call_id,
            labels: CallLabels {
                carrier: self.carrier.name(),
                realm: realm_label(self.is_sandbox(params.realm)),
            },
            gateway: target,
            credentials: gateway.credentials.clone(),
            gateway_host: gateway.uri.host_and_port(),
            number: gateway.number_format.write(params.phone),
            caller: CallerId {
                number: caller_id,
                from_user: gateway.caller.from_user.clone(),
                domain: gateway.caller.from_domain.clone(),
                asserts_identity: gateway.caller.asserts_identity,
                is_private: gateway.caller.is_private,
            },
            codecs: gateway.codecs.clone(),
            code: params.code,
            reading: params.reading,
            gateway_timeout: gateway.timeout,
            limits: params.limits,
            srtp: gateway.srtp,
            media_timeout: params.media_timeout,
            wants_all_events: false,
            trace: None,
            permit: None,
        }
    }
}

/// The parameters of a call that do not depend on the gateway.
pub struct CallParams {
    pub realm: Realm,
    pub phone: Phone,
    pub code: Code,
    pub reading: Reading,
    pub limits: CallLimits,
    /// How long a far end of which nothing was heard may refuse our audio. 0: unlimited.
    pub media_timeout: Duration,
}

/// The actor.
pub struct CarrierActor {
    carrier: Carrier,
    admission: Arc<Admission>,
    line: Arc<dyn Line>,
    lease: Arc<Lease>,
    store: Store,
    _guard: ActorGuard,
}

impl CarrierActor {
    pub fn new(
        carrier: Carrier,
        admission: Arc<Admission>,
        line: Arc<dyn Line>,
        lease: Arc<Lease>,
        store: Store,
        guard: ActorGuard,
    ) -> Self {
        Self { carrier, admission, line, lease, store, _guard: guard }
    }
}

impl Actor for CarrierActor {
    type Context = Context<Self>;

    /// Loads the held windows before the first message.
    fn started(&mut self, ctx: &mut Self::Context) {
        let (store, admission) = (self.store.clone(), Arc::clone(&self.admission));
        let carrier = self.carrier;
        let lease = Arc::clone(&self.lease);
        let reload = async move {
            load_windows(&store, lease.window_clock(), &admission, carrier).await;
        };
        ctx.wait(actix::fut::wrap_future(reload));
        ctx.run_interval(SWEEP_INTERVAL, |actor, _| actor.admission.sweep(clock::boot_ms()));
    }
}

supervised!(CarrierActor);

/// Fills `admission` with the windows that the database holds for `carrier`'s phones.
async fn load_windows(store: &Store, clock: &WindowClock, admission: &Admission, carrier: Carrier) {
    match read_held_windows(store, clock).await {
        Ok(windows) => load_held_windows(&windows, admission, carrier),
        // The tables outlive the actor, and the database checks each claim again.
        Err(error) => tracing::error!(%carrier, %error, "the phone windows could not be reloaded"),
    }
}

/// The windows that the database holds, with their ends by the boot clock.
pub async fn read_held_windows(
    store: &Store,
    clock: &WindowClock,
) -> Result<Vec<HeldWindow>, StoreError> {
    let (now_ms, boot_ms) = (clock.stored_now_ms(), clock::boot_ms());
    let mut windows = store.phone_windows().held_windows(now_ms).await?;
    for window in &mut windows {
        window.until_ms = boot_ms + (window.until_ms - now_ms).min(WINDOW_MS);
    }
    Ok(windows)
}

/// Adds those of `windows` that belong to `carrier`'s phones. Their ends are those of the boot clock.
pub fn load_held_windows(windows: &[HeldWindow], admission: &Admission, carrier: Carrier) {
    for window in windows.iter().filter(|window| window.carrier == carrier) {
        let realm = Realm::of(window.test);
        admission.hold(realm, window.phone, window.delivery_id, window.until_ms);
    }
}

/// Places a call on the next gateway that was not tried yet.
pub struct PlaceCall {
    /// The trunk as it was when the OTP was admitted. The indexes in `tried` refer to it.
    pub trunk: Arc<Trunk>,
    pub delivery_id: DeliveryId,
    pub params: CallParams,
    /// The gateways, by index, and their targets that have refused this delivery.
    pub tried: Vec<(usize, Hop)>,
    /// The time by which a gateway must have accepted the call.
    pub give_up: Instant,
}

/// A call that was placed.
pub struct Placed {
    /// The index of the gateway in the trunk.
    pub gateway: usize,
    pub target: Hop,
    pub gateway_name: String,
    pub state: Arc<GatewayState>,
    pub call_id: String,
    pub events: CallEvents,
}

/// Why no call was placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotPlaced {
    /// No gateway is left. `retry_after` is the gateways' `Retry-After`, if that is why.
    NoGateway { retry_after: Option<Duration> },
    /// This node must not dial: its lease has expired.
    NoLease,
}

impl Message for PlaceCall {
    type Result = Result<Placed, NotPlaced>;
}

impl Handler<PlaceCall> for CarrierActor {
    type Result = MessageResult<PlaceCall>;

    fn handle(&mut self, call: PlaceCall, _: &mut Self::Context) -> Self::Result {
        if !self.lease.is_valid() {
            return MessageResult(Err(NotPlaced::NoLease));
        }
        let mut rng = rand::rng();
        let gateways = call.trunk.gateways(call.params.realm);
        let now = Instant::now();
        let Some((index, target)) = choose(gateways, &call.tried, now, rng.random()) else {
            let retry_after = retry_after(gateways, now);
            return MessageResult(Err(NotPlaced::NoGateway { retry_after }));
        };
        let gateway = &gateways[index];
        // Contains the delivery and the attempt, so that a carrier's trace leads to the delivery.
        let call_id = format!("{}-{}@nexo", call.delivery_id, call.tried.len() + 1);
        let trunk = &call.trunk;
        let mut order = trunk.order(gateway, target, call_id.clone(), call.params, rng.random());
        let mut tried = call.tried;
        tried.push((index, target));
        let left = call.give_up.saturating_duration_since(now);
        // The last target may use all of the remaining time.
        order.gateway_timeout = match has_untried(gateways, &tried, now) {
            true => order.gateway_timeout.min(left),
            false => left,
        };
        order.permit = Some(Arc::clone(&self.lease) as Arc<dyn Permit>);
        let events = self.line.place(order);
        MessageResult(Ok(Placed {
            gateway: index,
            target,
            gateway_name: gateway.name.clone(),
            state: Arc::clone(&gateway.state),
            call_id,
            events,
        }))
    }
}
