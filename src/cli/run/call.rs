//! `nexo call`: places one test call over a configured trunk and prints its SIP messages. It charges no account,
//! sends no webhook and claims no phone window.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nexo_actors::trunk::admission::Realm;
use nexo_actors::trunk::carrier::{CallParams, Trunk};
use nexo_actors::trunk::gateway::Gateway;
use nexo_actors::trunk::monitor::tls_profiles;
use nexo_domain::call::outcome::{Ending, NO_ROUTE, Outcome};
use nexo_domain::call::{CallEnd, CallLimits, Refusal, WeakChallenge};
use nexo_domain::otp::{Code, Language, MAX_REPEAT, Reading};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::{Carrier, CarrierPlan};
use nexo_voice::endpoint::{
    CallEvent, CallReport, Direction, Endpoint, EndpointConfig, EndpointError, TracedMessage,
};
use nexo_voice::rtp::send::ports::PortRange;
use nexo_voice::sip::message::hop::Hop;
use nexo_voice::speech::prompts::PromptSet;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::app::settings::endpoint_config;
use crate::app::start_sandbox;
use crate::cli::args;
use crate::cli::output::CommandOutput;
use crate::config::Config;
use crate::config::telephony::calls::MAX_CALL;
use crate::{trunks, voice};

/// The time for the far end to answer our BYE.
const BYE_TIMEOUT: Duration = Duration::from_secs(2);

/// The arguments of `nexo call`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The number to call, +84 and nine digits: over a carrier this phone rings, so use your own
    #[arg(value_parser = args::phone)]
    phone: Phone,
    /// The code to read, 4 to 8 digits
    #[arg(value_parser = args::code)]
    code: Code,
    /// The carrier to call through [default: the carrier of the number's range]
    #[arg(long, value_name = "NAME")]
    carrier: Option<String>,
    /// The gateway to call through [default: the one with the lowest priority value]
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// The language of the voice, vi or en [default: calls.language]
    #[arg(long, value_parser = args::language())]
    language: Option<Language>,
    /// How often the code is read, 1 to 3 [default: calls.repeat]
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_REPEAT)))]
    repeat: Option<u8>,
}

/// Places the call and follows it to its end. The output is marked failed unless the code was read.
///
/// # Errors
/// If the call cannot be placed; one line that names the remedy.
pub async fn run(config: &Config, args: Args, as_json: bool) -> anyhow::Result<CommandOutput> {
    let prompts = voice::prompts(config)?;
    let plan = CarrierPlan::vietnam();
    let (phone, code) = (args.phone, args.code);
    let carrier = carrier(args.carrier.as_deref(), phone, &plan)?;
    let is_configured = config
        .carriers
        .iter()
        .any(|known| known.name == carrier.name() && !known.gateways.is_empty());
    let sandbox = match is_configured {
        true => None,
        false => start_sandbox(config).await?,
    };
    let address = sandbox.as_ref().map(|sandbox| sandbox.local_addr());
    let trunks =
        trunks::from_config(config, address, true, &trunks::DnsLocator::of(config)?).await?;
    let trunk = &trunks[carrier.index()];
    let gateway = gateway(trunk, args.gateway.as_deref())?;
    let endpoint = start_endpoint(config, prompts).await?;
    let targets = gateway.state.targets();
    let first = *targets.first().context("the gateway has no address")?;
    endpoint.set_peers(targets.iter().copied().collect());
    endpoint.set_tls(tls_profiles(&trunks));
    let call_id = format!("{}-test@nexo", Uuid::new_v4());
    let route = format!("{} through {carrier}/{}", phone.masked(), gateway.name);
    let mut ladder = Ladder::start(as_json);
    ladder.print(&format!(
        "call     {route} ({} at {first})\nCall-ID  {call_id}\n",
        gateway.uri.host_and_port()
    ));
    let params = |code| CallParams {
        realm: Realm::Live,
        phone,
        code,
        reading: Reading {
            language: args.language.unwrap_or(config.calls.language),
            repeat: args.repeat.unwrap_or(config.calls.repeat),
            digit_gap_ms: config.calls.digit_gap_ms,
        },
        limits: CallLimits {
            ring_timeout: Duration::from_secs(config.calls.ring_timeout_seconds),
            max_call: MAX_CALL,
            require_keypress: config.calls.require_keypress,
        },
        media_timeout: Duration::from_secs(config.calls.media_timeout_seconds),
    };
    let (trace, mut messages) = mpsc::unbounded_channel();
    let mut report = None;
    // If a target does not answer, the next one is tried, as for an OTP (RFC 3263 §4.3).
    for (attempt, target) in targets.iter().enumerate() {
        if attempt > 0 {
            ladder.print(&format!("  next target: {target}"));
        }
        let mut order =
            trunk.order(gateway, *target, call_id.clone(), params(code.clone()), rand::random());
        (order.wants_all_events, order.trace) = (true, Some(trace.clone()));
        report = ladder.follow(&endpoint, order, &mut messages).await;
        if !report.as_ref().is_some_and(is_unanswered) {
            break;
        }
        ladder.no_answer(*target, endpoint.last_connection_error(*target));
    }
    drop(trace);
    endpoint.shutdown(BYE_TIMEOUT).await;
    ladder.add_pending(&mut messages);
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    Ok(ladder.finish(carrier, gateway, &call_id, report))
}

