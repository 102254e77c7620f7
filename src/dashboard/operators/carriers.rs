//! Carriers live: this node's gateways and channels, and how the last calls went.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_actors::dispatch::CarrierRoute;
use nexo_actors::trunk::gateway::Gateway;
use nexo_domain::otp::Language;
use nexo_entities::store::operations::gateway_drains::{CallFigures, GatewayName};
use serde::Deserialize;

use super::{Came, back, decider, language, said};
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, frame, operators as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::Operator;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Tone, head, pill};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token};
use crate::trunks::status::{CarrierStatus, GatewayStatus};

const PATH: &str = "/dashboard/operators/carriers";
const MINUTES: [i64; 2] = [5, 60];

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/carriers").get(show))
        .service(web::resource("/carriers/drain").post(drain));
}

#[derive(Deserialize)]
struct Asked {
    came: Option<String>,
}

async fn show(
    operator: Operator,
    site: web::Data<Site>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, Refused> {
    let l = language(&operator);
    let now_ms = unix_ms();
    let mut figures = Vec::with_capacity(MINUTES.len());
    for minutes in MINUTES {
        let since_ms = now_ms - minutes * 60_000;
        let found = site.store.call_figures(since_ms).await?;
        let by_carrier: HashMap<String, CallFigures> = found
            .into_iter()
            .map(|one| (one.carrier.clone(), one))
            .collect();
        figures.push((minutes, by_carrier));
    }
    let title = l.say(frame::CARRIERS);
    let routes = &site.desk.carriers;
    let body = html! {
        (head(title, Some(l.say(texts::CARRIERS_LEAD)), html! {}))
        (said(l, asked.came.as_deref()))
        // Fetched anew while somebody looks.
        div #live data-live=(PATH) data-every="3000" {
            (channels(l, routes, &figures))
            h2 { (l.say(texts::GATEWAYS)) }
            (gateways(&operator, routes))
        }
    };
    Ok(Page::at(Place::Carriers, title, body).answer(&operator))
}

fn channels(
    l: Language,
    routes: &[CarrierRoute],
    figures: &[(i64, HashMap<String, CallFigures>)],
) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(frame::CARRIERS)) {
            table {
                thead {
                    tr {
                        th rowspan="2" scope="col" { (l.say(texts::CARRIER)) }
                        th.right rowspan="2" scope="col" { (l.say(texts::CHANNELS)) }
                        @for (minutes, _) in figures {
                            th colspan="4" scope="colgroup" {
                                (l.tell(texts::IN_MINUTES, &[("minutes", minutes)]))
                            }
                        }
                    }
                    tr { @for _ in figures {
                        th.right scope="col" { (l.say(texts::ATTEMPTS)) }
                        th.right scope="col" { (l.say(texts::ASR)) }
                        th.right scope="col" { (l.say(texts::ACD)) }
                        th.right scope="col" { (l.say(texts::PDD)) }
                    } }
                }
                tbody { @for route in routes {
                    @let status = CarrierStatus::of(&route.trunk.now(), Some(&route.admission));
                    tr {
                        th scope="row" { (status.carrier) }
                        td.right.number.nowrap { (status.channels_in_use) " / " (status.channels) }
                        @for (_, by_carrier) in figures {
                            (went(by_carrier.get(&status.carrier)))
                        }
                    }
                } }
            }
        }
    }
}

