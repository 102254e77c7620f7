//! One actor per carrier: its trunk's gateways, its phone windows and channels, its calls' figures.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};
use nexo_domain::call::CallLimits;
use nexo_domain::ids::DeliveryId;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::Store;
use nexo_entities::store::phone_windows::table::OpenWindow;
use nexo_voice::endpoint::{CallEvents, CallOrder, Caller, CountedAs, Permit};
use nexo_voice::sip::message::hop::Hop;
use rand::RngExt;

use crate::clock;
use crate::node::lease::Lease;
use crate::supervised;
use crate::supervision::supervisor::LifeLine;
use crate::trunk::admission::{Admission, Realm};
use crate::trunk::gateway::{Gateway, choose, is_one_left, peace_left};
use crate::trunk::gateway_state::GatewayState;

/// The most messages that wait for a carrier's actor.
pub const MAILBOX: usize = 8_192;
const SWEEP: Duration = Duration::from_secs(5);
/// The caller shown where the carrier has given us no number.
const NO_CALLER_ID: &str = "anonymous";

/// Something that places calls: the SIP endpoint, or what a benchmark puts in its place.
pub trait Line: Send + Sync {
    /// Starts a call; its news come through what is returned, and dropping that gives the call up.
    fn place(&self, order: CallOrder) -> CallEvents;
}

impl Line for nexo_voice::endpoint::Endpoint {
    fn place(&self, order: CallOrder) -> CallEvents {
        nexo_voice::endpoint::Endpoint::place(self, order)
    }
}

/// A carrier as it is configured.
#[derive(Clone, Debug)]
pub struct Trunk {
    pub carrier: Carrier,
    pub channels: u32,
    pub calls_per_second: Option<NonZeroU32>,
    pub caller_ids: Vec<String>,
    /// For live keys, in any order. Empty: the carrier has no route.
    pub gateways: Vec<Gateway>,
    /// For test keys; never a real trunk. Empty: test keys have no route.
    pub test_gateways: Vec<Gateway>,
}

impl Trunk {
    pub fn gateways(&self, realm: Realm) -> &[Gateway] {
        match realm {
            Realm::Live => &self.gateways,
            Realm::Test => &self.test_gateways,
        }
    }

    /// A call through one of its gateways, to one of its places. `random` chooses the number that is
    /// shown.
    pub fn order(&self, gateway: &Gateway, target: Hop, wish: CallWish, random: u32) -> CallOrder {
        let caller_id = match self.caller_ids.len() {
            0 => NO_CALLER_ID.to_owned(),
            n => self.caller_ids[random as usize % n].clone(),
        };
        CallOrder {
            call_id: wish.call_id,
            counted_as: CountedAs {
                carrier: self.carrier.name(),
                realm: wish.realm.name(),
            },
            gateway: target,
            credentials: gateway.credentials.clone(),
            gateway_host: gateway.uri.host_and_port(),
            number: gateway.number_format.write(wish.phone),
            caller: Caller {
                number: caller_id,
                from_user: gateway.caller.from_user.clone(),
                domain: gateway.caller.from_domain.clone(),
                asserts_identity: gateway.caller.asserts_identity,
                is_private: gateway.caller.is_private,
            },
            codecs: gateway.codecs.clone(),
            code: wish.code,
            reading: wish.reading,
            gateway_timeout: gateway.timeout,
            limits: wish.limits,
            srtp: gateway.srtp,
            media_timeout: wish.media_timeout,
            every_step: false,
            trace: None,
            permit: None,
        }
    }
}

/// What is wanted of a call, whichever gateway takes it.
pub struct CallWish {
    pub call_id: String,
    pub realm: Realm,
    pub phone: Phone,
    pub code: Code,
    pub reading: Reading,
    pub limits: CallLimits,
    /// How long a far end that has been heard may fall silent. 0: for ever.
    pub media_timeout: Duration,
}

/// The actor.
pub struct CarrierDesk {
    carrier: Carrier,
    admission: Arc<Admission>,
    line: Arc<dyn Line>,
    lease: Arc<Lease>,
    store: Store,
    _life_line: LifeLine,
}

impl CarrierDesk {
    pub fn new(
        carrier: Carrier,
        admission: Arc<Admission>,
        line: Arc<dyn Line>,
        lease: Arc<Lease>,
        store: Store,
        life_line: LifeLine,
    ) -> Self {
        Self {
            carrier,
            admission,
            line,
            lease,
            store,
            _life_line: life_line,
        }
    }
}

