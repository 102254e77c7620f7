#!/usr/bin/env python3
"""Generates the three dashboards. A panel takes a few lines here and a hundred in JSON.

    grafana/make_dashboards.py            writes grafana/dashboards/*.json
    grafana/make_dashboards.py --check    exits with 1 if those files are not up to date
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Dollars in full: the currency units of Grafana 11 shorten 1,234 to 1.23 K.
DOLLARS = "prefix:$"
GREEN, YELLOW, RED = "green", "#EAB839", "red"

# Most series have a node, many a carrier. What the built-in sandbox answers is never added to the calls of real
# carriers: panels about OTPs and calls show one realm, that of the variable.
N = 'instance=~"$node"'
C = 'instance=~"$node",carrier=~"$carrier"'
L = C + ',realm="$realm"'

# Why a panel may be empty, unless it says so itself.
NO_OTPS = "No OTPs in this range. For those of the sandbox, set Answered by."
NO_CALLS = "No calls in this range. For those of the sandbox, set Answered by."
NO_NODE = "No data: Prometheus has not scraped a node in this range."


def steps(*pairs):
    """A base colour, then pairs of a value and the colour from it on."""
    base, *rest = pairs
    return [{"color": base, "value": None}] + [{"color": c, "value": v} for v, c in rest]


OK = steps(GREEN)


def rising(warn, bad):
    return steps(GREEN, (warn, YELLOW), (bad, RED))


def falling(bad, warn):
    return steps(RED, (bad, YELLOW), (warn, GREEN))


def panel(kind, title, description, unit, thresholds, *queries, w=8, h=8, stack=False, decimals=None, empty=None,
          **more):
    """`queries`: pairs of an expression and a legend. `empty`: what an empty panel says. No value of ours is negative,
    so axes start at zero unless `min` says otherwise."""
    about_calls = any("nexo_call" in expr or "nexo_rtcp" in expr or "nexo_sip_responses" in expr for expr, _ in queries)
    about_realm = any("$realm" in expr for expr, _ in queries)
    by_carrier = any("{{carrier}}" in legend for _, legend in queries)
    defaults = {
        "unit": unit,
        "noValue": empty or ((NO_CALLS if about_calls else NO_OTPS) if about_realm else NO_NODE),
        "thresholds": {"mode": "absolute", "steps": thresholds},
        "color": {"mode": "thresholds" if kind in ("stat", "gauge", "bargauge") else "palette-classic"},
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    if kind == "timeseries":
        defaults["min"] = 0
    for key in ("min", "max", "mappings"):
        if key in more:
            defaults[key] = more[key]
    if by_carrier:
        defaults["links"] = [CARRIER_LINK]
    options = {}
    if kind == "timeseries":
        shown = len(thresholds) > 1
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if stack else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if stack else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if shown else "off"},
        }
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif kind in ("stat", "bargauge", "gauge"):
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        if kind == "stat":
            options |= {
                "colorMode": "value",
                "graphMode": "area",
                "justifyMode": "auto",
                "textMode": "auto",
                "orientation": "auto",
            }
        if kind == "bargauge":
            options |= {"displayMode": "basic", "orientation": "horizontal", "showUnfilled": True}
    elif kind == "heatmap":
        options = {
            "calculate": False,
            "cellGap": 1,
            "color": {
                "mode": "scheme",
                "scheme": "Oranges",
                "fill": "dark-orange",
                "exponent": 0.5,
                "steps": 64,
                "reverse": False,
            },
            "yAxis": {"axisPlacement": "left", "unit": unit},
            "tooltip": {"mode": "single", "yHistogram": False},
            "legend": {"show": True},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
        }
        defaults = {key: defaults[key] for key in ("unit", "noValue", "thresholds")}
    targets = []
    for index, (expr, legend) in enumerate(queries):
        target = {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": expr,
            "legendFormat": legend,
            "range": True,
        }
        if kind == "heatmap":
            target["format"] = "heatmap"
        targets.append(target)
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"w": w, "h": h},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


# The operators' page of a carrier. Series without a carrier never have this link.
CARRIER_LINK = {
    "title": "${__field.labels.carrier} in the dashboard",
    "url": "${site:raw}/dashboard/operators/carriers#${__field.labels.carrier}",
    "targetBlank": True,
}


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "gridPos": {"w": 24, "h": 1}, "panels": []}


def rate(metric, labels, by=""):
    inner = f"rate({metric}{{{labels}}}[$__rate_interval])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantile(q, metric, labels, by=""):
    groups = f"le, {by}" if by else "le"
    # NaN, which is no number at or above zero, means that nothing was observed: an empty panel says why.
    return f"histogram_quantile({q}, sum by ({groups}) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))) >= 0"


def ratio(part, whole):
    """Empty while the whole is zero."""
    return f"{part} / ({whole} > 0)"


def mean(metric, labels, by=""):
    return ratio(rate(metric + "_sum", labels, by), rate(metric + "_count", labels, by))


SEND = 'route="/api/v1/send-otp"'

ANSWERED_BY = [{"type": "value", "options": {
    "0": {"text": "carriers", "color": GREEN},
    "1": {"text": "the sandbox: no phone rings", "color": YELLOW},
}}]

TRAFFIC = [
    row("Who answers"),
    panel("stat", "Live keys are answered by", "The built-in sandbox answers live keys as long as no carrier has a gateway. No "
          "phone rings then.", "none", steps(GREEN, (1, YELLOW)),
          (f"max(nexo_sandbox_serves_live{{{N}}})", ""), w=12, h=4, mappings=ANSWERED_BY),
    panel("stat", "Accepted, carriers", "OTPs per second that real carriers accepted, whatever Answered by selects.", "reqps", OK,
          (rate("nexo_otp_requests_total", C + ',realm="live",verdict="accepted"'), ""), w=6, h=4, decimals=1),
    panel("stat", "Accepted, sandbox", "OTPs per second that the sandbox accepted: those of test keys, and of live keys while no "
          "carrier has a gateway.", "reqps", steps(YELLOW),
          (rate("nexo_otp_requests_total", C + ',realm="sandbox",verdict="accepted"'), ""), w=6, h=4, decimals=1),
    row("At a glance"),
    panel("stat", "OTPs accepted", "OTPs accepted per second (202). Answered by, above, selects real carriers or the sandbox.",
          "reqps", OK,
          (rate("nexo_otp_requests_total", L + ',verdict="accepted"'), ""), w=4, h=5, decimals=1),
    panel("stat", "Delivered", "Share of the ended OTPs whose code was read to its last digit.", "percentunit",
          falling(0.5, 0.7),
          (ratio(rate("nexo_otps_total", L + ',outcome="delivered"'), rate("nexo_otps_total", L)), ""),
          w=4, h=5, decimals=1),
    panel("stat", "Refused", "Share of the requested OTPs without a 202.", "percentunit", rising(0.05, 0.2),
          ("1 - " + ratio(rate("nexo_otp_requests_total", L + ',verdict="accepted"'), rate("nexo_otp_requests_total", L)), ""),
          w=4, h=5, decimals=1),
    panel("stat", "Internal errors", "Responses with 500 in the range shown. Each is a bug or a machine failure.", "short",
          rising(1, 1), (f"sum(increase(nexo_internal_errors_total{{{N}}}[$__range]))", ""), w=4, h=5, decimals=0),
    panel("stat", "Revenue", "Debits minus refunds, in US dollars per hour, also for live keys that the sandbox answers.", DOLLARS, OK,
          (f'3600e-6 * ({rate("nexo_ledger_debited_microdollars_total", N)} - {rate("nexo_ledger_refunded_microdollars_total", N)})', ""),
          w=4, h=5, decimals=2),
    panel("stat", "Balance runway", "How long all wallets together last at the current rate. A single customer may run out "
          "earlier.", "s", falling(86400, 604800),
          (f'sum(max by (bucket) (nexo_wallet_held_usd{{{N}}})) / clamp_min(1e-6 * sum(rate(nexo_ledger_debited_microdollars_total{{{N}}}[$__rate_interval])), 1e-9)', ""),
          w=4, h=5),
    row("Requests"),
    panel("timeseries", "Requests by status", "HTTP responses per second. 5xx is caused by us or the carriers, 4xx by customers.",
          "reqps", OK, (rate("nexo_http_requests_total", N, "status"), "{{status}}"), stack=True),
    panel("timeseries", "Requests by route", "HTTP responses per second, by route.", "reqps", OK,
          (rate("nexo_http_requests_total", N, "route"), "{{route}}"), stack=True),
    panel("timeseries", "Server errors", "Share of 5xx among all responses. 502 means that no gateway accepted the call.",
          "percentunit", rising(0.01, 0.05),
          (ratio(rate("nexo_http_requests_total", N + ',status=~"5.."'), rate("nexo_http_requests_total", N)), "5xx"),
          empty="No server errors in this range."),
    panel("heatmap", "Time to accept an OTP", "Duration of send-otp, from the request to the carrier's first answer. Darker means "
          "more.", "s", rising(1, 4),
          (f'sum by (le) (increase(nexo_http_request_seconds_bucket{{{N},{SEND}}}[$__rate_interval]))', "{{le}}"), w=16),
    panel("timeseries", "Time to accept an OTP, quantiles", "Accepted requests (202) only: the time within which 50 %, 95 % and "
          "99 % are answered.", "s", rising(1, 4),
          *[(quantile(q, "nexo_http_request_seconds", f'{N},{SEND},status="202"'), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)],
          empty="No OTP was accepted in this range."),
    row("OTPs"),
    panel("timeseries", "Requests by verdict", "Responses to send-otp per second, by verdict. overloaded is a 503, "
          "rate_limited a closed 30 s phone window.", "reqps", OK,
          (rate("nexo_otp_requests_total", L, "verdict"), "{{verdict}}"), stack=True),
    panel("timeseries", "OTPs by outcome", "OTPs that reached their final state, per second.", "reqps", OK,
          (rate("nexo_otps_total", L + ',outcome="delivered"'), "delivered"),
          (rate("nexo_otps_total", L + ',outcome="failed"', "error_code"), "{{error_code}}"), stack=True),
    panel("timeseries", "OTPs by carrier", "OTPs accepted per second.", "reqps", OK,
          (rate("nexo_otp_requests_total", L + ',verdict="accepted"', "carrier"), "{{carrier}}"), stack=True),
    panel("timeseries", "Phone-window rejections", "OTPs refused because the phone was called less than 30 s ago. Many "
          "from one customer indicate a loop or fraud.", "reqps", rising(1, 10),
          (rate("nexo_phone_window_rejections_total", L, "carrier"), "{{carrier}}")),
    panel("timeseries", "Idempotent replays", "Stored responses returned to requests with an idempotency key.", "reqps", OK,
          (rate("nexo_idempotent_replays_total", N), "replays")),
    panel("timeseries", "Hooks of auth servers", "Requests of auth servers to their integrations per second, by outcome. "
          "replayed is a repeated request that rang no phone.", "reqps", OK,
          (rate("nexo_hook_requests_total", N, "outcome"), "{{outcome}}"), stack=True),
    panel("timeseries", "Refunded OTPs", "OTPs whose price was refunded, per second.", "reqps", OK,
          (rate("nexo_otp_refunds_total", L, "carrier"), "{{carrier}}"), stack=True),
    row("Money"),
    panel("timeseries", "Debits and refunds", "US dollars per hour that were debited and refunded.", DOLLARS, OK,
          (f'3600e-6 * {rate("nexo_ledger_debited_microdollars_total", N)}', "debited"),
          (f'3600e-6 * {rate("nexo_ledger_refunded_microdollars_total", N)}', "refunded"), decimals=2),
    panel("timeseries", "Held by customers", "Total of all open accounts, by bucket. Cash is owed to them.", DOLLARS,
          OK, (f"max by (bucket) (nexo_wallet_held_usd{{{N}}})", "{{bucket}}"), stack=True, decimals=2),
    panel("timeseries", "Debits refused", "Refused debits per second, by reason.", "reqps", OK,
          (rate("nexo_ledger_debits_refused_total", N, "reason"), "{{reason}}")),
    panel("stat", "Customers out of funds", "Accounts that have sent OTPs and cannot pay for another.", "short",
          rising(5, 50), (f'max(nexo_wallets{{{N},state="out_of_funds"}})', ""), w=6, h=5),
    panel("stat", "Customers in funds", "Accounts that can pay for an OTP.", "short", OK,
          (f'max(nexo_wallets{{{N},state="funded"}})', ""), w=6, h=5),
    panel("stat", "Refused for insufficient balance", "Share of the requested OTPs that got a 402.", "percentunit",
          rising(0.02, 0.1),
          (ratio(rate("nexo_otp_requests_total", L + ',verdict="insufficient_balance"'), rate("nexo_otp_requests_total", L)), ""),
          w=6, h=5, decimals=1),
    panel("stat", "Price", "The price of an OTP.", DOLLARS, OK, (f"max(nexo_price_usd{{{N}}})", ""), w=6, h=5, decimals=3),
]

UP = [{"type": "value", "options": {"0": {"text": "down", "color": RED}, "1": {"text": "up", "color": GREEN}}}]
YES = [{"type": "value", "options": {"0": {"text": "no", "color": RED}, "1": {"text": "yes", "color": GREEN}}}]

CARRIERS = [
    row("At a glance"),
    panel("stat", "Calls in progress", "Calls that have started and not ended.", "short", OK,
          (f"sum(nexo_calls_in_progress{{{N}}})", ""), w=4, h=5),
    panel("stat", "Set-up rate", "Calls placed per second.", "cps", OK, (rate("nexo_call_attempts_total", L), ""), w=4, h=5, decimals=1),
    panel("stat", "ASR", "Answer-seizure ratio: answered calls ÷ placed calls. A drop matters more than the level.",
          "percentunit", falling(0.3, 0.5),
          (ratio(rate("nexo_calls_answered_total", L), rate("nexo_call_attempts_total", L)), ""), w=4, h=5, decimals=1),
    panel("stat", "ACD", "Average call duration, from answer to end. A code read twice takes about 20 s; much less means "
          "that callees hang up.", "s", falling(5, 8), (mean("nexo_call_seconds", L), ""), w=4, h=5, decimals=1,
          empty="No call was answered in this range."),
    panel("stat", "PDD", "Post-dial delay of 95 % of the calls: from INVITE to ringing.", "s", rising(5, 8),
          (quantile(0.95, "nexo_call_post_dial_delay_seconds", L), ""), w=4, h=5, decimals=2),
    panel("stat", "MOS", "Mean opinion score: the estimated audio quality, 1 to 4.5, on average.", "none", falling(3.6, 4.0),
          (mean("nexo_call_mean_opinion_score", L), ""), w=4, h=5, decimals=2,
          empty="No calls with RTCP reports in this range."),
    row("Gateways"),
    panel("timeseries", "Gateways up", "1 while a gateway is usable, by carrier and gateway; the minimum over the nodes.",
          "none", OK, (f"min by (carrier, gateway) (nexo_gateway_up{{{C}}})", "{{carrier}} {{gateway}}"), max=1, mappings=UP,
          empty="No carrier has a gateway, and the sandbox is off."),
    panel("timeseries", "Registered", "1 while we are registered with a gateway that requires it.", "none", OK,
          (f"min by (carrier, gateway) (nexo_gateway_registered{{{C}}})", "{{carrier}} {{gateway}}"), max=1, mappings=YES,
          empty="No gateway of the configuration requires a registration."),
    panel("timeseries", "Gateway round trip", "Round trip of the last OPTIONS probe.", "s", rising(0.15, 0.4),
          (f"max by (carrier, gateway) (nexo_gateway_round_trip_seconds{{{C}}})", "{{carrier}} {{gateway}}"),
          empty="No gateway is probed: their options_ping_seconds is 0, or no carrier has a gateway."),
    panel("bargauge", "Channels in use", "Share of the trunk's concurrent calls. At 100 % customers get 503.",
          "percentunit", rising(0.7, 0.9),
          (f"sum by (carrier) (nexo_channels_used{{{C}}}) / sum by (carrier) (nexo_channels_limit{{{C}}})", "{{carrier}}"),
          min=0, max=1),
    panel("timeseries", "Channels", "Concurrent calls of a carrier, and the limit.", "short", OK,
          (f"sum by (carrier) (nexo_channels_used{{{C}}})", "{{carrier}}"),
          (f"sum by (carrier) (nexo_channels_limit{{{C}}})", "{{carrier}}, limit")),
    panel("timeseries", "SIP answers by code", "Responses to INVITE per second. 1xx is progress, 2xx answered, 486 busy, "
          "5xx a carrier failure.", "reqps", OK, (rate("nexo_sip_responses_total", L, "code"), "{{code}}"), stack=True),
    row("Calls"),
    panel("timeseries", "ASR by carrier", "Answered calls ÷ placed calls.", "percentunit", falling(0.3, 0.5),
          (ratio(rate("nexo_calls_answered_total", L, "carrier"), rate("nexo_call_attempts_total", L, "carrier")), "{{carrier}}"), max=1),
    panel("timeseries", "ACD by carrier", "Average call duration, from answer to end.", "s", falling(5, 8),
          (mean("nexo_call_seconds", L, "carrier"), "{{carrier}}"),
          empty="No call was answered in this range."),
    panel("timeseries", "Set-up rate by carrier", "Calls placed per second.", "cps", OK,
          (rate("nexo_call_attempts_total", L, "carrier"), "{{carrier}}"), stack=True),
    panel("timeseries", "PDD by carrier", "From INVITE to ringing, for 95 % of the calls.", "s", rising(5, 8),
          (quantile(0.95, "nexo_call_post_dial_delay_seconds", L, "carrier"), "{{carrier}}")),
    panel("timeseries", "Time to the carrier's first answer", "From INVITE to the response that accepts the call. The "
          "customer waits for it.", "s", rising(1, 2),
          (quantile(0.95, "nexo_call_accept_seconds", L, "carrier"), "{{carrier}}")),
    panel("timeseries", "Answer to first digit", "From the answer to the code's first digit, for 95 % of the calls. "
          "The greeting takes most of it.", "s", rising(6, 10),
          (quantile(0.95, "nexo_call_first_digit_seconds", L, "carrier"), "{{carrier}}"),
          empty="No call was answered in this range."),
    panel("heatmap", "Call length", "From answer to end. Two bands: callees that hang up at once, and callees that listen.", "s", OK,
          (f"sum by (le) (increase(nexo_call_seconds_bucket{{{L}}}[$__rate_interval]))", "{{le}}"), w=24),
    row("Audio"),
    panel("timeseries", "Loss", "Share of our packets that the far ends did not receive: mean, and 95th percentile of the "
          "calls. From 5 % on digits are lost.", "percentunit", rising(0.01, 0.03),
          (mean("nexo_rtcp_loss_ratio", L, "carrier"), "{{carrier}}, mean"),
          (quantile(0.95, "nexo_rtcp_loss_ratio", L, "carrier"), "{{carrier}}, p95"),
          empty="No RTCP reports in this range: no calls, or the far ends send none."),
    panel("timeseries", "Jitter", "Jitter that the far ends report, for 95 % of the calls. Their buffers hold about 60 ms.", "s",
          rising(0.03, 0.06), (quantile(0.95, "nexo_rtcp_jitter_seconds", L, "carrier"), "{{carrier}}"),
          empty="No RTCP reports in this range: no calls, or the far ends send none."),
    panel("timeseries", "MOS by carrier", "Estimated audio quality (ITU-T G.107), 1 to 4.5.", "none", falling(3.6, 4.0),
          (mean("nexo_call_mean_opinion_score", L, "carrier"), "{{carrier}}"), min=1, max=4.5,
          empty="No calls with RTCP reports in this range."),
]

ENGINE = [
    row("At a glance"),
    panel("stat", "Ready", "Whether each node accepts OTPs, according to its /readyz.", "none", falling(1, 1),
          (f"nexo_ready{{{N}}}", "{{instance}}"), w=4, h=5, mappings=YES),
    panel("stat", "Lease", "Whether each node has a valid lease. Without it the node answers 503.", "none", falling(1, 1),
          (f"nexo_node_lease_valid{{{N}}}", "{{instance}}"), w=4, h=5, mappings=YES),
    panel("stat", "Actor restarts", "Actors replaced in the range shown, after a panic or a freeze. Each is a bug.", "short",
          rising(1, 5), (f"sum(increase(nexo_actor_restarts_total{{{N}}}[$__range]))", ""), w=4, h=5, decimals=0),
    panel("stat", "Webhook backlog", "Webhooks that are pending.", "short", rising(100, 1000),
          (f"max(nexo_webhook_backlog{{{N}}})", ""), w=4, h=5),
    panel("stat", "Commit, p99", "99 % of the ledger's commits take no longer. Most of it is the sync of the disk.", "s", rising(0.1, 0.5),
          (quantile(0.99, "nexo_ledger_commit_seconds", N), ""), w=4, h=5,
          empty="No commits in this range."),
    panel("stat", "Memory", "Resident memory of the largest node.", "bytes", rising(1e9, 2e9),
          (f"max(nexo_process_resident_memory_bytes{{{N}}})", ""), w=4, h=5),
    row("Actors"),
    panel("timeseries", "Mailboxes", "Messages that wait, by actor. Values well above zero mean that it cannot keep up.",
          "short", OK, (f"sum by (actor) (nexo_actor_mailbox_depth{{{N}}})", "{{actor}}")),
    panel("timeseries", "Mailbox usage", "Waiting messages ÷ capacity. At 100 % customers get 503.", "percentunit",
          rising(0.5, 0.8),
          (f"max by (actor) (nexo_actor_mailbox_depth{{{N}}} / nexo_actor_mailbox_limit{{{N}}})", "{{actor}}"), max=1),
    panel("timeseries", "Handling time", "The time within which an actor handles 99 % of its messages.", "s", rising(0.01, 0.1),
          (quantile(0.99, "nexo_actor_handling_seconds", N, "actor"), "{{actor}}"),
          empty="No messages in this range."),
    panel("timeseries", "Messages handled", "Messages per second, by actor.", "mps", OK,
          (rate("nexo_actor_handling_seconds_count", N, "actor"), "{{actor}}")),
    panel("timeseries", "Restarts", "Actors replaced, by actor.", "short", rising(1, 5),
          (f"sum by (actor) (increase(nexo_actor_restarts_total{{{N}}}[$__rate_interval]))", "{{actor}}")),
    panel("timeseries", "Internal errors, reaped OTPs", "Responses with 500, and deliveries without a saga. "
          "Both should be zero.", "short", rising(1, 1),
          (f"sum(increase(nexo_internal_errors_total{{{N}}}[$__rate_interval]))", "internal errors"),
          (f"sum(increase(nexo_reaped_deliveries_total{{{N}}}[$__rate_interval]))", "reaped")),
    row("Ledger"),
    panel("heatmap", "Commit latency", "Duration of one transaction: a sync of the disk, or of the database server.", "s",
          rising(0.1, 0.5),
          (f"sum by (le) (increase(nexo_ledger_commit_seconds_bucket{{{N}}}[$__rate_interval]))", "{{le}}")),
    panel("timeseries", "Batch size", "Postings per commit. The size grows under load: one sync serves all of them.",
          "short", OK, (mean("nexo_ledger_batch_postings", N), "mean"),
          (quantile(0.95, "nexo_ledger_batch_postings", N), "p95"),
          empty="No commits in this range."),
    panel("timeseries", "Waiting for a commit", "Debits and settlements that wait, by wallet actor.", "short",
          rising(4000, 12000), (f"sum by (actor) (nexo_ledger_waiting_postings{{{N}}})", "{{actor}}")),
    panel("timeseries", "Postings", "Debits and refunds per second, and retried commits.", "ops", OK,
          (rate("nexo_ledger_debits_total", N), "debits"), (rate("nexo_ledger_refunds_total", N), "refunds"),
          (rate("nexo_ledger_commit_retries_total", N), "retries")),
    panel("timeseries", "Full disk", "1 while the disk under the database is full and OTPs are refused.", "short", rising(1, 1),
          (f"nexo_database_disk_full{{{N}}}", "{{instance}}")),
    row("Lists and exports"),
    panel("timeseries", "CSV exports", "Exports in progress, of all accounts.", "short", OK,
          (f"sum(nexo_exports_in_progress{{{N}}})", "in progress")),
    panel("timeseries", "Reads refused", "Lists, pages and exports per second that were refused because an account, or all "
          "accounts together, read too much at the same time. Delayed: answers to a caller with too many free requests.", "reqps", OK,
          (rate("nexo_reads_refused_total", N, "limit"), "{{limit}}"),
          (rate("nexo_exports_stalled_total", N), "stalled exports ended"),
          (rate("nexo_http_requests_paced_total", N), "answers delayed")),
    row("Webhooks"),
    panel("timeseries", "Webhook attempts", "POSTs per second, by outcome. Nothing is sent twice automatically.", "reqps", OK,
          (rate("nexo_webhook_attempts_total", N, "outcome"), "{{outcome}}"), stack=True),
    panel("timeseries", "Webhook latency", "Response time of the customers' servers.", "s", rising(2, 5),
          *[(quantile(q, "nexo_webhook_seconds", N), f"p{int(q * 100)}") for q in (0.5, 0.95)],
          empty="No webhooks were sent in this range."),
    panel("timeseries", "Webhook backlog", "Pending and in-flight webhooks.", "short", rising(100, 1000),
          (f"max(nexo_webhook_backlog{{{N}}})", "waiting"), (f"sum(nexo_webhooks_in_flight{{{N}}})", "in flight")),
    panel("timeseries", "Oldest waiting webhook", "Age of the oldest pending webhook, without paused endpoints.", "s", rising(10, 60),
          (f"max(nexo_webhook_oldest_seconds{{{N}}})", "oldest"),
          empty="No webhook waits."),
    row("Media"),
    panel("timeseries", "Media lateness", "How late audio is sent, for 50 % and 99 % of the ticks. From 5 ms on a tick counts "
          "as late.", "s", rising(0.002, 0.005),
          *[(quantile(q, "nexo_rtp_tick_lateness_seconds", N), f"p{int(q * 100)}") for q in (0.5, 0.99)],
          (rate("nexo_rtp_late_ticks_total", N) + " / 1000", "late ticks per millisecond")),
    panel("timeseries", "RTP packets", "Packets per second: sent, received, and dropped because of an unknown sender.", "pps", OK,
          (rate("nexo_rtp_packets_sent_total", N), "sent"), (rate("nexo_rtp_packets_received_total", N), "received"),
          (rate("nexo_rtp_packets_dropped_total", N), "dropped"), (rate("nexo_rtp_send_errors_total", N), "not sent")),
    panel("timeseries", "SIP dropped", "Datagrams per second that are not from a gateway (foreign), not SIP (garbage), or of "
          "no call (stray), and lines per second that were skipped in gateways' messages.", "pps", rising(1, 100),
          (rate("nexo_sip_dropped_total", N, "reason"), "{{reason}}"), (rate("nexo_sip_odd_lines_total", N), "skipped lines")),
    panel("timeseries", "Not HTTP", "Requests per second that the HTTP parser refused, by status, and log lines that were not "
          "written because the same line came too often.", "reqps", OK,
          (rate("nexo_http_parse_errors_total", N, "status"), "{{status}}"),
          (rate("nexo_log_lines_suppressed_total", N), "suppressed log lines")),
    row("Process"),
    panel("timeseries", "CPU", "Cores in use, by node.", "none", OK,
          (f"sum by (instance) (rate(nexo_process_cpu_seconds_total{{{N}}}[$__rate_interval]))", "{{instance}}")),
    panel("timeseries", "Memory by node", "Resident memory. A call in progress takes about 12 kB.", "bytes", rising(1e9, 2e9),
          (f"sum by (instance) (nexo_process_resident_memory_bytes{{{N}}})", "{{instance}}")),
    panel("timeseries", "Descriptors", "Open files and sockets ÷ limit.", "percentunit", rising(0.5, 0.8),
          (f"nexo_process_open_fds{{{N}}} / nexo_process_max_fds{{{N}}}", "{{instance}}")),
    panel("timeseries", "HTTP connections", "Open connections of the API and the dashboard ÷ their limit.", "percentunit",
          rising(0.5, 0.8), (f"nexo_http_connections{{{N}}} / nexo_http_connections_limit{{{N}}}", "{{instance}}")),
    panel("timeseries", "Refused connections and shortages", "HTTP connections per second over a limit or closed for slowness, "
          "and operations postponed because the host lacked a resource.", "cps", rising(1, 100),
          (rate("nexo_http_connections_refused_total", N, "reason"), "refused: {{reason}}"),
          (rate("nexo_http_connections_closed_total", N, "reason"), "closed: {{reason}}"),
          (rate("nexo_shortages_total", N, "part, resource"), "{{part}}: {{resource}}")),
    row("Nodes"),
    panel("timeseries", "Lease left", "Remaining time of each node's lease without a renewal; 0 on SQLite, because it never "
          "ends there.", "s", OK, (f"nexo_node_lease_seconds{{{N}}}", "{{instance}}")),
    panel("timeseries", "Epochs and takeovers", "Each restart increases a node's epoch; a takeover is a dead node whose "
          "calls another node settled.", "short", OK, (f"nexo_node_epoch{{{N}}}", "{{instance}} epoch"),
          (f"sum(increase(nexo_node_takeovers_total{{{N}}}[$__rate_interval]))", "takeovers")),
    panel("timeseries", "Configuration reloads", "Reloads on SIGHUP, by outcome. After a rejected one the previous settings stay in "
          "force.", "short", rising(1, 1),
          (f"sum by (outcome) (increase(nexo_config_reloads_total{{{N}}}[$__rate_interval]))", "{{outcome}}")),
]


def variables():
    def query(name, label, text):
        return {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": text, "refId": "var"},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        }

    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
         "current": {"selected": True, "text": "Prometheus", "value": "nexo-prometheus"}},
        {"name": "realm", "label": "Answered by", "type": "custom", "query": "carriers : live, sandbox : sandbox",
         "multi": False, "includeAll": False,
         "current": {"selected": True, "text": "carriers", "value": "live"},
         "options": [{"selected": True, "text": "carriers", "value": "live"},
                     {"selected": False, "text": "sandbox", "value": "sandbox"}]},
        # The address of the site, for links to its pages.
        {"name": "site", "type": "query", "hide": 2, "datasource": SOURCE, "refresh": 1,
         "query": {"query": "label_values(nexo_build_info, site)", "refId": "var"}},
        query("node", "Node", "label_values(nexo_build_info, instance)"),
        query("carrier", "Carrier", "label_values(nexo_channels_limit, carrier)"),
    ]


def annotation(name, colour, expr, title, text):
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "iconColor": colour,
        "expr": expr,
        "titleFormat": title,
        "textFormat": text,
    }


# Samples of 1 are events; Grafana joins those that follow each other. A version is new on a node if it did not run there
# within the day before.
ANNOTATIONS = [
    annotation("Restarts", "blue",
               f"changes(nexo_process_start_time_seconds{{{N}}}[1m]) > bool 0 == 1",
               "restart", "{{instance}} was started"),
    annotation("Deploys", "purple",
               f"nexo_build_info{{{N}}} unless on (instance, version) max_over_time(nexo_build_info[1d] offset 5m)",
               "version {{version}}", "{{node}} ({{instance}}) runs version {{version}} for the first time in a day"),
]


def laid_out(panels):
    """Sets the position of each panel: from left to right, in rows of 24."""
    x = y = height = 0
    for number, one in enumerate(panels, 1):
        grid = one["gridPos"]
        if x + grid["w"] > 24 or one["type"] == "row":
            x, y, height = 0, y + height, 0
        grid |= {"x": x, "y": y}
        x, height = x + grid["w"], max(height, grid["h"])
        one["id"] = number
    return panels


def dashboard(uid, title, description, panels):
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["nexo"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables()},
        "annotations": {"list": ANNOTATIONS},
        "links": [{
            "title": "NEXO ROUTE", "type": "dashboards", "tags": ["nexo"], "asDropdown": False, "icon": "external link",
            "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": "",
        }],
        "panels": laid_out(panels),
    }


DASHBOARDS = {
    "traffic-and-money.json": dashboard(
        "nexo-traffic", "Traffic and money", "Requests, OTPs and money.", TRAFFIC),
    "carriers-and-calls.json": dashboard(
        "nexo-carriers", "Carriers and calls", "Gateways, calls and audio, by carrier.", CARRIERS),
    "engine.json": dashboard(
        "nexo-engine", "Engine", "Actors, ledger, webhooks, media and the machine.", ENGINE),
}


def main():
    stale = []
    for name, content in DASHBOARDS.items():
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        path = HERE / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
        else:
            path.write_text(text)
    if stale:
        sys.exit(f"run grafana/make_dashboards.py; not up to date: {', '.join(stale)}")


if __name__ == "__main__":
    main()