/// Whether the target did not answer or the connection failed.
fn is_unanswered(report: &CallReport) -> bool {
    matches!(report.end, CallEnd::NotAccepted(Refusal::Silent | Refusal::TransportLost))
}

fn carrier(name: Option<&str>, phone: Phone, plan: &CarrierPlan) -> anyhow::Result<Carrier> {
    let Some(name) = name else {
        return phone.carrier(plan).context("the number has no carrier");
    };
    Carrier::named(name).with_context(|| {
        let known: Vec<&str> = Carrier::all().map(Carrier::name).collect();
        format!("no carrier {name:?}; available: {}", known.join(", "))
    })
}

fn gateway<'t>(trunk: &'t Trunk, name: Option<&str>) -> anyhow::Result<&'t Gateway> {
    let carrier = trunk.carrier;
    let names: Vec<&str> = trunk.gateways.iter().map(|g| g.name.as_str()).collect();
    let found = match name {
        Some(name) => trunk.gateways.iter().find(|gateway| gateway.name == name),
        None => trunk.gateways.iter().min_by_key(|gateway| gateway.priority),
    };
    match (found, names.is_empty()) {
        (Some(gateway), _) => Ok(gateway),
        (None, true) => bail!(
            "no gateway for {carrier}; add one to its [[carriers]] table, or set sandbox.enabled = true"
        ),
        (None, false) => bail!(
            "no gateway '{}' for {carrier}; available: {}",
            name.unwrap_or_default(),
            names.join(", ")
        ),
    }
}

/// Starts an endpoint on the configured ports, or on free ports if a running gateway uses them.
///
/// # Errors
/// Any [`EndpointError`] except for ports in use; if the system's DNS configuration cannot be read.
pub async fn start_endpoint(
    config: &Config,
    prompts: &'static PromptSet,
) -> anyhow::Result<Endpoint> {
    let configured = endpoint_config(config)?;
    match Endpoint::start(configured.clone(), prompts).await {
        Err(
            EndpointError::AddressInUse { .. }
            | EndpointError::Ports(_)
            | EndpointError::Streams(_),
        ) => {
            let any = EndpointConfig {
                listen_udp: SocketAddr::new(configured.listen_udp.ip(), 0),
                rtp_ports: PortRange::ephemeral(),
                ..configured
            };
            Ok(Endpoint::start(any, prompts).await?)
        }
        other => Ok(other?),
    }
}

/// The SIP messages and events of the call, printed as they happen.
struct Ladder {
    started: Instant,
    is_silent: bool,
    rungs: Vec<Value>,
    /// The targets that did not answer, each with its connection error, if any.
    unanswered: Vec<Value>,
}

impl Ladder {
    fn start(is_silent: bool) -> Ladder {
        Ladder { started: Instant::now(), is_silent, rungs: Vec::new(), unanswered: Vec::new() }
    }

    fn print(&self, text: &str) {
        if !self.is_silent {
            crate::cli::output::print_line(text);
        }
    }

    /// Follows the call to its end.
    async fn follow(
        &mut self,
        endpoint: &Endpoint,
        order: nexo_voice::endpoint::CallOrder,
        messages: &mut mpsc::UnboundedReceiver<TracedMessage>,
    ) -> Option<CallReport> {
        let mut events = endpoint.place(order);
        let mut report = None;
        loop {
            tokio::select! {
                biased;
                Some(message) = messages.recv() => self.rung(&message),
                event = events.next() => match event {
                    Some(CallEvent::Ended(ended)) => report = Some(*ended),
                    Some(event) => self.step(&event),
                    None => break,
                },
            }
        }
        self.add_pending(messages);
        report
    }

