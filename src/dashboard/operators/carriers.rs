//! Carriers: this node's gateways and channels now, and the calls of the last minutes.

use std::collections::HashMap;

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_actors::dispatch::CarrierRoute;
use nexo_actors::trunk::gateway::Gateway;
use nexo_domain::otp::Language;
use nexo_entities::store::operations::gateway_drains::{CarrierStats, GatewayName};
use serde::Deserialize;

use super::decision::{decided_by, finish, outcome_notice};
use crate::dashboard::components::*;
use crate::dashboard::texts::{Translate, frame, operators as texts};
use crate::dashboard::web::*;
use crate::trunks::status::{CarrierStatus, GatewayStatus};

const PATH: &str = "/dashboard/operators/carriers";
/// The periods of the call figures.
const MINUTES: [i64; 2] = [5, 60];

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/carriers").get(show))
        .service(web::resource("/carriers/drain").post(drain));
}

#[derive(Deserialize)]
struct Query {
    came: Option<String>,
}

async fn show(operator: Operator, site: Site, query: web::Query<Query>) -> PageResult {
    let l = operator.language();
    let now_ms = unix_ms();
    let mut figures = Vec::with_capacity(MINUTES.len());
    for minutes in MINUTES {
        let since_ms = now_ms - minutes * 60_000;
        let found = site.store.operations().carrier_stats(since_ms).await?;
        let by_carrier: HashMap<String, CarrierStats> =
            found.into_iter().map(|one| (one.carrier.clone(), one)).collect();
        figures.push((minutes, by_carrier));
    }
    let title = l.t(frame::CARRIERS);
    let routes = &site.dispatcher.carriers;
    let body = html! {
        (page_head(title, Some(l.t(texts::CARRIERS_LEAD)), html! {}))
        (outcome_notice(l, query.came.as_deref()))
        // The script refreshes this part.
        div #live data-live=(PATH) data-every="3000" {
            (channel_table(l, routes, &figures))
            h2 { (l.t(texts::GATEWAYS)) }
            (gateway_table(&operator, routes))
        }
    };
    Ok(Page::new(NavItem::Carriers, title, body).respond(&operator))
}

fn channel_table(
    l: Language,
    routes: &[CarrierRoute],
    figures: &[(i64, HashMap<String, CarrierStats>)],
) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(l.t(frame::CARRIERS)) {
            table {
                thead {
                    tr {
                        th rowspan="2" scope="col" { (l.t(texts::CARRIER)) }
                        th.right rowspan="2" scope="col" { (l.t(texts::CHANNELS)) }
                        @for (minutes, _) in figures {
                            th colspan="4" scope="colgroup" {
                                (l.t_with(texts::IN_MINUTES, &[("minutes", minutes)]))
                            }
                        }
                    }
                    tr { @for _ in figures {
                        th.right scope="col" { (l.t(texts::ATTEMPTS)) }
                        th.right scope="col" { (l.t(texts::ASR)) }
                        th.right scope="col" { (l.t(texts::ACD)) }
                        th.right scope="col" { (l.t(texts::PDD)) }
                    } }
                }
                tbody { @for route in routes {
                    @let status = CarrierStatus::of(&route.trunk.current(), Some(&route.admission));
                    // Grafana links here.
                    tr id=(status.carrier) {
                        th scope="row" { (status.carrier) }
                        td.right.number.nowrap { (status.channels_in_use) " / " (status.channels) }
                        @for (_, by_carrier) in figures {
                            (figure_cells(by_carrier.get(&status.carrier)))
                        }
                    }
                } }
            }
        }
    }
}

fn figure_cells(figures: Option<&CarrierStats>) -> Markup {
    let none = CarrierStats::default();
    let figures = figures.unwrap_or(&none);
    let percent = figures.asr_percent().map(|asr| format!("{asr} %"));
    let acd = figures.acd_ms().map(seconds);
    let pdd = figures.pdd_ms().map(seconds);
    html! {
        td.right.number { (figures.attempts) }
        @for cell in [percent, acd, pdd] { td.right.number { (cell.unwrap_or("–".to_owned())) } }
    }
}