fn went(figures: Option<&CallFigures>) -> Markup {
    let nothing = CallFigures::default();
    let figures = figures.unwrap_or(&nothing);
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

fn gateways(operator: &Operator, routes: &[CarrierRoute]) -> Markup {
    let l = language(operator);
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(texts::GATEWAYS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::CARRIER)) }
                    th scope="col" { (l.say(texts::GATEWAY)) }
                    th scope="col" { (l.say(texts::STATE)) }
                    th scope="col" { (l.say(texts::ADDRESSES)) }
                    th.right scope="col" { (l.say(texts::ROUND_TRIP)) }
                    th scope="col" { (l.say(texts::LAST_FAILURE)) }
                    th scope="col" {}
                } }
                tbody { @for route in routes {
                    @let trunk = route.trunk.now();
                    @let status = CarrierStatus::of(&trunk, Some(&route.admission));
                    @if status.gateways.is_empty() {
                        tr {
                            td { (status.carrier) }
                            td colspan="6" { (pill(Tone::Bad, l.say(texts::NO_GATEWAY))) }
                        }
                    }
                    @for (gateway, told) in trunk.gateways.iter().zip(&status.gateways) {
                        (row(operator, &status.carrier, gateway, told))
                    }
                } }
            }
        }
    }
}

fn row(operator: &Operator, carrier: &str, gateway: &Gateway, told: &GatewayStatus) -> Markup {
    let l = language(operator);
    let is_drained = gateway.state.is_drained();
    let round_trip = told.round_trip_ms.map(|ms| format!("{ms:.1} ms"));
    let failure = told.last_failure.as_ref();
    html! {
        tr {
            td { (carrier) }
            td { (gateway.name) " " span.small.faint { (told.uri) } }
            td { (standing(l, is_drained, told)) }
            td { (told.addresses.join(", ")) }
            td.right.number { (round_trip.unwrap_or("–".to_owned())) }
            td { @if let Some(failure) = failure { (failure.what) " " span.small.faint { (failure.at) } } }
            td {
                form method="post" action="/dashboard/operators/carriers/drain" {
                    (form_token(operator))
                    input type="hidden" name="carrier" value=(carrier);
                    input type="hidden" name="gateway" value=(gateway.name);
                    input type="hidden" name="drained" value=(if is_drained { "no" } else { "yes" });
                    button.small.second type="submit" {
                        (l.say(if is_drained { texts::UNDRAIN } else { texts::DRAIN }))
                    }
                }
            }
        }
    }
}

fn standing(l: Language, is_drained: bool, told: &GatewayStatus) -> Markup {
    html! {
        @if is_drained {
            (pill(Tone::Busy, l.say(texts::DRAINED)))
        } @else {
            @match told.reachable {
                Some(false) => (pill(Tone::Bad, l.say(texts::DOWN))),
                Some(true) | None => (pill(Tone::Good, l.say(texts::UP))),
            }
        }
        @match told.registered {
            Some(true) => { " " (pill(Tone::Good, l.say(texts::REGISTERED))) }
            Some(false) => { " " (pill(Tone::Bad, l.say(texts::NOT_REGISTERED))) }
            None => {}
        }
    }
}

async fn drain(posted: Posted<Operator>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let operator = &posted.who;
    let name = GatewayName {
        carrier: posted.fields.get("carrier").to_owned(),
        gateway: posted.fields.get("gateway").to_owned(),
    };
    let drained = posted.fields.get("drained") == "yes";
    let is_meant = |route: &&CarrierRoute| route.trunk.carrier.name() == name.carrier;
    let route = site.desk.carriers.iter().find(is_meant);
    let gateway = route.and_then(|route| {
        let trunk = route.trunk.now();
        let mut gateways = trunk.gateways.iter();
        gateways
            .find(|gateway| gateway.name == name.gateway)
            .cloned()
    });
    let Some(gateway) = gateway else {
        return Err(Refused::not_found(operator));
    };
    let changed = site
        .store
        .drain_gateway(decider(operator), &name, drained, unix_ms())
        .await?;
    // The other nodes hear of it by the feed; this one need not wait.
    gateway.state.drain(drained);
    Ok(back(operator, PATH, Came::of(changed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_tenths_of_a_second() {
        for (ms, text) in [
            (0, "0.0 s"),
            (49, "0.0 s"),
            (50, "0.1 s"),
            (25_360, "25.4 s"),
        ] {
            assert_eq!(seconds(ms), text);
        }
    }
}
