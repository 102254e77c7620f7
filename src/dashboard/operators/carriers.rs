//! Carriers: this node's gateways and channels now, and the calls of the last minutes.

use std::collections::HashMap;

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_actors::dispatch::CarrierRoute;
use nexo_actors::trunk::gateway::Gateway;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::timestamp;
use nexo_entities::store::operations::gateway_drains::{CarrierStats, GatewayName};
use serde::Deserialize;

use super::decision::{Decision, decided_by, decision_link, finish, outcome_notice};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::figures::Percent;
use crate::dashboard::texts::{Translate, frame, operators as texts};
use crate::dashboard::web::*;
use crate::trunks::status::{CarrierStatus, GatewayStatus};

const PATH: &str = "/dashboard/operators/carriers";
/// The periods of the call figures.
const MINUTES: [i64; 2] = [5, 60];

/// The call figures of one period, by carrier.
type Figures = HashMap<String, CarrierStats>;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/carriers").get(show))
        .service(web::resource("/carriers/drain").get(confirm_drain).post(drain));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.locale();
    let now_ms = unix_ms();
    let mut figures: [Figures; 2] = Default::default();
    for (minutes, by_carrier) in MINUTES.into_iter().zip(&mut figures) {
        let since_ms = now_ms - minutes * 60_000;
        let found = site.store.operations().carrier_stats(since_ms).await?;
        *by_carrier = found.into_iter().map(|one| (one.carrier.clone(), one)).collect();
    }
    let title = l.t(frame::CARRIERS);
    let routes = &site.dispatcher.carriers;
    let body = html! {
        (page_head(title, Some(l.t(texts::CARRIERS_LEAD)), html! {}))
        (outcome_notice(l, query.came.as_deref()))
        // The script refreshes this part.
        div #live data-live=(PATH) data-every="3000" {
            (channel_table(l, routes, &figures))
            p.hint { (l.t_with(texts::PERIODS, &[("short", &MINUTES[0]), ("long", &MINUTES[1])])) }
            h2 { (l.t(texts::GATEWAYS)) }
            (gateway_table(l, routes))
        }
    };
    Ok(Page::new(NavItem::Carriers, title, body).respond(&operator))
}

/// The channels in use now, and the figures of each period, `12 / 340`.
fn channel_table(l: Locale, routes: &[CarrierRoute], figures: &[Figures; 2]) -> Markup {
    let columns = [
        Head(texts::CARRIER),
        Right(texts::CHANNELS),
        Right(texts::ATTEMPTS),
        Right(texts::ASR),
        Right(texts::ACD),
        Right(texts::PDD),
    ];
    let rows = routes.iter().map(|route| {
        let status = CarrierStatus::of(&route.trunk.current(), Some(&route.admission));
        let periods = figures
            .each_ref()
            .map(|by_carrier| by_carrier.get(&status.carrier).cloned().unwrap_or_default());
        let each = |figure: &dyn Fn(&CarrierStats) -> Option<String>| {
            let [short, long] =
                periods.each_ref().map(|stats| figure(stats).unwrap_or("–".to_owned()));
            html! { span.nowrap { (short) span.faint { " / " (long) } } }
        };
        [
            // Grafana links to the id.
            html! { span id=(status.carrier) { (route.trunk.carrier.brand()) } },
            html! { span.nowrap { (l.show(status.channels_in_use)) span.faint { " / " (l.show(status.channels)) } } },
            each(&|stats| Some(l.show(stats.attempts))),
            each(&|stats| stats.asr_percent().map(|asr| l.show(Percent(asr as f64, 0)))),
            each(&|stats| stats.acd_ms().map(|ms| l.seconds(ms, 1))),
            each(&|stats| stats.pdd_ms().map(|ms| l.seconds(ms, 1))),
        ]
    });
    table(l, frame::CARRIERS, columns, rows)
}

fn gateway_table(l: Locale, routes: &[CarrierRoute]) -> Markup {
    let columns = [
        Head(texts::GATEWAY),
        Left(texts::CARRIER),
        Left(texts::STATE),
        Right(texts::ROUND_TRIP),
        Left(texts::LAST_FAILURE),
        Actions,
    ];
    let rows = routes.iter().flat_map(|route| {
        let trunk = route.trunk.current();
        let status = CarrierStatus::of(&trunk, Some(&route.admission));
        let carrier = route.trunk.carrier;
        let mut rows: Vec<[Markup; 6]> = trunk
            .gateways
            .iter()
            .zip(&status.gateways)
            .map(|(gateway, status)| row(l, carrier, gateway, status))
            .collect();
        if rows.is_empty() {
            let nothing = || html! {};
            rows.push([
                html! { "–" },
                html! { (carrier.brand()) },
                pill(Tone::Bad, l.t(texts::NO_GATEWAY)),
                nothing(),
                nothing(),
                nothing(),
            ]);
        }
        rows
    });
    table(l, texts::GATEWAYS, columns, rows)
}