/// `4.2 s`.
fn seconds(ms: i64) -> String {
    let tenths = (ms + 50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

fn gateway_table(operator: &Operator, routes: &[CarrierRoute]) -> Markup {
    let l = operator.language();
    html! {
        (table(l, texts::GATEWAYS, &[
            Left(texts::CARRIER), Left(texts::GATEWAY), Left(texts::STATE), Left(texts::ADDRESSES),
            Right(texts::ROUND_TRIP), Left(texts::LAST_FAILURE), Unnamed,
        ], html! {
            @for route in routes {
                @let trunk = route.trunk.current();
                @let carrier = CarrierStatus::of(&trunk, Some(&route.admission));
                @if carrier.gateways.is_empty() {
                    tr {
                        td { (carrier.carrier) }
                        td colspan="6" { (pill(Tone::Bad, l.t(texts::NO_GATEWAY))) }
                    }
                }
                @for (gateway, status) in trunk.gateways.iter().zip(&carrier.gateways) {
                    (row(operator, &carrier.carrier, gateway, status))
                }
            }
        }))
    }
}

fn row(operator: &Operator, carrier: &str, gateway: &Gateway, status: &GatewayStatus) -> Markup {
    let l = operator.language();
    let is_drained = gateway.state.is_drained();
    let round_trip = status.round_trip_ms.map(|ms| format!("{ms:.1} ms"));
    let failure = status.last_failure.as_ref();
    html! {
        tr {
            td { (carrier) }
            td { (gateway.name) " " span.small.faint { (status.uri) } }
            td { (gateway_state(l, is_drained, status)) }
            td { (status.addresses.join(", ")) }
            td.right.number { (round_trip.unwrap_or("–".to_owned())) }
            td { @if let Some(failure) = failure { (failure.what) " " span.small.faint { (failure.at) } } }
            td {
                form method="post" action="/dashboard/operators/carriers/drain" {
                    (form_token(operator))
                    input type="hidden" name="carrier" value=(carrier);
                    input type="hidden" name="gateway" value=(gateway.name);
                    input type="hidden" name="drained" value=(if is_drained { "no" } else { "yes" });
                    button.small.second type="submit" {
                        (l.t(if is_drained { texts::UNDRAIN } else { texts::DRAIN }))
                    }
                }
            }
        }
    }
}

fn gateway_state(l: Language, is_drained: bool, status: &GatewayStatus) -> Markup {
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

async fn drain(Posted(operator, fields): Posted<Operator>, site: Site) -> PageResult {
    let name = GatewayName {
        carrier: fields.get("carrier").to_owned(),
        gateway: fields.get("gateway").to_owned(),
    };
    let is_drained = fields.get("drained") == "yes";
    let mut routes = site.dispatcher.carriers.iter();
    let route = routes.find(|route| route.trunk.carrier.name() == name.carrier);
    let gateway = route.and_then(|route| {
        let trunk = route.trunk.current();
        let mut gateways = trunk.gateways.iter();
        gateways.find(|gateway| gateway.name == name.gateway).cloned()
    });
    let Some(gateway) = gateway else {
        return Err(PageError::not_found(operator.language()));
    };
    let by = decided_by(&operator);
    let changed =
        site.store.operations().set_gateway_drained(by, &name, is_drained, unix_ms()).await?;
    // The other nodes learn of it from the change feed; this node applies it at once.
    gateway.state.set_drained(is_drained);
    finish(&operator, PATH, Ok(changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_tenths_of_a_second() {
        for (ms, text) in [(0, "0.0 s"), (49, "0.0 s"), (50, "0.1 s"), (25_360, "25.4 s")] {
            assert_eq!(seconds(ms), text);
        }
    }
}