    /// Adds the messages that have already arrived.
    fn add_pending(&mut self, messages: &mut mpsc::UnboundedReceiver<TracedMessage>) {
        while let Ok(message) = messages.try_recv() {
            self.rung(&message);
        }
    }

    fn no_answer(&mut self, target: Hop, error: Option<Arc<str>>) {
        match &error {
            Some(error) => self.print(&format!("  the connection failed: {error}")),
            None => self.print(&format!("  no answer from {target}")),
        }
        self.unanswered.push(json!({
            "place": target.to_string(),
            "connection_error": error.as_deref(),
        }));
    }

    fn rung(&mut self, message: &TracedMessage) {
        let elapsed = message.at.saturating_duration_since(self.started);
        let (arrow, direction) = match message.direction {
            Direction::Sent => ("-->", "sent"),
            Direction::Received => ("<--", "received"),
        };
        let repeated = if message.is_retransmission { ", retransmitted" } else { "" };
        let (seconds, what) = (elapsed.as_secs_f64(), &message.summary);
        self.print(&format!("  {seconds:>6.3} s  {arrow}  {what}{repeated}"));
        self.rungs.push(json!({
            "ms": elapsed.as_millis() as u64,
            "direction": direction,
            "message": what,
            "peer": message.peer.to_string(),
            "repeated": message.is_retransmission,
        }));
    }

    fn step(&self, event: &CallEvent) {
        let what = match event {
            CallEvent::Answered { codec } => format!("answered with {}", codec.name()),
            CallEvent::CodeRead { reading } => {
                format!("reading {} finished", reading + 1)
            }
            CallEvent::KeyPressed => "a key was pressed".to_owned(),
            CallEvent::Dialled
            | CallEvent::Accepted { .. }
            | CallEvent::Ringing
            | CallEvent::DigitSpoken { .. }
            | CallEvent::Ended(_) => return,
        };
        let seconds = self.started.elapsed().as_secs_f64();
        self.print(&format!("  {seconds:>6.3} s       {what}"));
    }

    fn finish(
        self,
        carrier: Carrier,
        gateway: &Gateway,
        call_id: &str,
        report: Option<CallReport>,
    ) -> CommandOutput {
        let end = report.as_ref().map_or(CallEnd::TransportLost, |r| r.end.clone());
        let (status, error_code, carrier_status) = result(&end);
        let packets = report.as_ref().map_or(0, |report| report.packets_sent);
        let codec = report.as_ref().and_then(|report| report.codec);
        let media_error = report.as_ref().and_then(|report| report.media_error.as_deref());
        let mut text = match error_code {
            None => format!("\nresult   {status}; {packets} RTP packets sent"),
            Some(error) => format!("\nresult   {status}: {error} ({carrier_status})"),
        };
        if let Some(error) = media_error {
            text.push_str(&format!("\nmedia    {error}"));
        }
        let json = json!({
            "carrier": carrier.name(),
            "gateway": gateway.name,
            "call_id": call_id,
            "status": status,
            "error_code": error_code,
            "carrier_status": carrier_status,
            "sip_code": report.as_ref().and_then(|report| report.sip_code),
            "codec": codec.map(|codec| codec.name()),
            "packets_sent": packets,
            "media_error": media_error,
            "unanswered": self.unanswered,
            "ladder": self.rungs,
        });
        let output = CommandOutput::new(text, json);
        match error_code {
            None => output,
            Some(_) => output.failed(None),
        }
    }
}

/// The status, error code and carrier status that an OTP's delivery would have.
fn result(end: &CallEnd) -> (&'static str, Option<&'static str>, String) {
    if let CallEnd::NotAccepted(refusal) = end {
        let carrier_status = match refusal {
            Refusal::Rejected { code, .. } | Refusal::WeakChallenge(WeakChallenge { code, .. }) => {
                code.to_string()
            }
            Refusal::Silent => "silent".to_owned(),
            Refusal::TransportLost => "transport_lost".to_owned(),
            Refusal::Abandoned => "abandoned".to_owned(),
        };
        return ("failed", Some(NO_ROUTE), carrier_status);
    }
    let outcome = Outcome::of(&Ending::Call(end.clone()), Default::default());
    let carrier_status = outcome.carrier_status.into_owned();
    (outcome.status.as_str(), outcome.error_code, carrier_status)
}