fn row(l: Locale, carrier: Carrier, gateway: &Gateway, status: &GatewayStatus) -> [Markup; 6] {
    let is_drained = gateway.state.is_drained();
    let round_trip = status.round_trip_ms.map(|ms| l.milliseconds(ms));
    let label = if is_drained { texts::UNDRAIN } else { texts::DRAIN };
    let target = drain_path(carrier, &gateway.name, !is_drained);
    [
        html! {
            (gateway.name)
            div.more { (status.uri) }
            @if !status.addresses.is_empty() { div.more { (status.addresses.join(", ")) } }
        },
        html! { (carrier.brand()) },
        gateway_state(l, is_drained, status),
        html! { (round_trip.unwrap_or("–".to_owned())) },
        html! {
            @if let Some(failure) = &status.last_failure {
                (failure.what) " "
                span.small.faint {
                    @match timestamp::parse(&failure.at) {
                        Some(at_ms) => (time(l, at_ms)),
                        None => (failure.at),
                    }
                }
            }
        },
        decision_link(l, &target, "second", label),
    ]
}

/// The page that drains a gateway or returns it to service.
fn drain_path(carrier: Carrier, gateway: &str, drained: bool) -> String {
    let drained = if drained { "yes" } else { "no" };
    let pairs = [("carrier", carrier.name()), ("gateway", gateway), ("drained", drained)];
    cursor_link(&format!("{PATH}/drain"), pairs)
}

fn gateway_state(l: Locale, is_drained: bool, status: &GatewayStatus) -> Markup {
    html! {
        @if is_drained {
            (pill(Tone::Busy, l.t(texts::DRAINED)))
        } @else {
            @match status.reachable {
                Some(false) => (pill(Tone::Bad, l.t(texts::DOWN))),
                Some(true) | None => (pill(Tone::Good, l.t(texts::UP))),
            }
        }
        @match status.registered {
            Some(true) => { " " (pill(Tone::Good, l.t(texts::REGISTERED))) }
            Some(false) => { " " (pill(Tone::Bad, l.t(texts::NOT_REGISTERED))) }
            None => {}
        }
    }
}

/// The gateway that a drain is about.
#[derive(Deserialize)]
struct Drain {
    carrier: String,
    gateway: String,
    drained: String,
}

impl Drain {
    fn is_drained(&self) -> bool {
        self.drained == "yes"
    }

    /// Its carrier and the gateway of the running trunk.
    fn find(&self, operator: &Operator, site: &SiteState) -> Result<(Carrier, Gateway), PageError> {
        let mut routes = site.dispatcher.carriers.iter();
        let route = routes.find(|route| route.trunk.carrier.name() == self.carrier);
        let found = route.and_then(|route| {
            let trunk = route.trunk.current();
            let gateway = trunk.gateways.iter().find(|gateway| gateway.name == self.gateway);
            gateway.map(|gateway| (route.trunk.carrier, gateway.clone()))
        });
        found.ok_or_else(|| PageError::not_found(operator.locale()))
    }
}

async fn confirm_drain(operator: Operator, site: Site, asked: web::Query<Drain>) -> PageResult {
    let l = operator.locale();
    let (carrier, gateway) = asked.find(&operator, &site)?;
    let (title, text, button) = match asked.is_drained() {
        true => (texts::DRAIN_TITLE, texts::DRAIN_TEXT, texts::DRAIN),
        false => (texts::UNDRAIN_TITLE, texts::UNDRAIN_TEXT, texts::UNDRAIN),
    };
    let decision = Decision {
        title: &l.t_with(title, &[("gateway", &gateway.name)]),
        facts: vec![(texts::CARRIER, html! { (carrier.brand()) })],
        text,
        fields: html! {
            (hidden("carrier", carrier.name()))
            (hidden("gateway", &gateway.name))
            (hidden("drained", if asked.is_drained() { "yes" } else { "no" }))
        },
        path: &format!("{PATH}/drain"),
        button,
        is_harmful: asked.is_drained(),
        back: PATH,
    };
    decision.page(&operator, NavItem::Carriers)
}

async fn drain(Posted(operator, fields): Posted<Operator>, site: Site) -> PageResult {
    let asked = Drain {
        carrier: fields.get("carrier").to_owned(),
        gateway: fields.get("gateway").to_owned(),
        drained: fields.get("drained").to_owned(),
    };
    let (_, gateway) = asked.find(&operator, &site)?;
    let is_drained = asked.is_drained();
    let name = GatewayName { carrier: asked.carrier, gateway: asked.gateway };
    let by = decided_by(&operator);
    let changed =
        site.store.operations().set_gateway_drained(by, &name, is_drained, unix_ms()).await?;
    // The other nodes learn of it from the change feed; this node applies it at once.
    gateway.state.set_drained(is_drained);
    finish(&operator, PATH, Ok(changed))
}