impl Actor for CarrierDesk {
    type Context = Context<Self>;

    /// Reloads the open windows before anything else is handled.
    fn started(&mut self, ctx: &mut Self::Context) {
        let (store, admission) = (self.store.clone(), Arc::clone(&self.admission));
        let carrier = self.carrier;
        let reload = async move { load_windows(&store, &admission, carrier).await };
        ctx.wait(actix::fut::wrap_future(reload));
        ctx.run_interval(SWEEP, |desk, _| desk.admission.sweep(clock::unix_ms()));
    }
}

supervised!(CarrierDesk);

/// Fills `admission` with the windows that the database holds for `carrier`'s phones.
async fn load_windows(store: &Store, admission: &Admission, carrier: Carrier) {
    match store.open_windows(clock::unix_ms()).await {
        Ok(windows) => learn_windows(&windows, admission, carrier),
        // The tables outlive the actor, and each claim is checked again when it is written.
        Err(error) => tracing::error!(%carrier, %error, "the phone windows could not be reloaded"),
    }
}

/// Takes over those of `windows` that are of `carrier`'s phones.
pub fn learn_windows(windows: &[OpenWindow], admission: &Admission, carrier: Carrier) {
    for window in windows.iter().filter(|window| window.carrier == carrier) {
        let realm = Realm::of(window.test);
        admission.learn(realm, window.phone, window.delivery_id, window.until_ms);
    }
}

/// Place a call on the next gateway not yet tried.
pub struct PlaceCall {
    /// The carrier's, as it was when the OTP was admitted: `tried` counts its gateways.
    pub trunk: Arc<Trunk>,
    pub delivery_id: DeliveryId,
    pub realm: Realm,
    pub phone: Phone,
    pub code: Code,
    pub reading: Reading,
    pub limits: CallLimits,
    pub media_timeout: Duration,
    /// The gateways and places that refused this delivery already.
    pub tried: Vec<(usize, Hop)>,
    /// When a gateway must have accepted it.
    pub give_up: Instant,
}

/// A call that is on its way.
pub struct Placed {
    /// The gateway's place in the trunk.
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
    /// No gateway is left that takes the call. For how long the gateways have asked to be left in peace,
    /// where that is why.
    NoGateway { retry_after: Option<Duration> },
    /// This node may not dial: its lease has ended.
    NoLease,
}

impl Message for PlaceCall {
    type Result = Result<Placed, NotPlaced>;
}

impl Handler<PlaceCall> for CarrierDesk {
    type Result = MessageResult<PlaceCall>;

    fn handle(&mut self, call: PlaceCall, _: &mut Self::Context) -> Self::Result {
        if !self.lease.is_valid() {
            return MessageResult(Err(NotPlaced::NoLease));
        }
        let mut rng = rand::rng();
        let gateways = call.trunk.gateways(call.realm);
        let now = Instant::now();
        let Some((place, target)) = choose(gateways, &call.tried, now, rng.random()) else {
            let retry_after = peace_left(gateways, now);
            return MessageResult(Err(NotPlaced::NoGateway { retry_after }));
        };
        let gateway = &gateways[place];
        // Made from the delivery and the attempt, so that a carrier's trace leads to the delivery.
        let call_id = format!("{}-{}@nexo", call.delivery_id, call.tried.len() + 1);
        let wish = CallWish {
            call_id: call_id.clone(),
            realm: call.realm,
            phone: call.phone,
            code: call.code,
            reading: call.reading,
            limits: call.limits,
            media_timeout: call.media_timeout,
        };
        let mut order = call.trunk.order(gateway, target, wish, rng.random());
        let mut tried = call.tried;
        tried.push((place, target));
        let left = call.give_up.saturating_duration_since(now);
        // Where there is none to go on to, all of the time is this one's.
        order.gateway_timeout = match is_one_left(gateways, &tried, now) {
            true => order.gateway_timeout.min(left),
            false => left,
        };
        order.permit = Some(Arc::clone(&self.lease) as Arc<dyn Permit>);
        let events = self.line.place(order);
        MessageResult(Ok(Placed {
            gateway: place,
            target,
            gateway_name: gateway.name.clone(),
            state: Arc::clone(&gateway.state),
            call_id,
            events,
        }))
    }
}
