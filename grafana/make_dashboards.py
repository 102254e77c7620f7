#!/usr/bin/env python3
"""Writes the three dashboards. A panel is a few lines here and a hundred in JSON.

    grafana/make_dashboards.py            writes grafana/dashboards/*.json
    grafana/make_dashboards.py --check    exits 1 where what is written there is not what this would write
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED = "green", "#EAB839", "red"

# Most series are of a node, many of a carrier. Test keys ring the sandbox and say nothing of a trunk.
N = 'instance=~"$node"'
C = 'instance=~"$node",carrier=~"$carrier"'
L = C + ',realm="live"'


def steps(*pairs):
    """From a base colour to (value, colour) and so on."""
    base, *rest = pairs
    return [{"color": base, "value": None}] + [{"color": c, "value": v} for v, c in rest]


OK = steps(GREEN)


def rising(warn, bad):
    return steps(GREEN, (warn, YELLOW), (bad, RED))


def falling(bad, warn):
    return steps(RED, (bad, YELLOW), (warn, GREEN))


def panel(kind, title, what, unit, thresholds, *queries, w=8, h=8, stack=False, decimals=None, **more):
    """`queries`: pairs of an expression and its legend."""
    defaults = {
        "unit": unit,
        "thresholds": {"mode": "absolute", "steps": thresholds},
        "color": {"mode": "thresholds" if kind in ("stat", "gauge", "bargauge") else "palette-classic"},
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    for key in ("min", "max", "mappings"):
        if key in more:
            defaults[key] = more[key]
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
        defaults = {"unit": unit, "thresholds": defaults["thresholds"]}
    targets = []
    for place, (expr, legend) in enumerate(queries):
        target = {
            "refId": chr(ord("A") + place),
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
        "description": what,
        "datasource": SOURCE,
        "gridPos": {"w": w, "h": h},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "gridPos": {"w": 24, "h": 1}, "panels": []}


def rate(metric, labels, by=""):
    inner = f"rate({metric}{{{labels}}}[$__rate_interval])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantile(q, metric, labels, by=""):
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({groups}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def mean(metric, labels, by=""):
    return f"{rate(metric + '_sum', labels, by)} / {rate(metric + '_count', labels, by)}"


SEND = 'route="/api/v1/send-otp"'

TRAFFIC = [
    row("At a glance"),
    panel("stat", "OTPs accepted", "OTPs that a carrier took, each second (202).", "reqps", OK,
          (rate("nexo_otp_requests_total", C + ',verdict="accepted"'), ""), w=4, h=5, decimals=1),
    panel("stat", "Delivered", "Of the OTPs that ended: those whose code was read to its last digit.", "percentunit",
          falling(0.5, 0.7),
          (f'{rate("nexo_otps_total", C + ",outcome=" + chr(34) + "delivered" + chr(34))} / {rate("nexo_otps_total", C)}', ""),
          w=4, h=5, decimals=1),
    panel("stat", "Refused", "Of the OTPs that were asked for: those that got no 202.", "percentunit", rising(0.05, 0.2),
          (f'1 - {rate("nexo_otp_requests_total", C + ",verdict=" + chr(34) + "accepted" + chr(34))} / {rate("nexo_otp_requests_total", C)}', ""),
          w=4, h=5, decimals=1),
    panel("stat", "Failures that are ours", "Answers 500 in the range shown. Each is a bug or a broken machine.", "short",
          rising(1, 1), (f"sum(increase(nexo_internal_errors_total{{{N}}}[$__range]))", ""), w=4, h=5, decimals=0),
    panel("stat", "Revenue", "Debits less refunds, in US dollars an hour.", "currencyUSD", OK,
          (f'3600e-6 * ({rate("nexo_ledger_debited_microdollars_total", N)} - {rate("nexo_ledger_refunded_microdollars_total", N)})', ""),
          w=4, h=5, decimals=2),
    panel("stat", "Balance runway", "How long all wallets together last, at what is spent now. A single customer may run dry "
          "sooner.", "s", falling(86400, 604800),
          (f'sum(max by (bucket) (nexo_wallet_held_usd{{{N}}})) / clamp_min(1e-6 * sum(rate(nexo_ledger_debited_microdollars_total{{{N}}}[$__rate_interval])), 1e-9)', ""),
          w=4, h=5),
    row("Requests"),
    panel("timeseries", "Requests by status", "HTTP answers each second. 5xx is ours or the carriers', 4xx the customers'.",
          "reqps", OK, (rate("nexo_http_requests_total", N, "status"), "{{status}}"), stack=True),
    panel("timeseries", "Requests by route", "HTTP answers each second, by what was asked for.", "reqps", OK,
          (rate("nexo_http_requests_total", N, "route"), "{{route}}"), stack=True),
    panel("timeseries", "Server errors", "Share of 5xx among all answers. 502 means that no gateway took the call.",
          "percentunit", rising(0.01, 0.05),
          (f'{rate("nexo_http_requests_total", N + ",status=~" + chr(34) + "5.." + chr(34))} / {rate("nexo_http_requests_total", N)}', "5xx"), min=0),
    panel("heatmap", "Time to accept an OTP", "How long send-otp takes: from the request to the carrier's first answer. Darker "
          "is more.", "s", rising(1, 4),
          (f'sum by (le) (increase(nexo_http_request_seconds_bucket{{{N},{SEND}}}[$__rate_interval]))', "{{le}}"), w=16),
    panel("timeseries", "Time to accept an OTP, quantiles", "Accepted requests (202) only: half, 95 % and 99 % are answered "
          "within this.", "s", rising(1, 4),
          *[(quantile(q, "nexo_http_request_seconds", f'{N},{SEND},status="202"'), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)], min=0),
    row("OTPs"),
    panel("timeseries", "What customers were told", "Answers to send-otp each second, by verdict. overloaded is a 503, "
          "rate_limited the 30 s of a phone.", "reqps", OK,
          (rate("nexo_otp_requests_total", C, "verdict"), "{{verdict}}"), stack=True),
    panel("timeseries", "OTPs by outcome", "OTPs that reached their final state, each second.", "reqps", OK,
          (rate("nexo_otps_total", C + ',outcome="delivered"'), "delivered"),
          (rate("nexo_otps_total", C + ',outcome="failed"', "error_code"), "{{error_code}}"), stack=True),
    panel("timeseries", "OTPs by carrier", "OTPs accepted each second.", "reqps", OK,
          (rate("nexo_otp_requests_total", C + ',verdict="accepted"', "carrier"), "{{carrier}}"), stack=True),
    panel("timeseries", "Phone-window rejections", "OTPs refused because the phone was called less than 30 s ago. A lot of "
          "them from one customer is a loop, or fraud.", "reqps", rising(1, 10),
          (rate("nexo_phone_window_rejections_total", C, "carrier"), "{{carrier}}")),
    panel("timeseries", "Idempotent replays", "Answers given again to a request with an idempotency key.", "reqps", OK,
          (rate("nexo_idempotent_replays_total", N), "replays")),
    panel("timeseries", "Refunded OTPs", "OTPs whose price went back, each second.", "reqps", OK,
          (rate("nexo_otp_refunds_total", C, "carrier"), "{{carrier}}"), stack=True),
    row("Money"),
    panel("timeseries", "Debits and refunds", "US dollars an hour that were taken, and given back.", "currencyUSD", OK,
          (f'3600e-6 * {rate("nexo_ledger_debited_microdollars_total", N)}', "debited"),
          (f'-3600e-6 * {rate("nexo_ledger_refunded_microdollars_total", N)}', "refunded")),
    panel("timeseries", "Held by customers", "What all open accounts hold, by bucket. Cash is owed to them.", "currencyUSD",
          OK, (f"max by (bucket) (nexo_wallet_held_usd{{{N}}})", "{{bucket}}"), stack=True),
    panel("timeseries", "Debits refused", "Debits each second that were not taken, by reason.", "reqps", OK,
          (rate("nexo_ledger_debits_refused_total", N, "reason"), "{{reason}}")),
    panel("stat", "Customers out of funds", "Accounts that have sent OTPs and cannot pay for another one.", "short",
          rising(5, 50), (f'max(nexo_wallets{{{N},state="out_of_funds"}})', ""), w=6, h=5),
    panel("stat", "Customers in funds", "Accounts that can pay for an OTP.", "short", OK,
          (f'max(nexo_wallets{{{N},state="funded"}})', ""), w=6, h=5),
    panel("stat", "Turned away for want of funds", "Of the OTPs that were asked for: those that got a 402.", "percentunit",
          rising(0.02, 0.1),
          (f'{rate("nexo_otp_requests_total", C + ",verdict=" + chr(34) + "insufficient_balance" + chr(34))} / {rate("nexo_otp_requests_total", C)}', ""),
          w=6, h=5, decimals=1),
    panel("stat", "Price", "What an OTP costs.", "currencyUSD", OK, (f"max(nexo_price_usd{{{N}}})", ""), w=6, h=5, decimals=3),
]

UP = [{"type": "value", "options": {"0": {"text": "down", "color": RED}, "1": {"text": "up", "color": GREEN}}}]
YES = [{"type": "value", "options": {"0": {"text": "no", "color": RED}, "1": {"text": "yes", "color": GREEN}}}]

CARRIERS = [
    row("At a glance"),
    panel("stat", "Calls in progress", "Calls that were placed and have not ended.", "short", OK,
          (f"sum(nexo_calls_in_progress{{{N}}})", ""), w=4, h=5),
    panel("stat", "Set-up rate", "Calls placed each second.", "cps", OK, (rate("nexo_call_attempts_total", L), ""), w=4, h=5, decimals=1),
    panel("stat", "ASR", "Answer-seizure ratio: answered calls of those placed. A fall says more than a level.",
          "percentunit", falling(0.3, 0.5),
          (f'{rate("nexo_calls_answered_total", L)} / {rate("nexo_call_attempts_total", L)}', ""), w=4, h=5, decimals=1),
    panel("stat", "ACD", "Average call duration, from answer to end. A code read twice takes about 20 s; much less means "
          "that people hang up.", "s", falling(5, 8), (mean("nexo_call_seconds", L), ""), w=4, h=5, decimals=1),
    panel("stat", "PDD", "Post-dial delay, 95 % of the calls: from INVITE to ringing.", "s", rising(5, 8),
          (quantile(0.95, "nexo_call_post_dial_delay_seconds", L), ""), w=4, h=5, decimals=2),
    panel("stat", "MOS", "What listeners would think of the audio, 1 to 4.5, on average.", "none", falling(3.6, 4.0),
          (mean("nexo_call_mean_opinion_score", L), ""), w=4, h=5, decimals=2),
    row("Gateways"),
    panel("timeseries", "Gateways up", "1 while a gateway is counted on, by carrier and gateway; the lowest of the nodes.",
          "none", OK, (f"min by (carrier, gateway) (nexo_gateway_up{{{C}}})", "{{carrier}} {{gateway}}"), min=0, max=1, mappings=UP),
    panel("timeseries", "Registered", "1 while we are registered with a gateway that wants it.", "none", OK,
          (f"min by (carrier, gateway) (nexo_gateway_registered{{{C}}})", "{{carrier}} {{gateway}}"), min=0, max=1, mappings=YES),
    panel("timeseries", "Way to the gateways", "Round trip of the last OPTIONS probe.", "s", rising(0.15, 0.4),
          (f"max by (carrier, gateway) (nexo_gateway_round_trip_seconds{{{C}}})", "{{carrier}} {{gateway}}"), min=0),
    panel("bargauge", "Channels in use", "Share of the calls that the trunk may carry at once. Full means 503.",
          "percentunit", rising(0.7, 0.9),
          (f"sum by (carrier) (nexo_channels_used{{{C}}}) / sum by (carrier) (nexo_channels_limit{{{C}}})", "{{carrier}}"),
          min=0, max=1),
    panel("timeseries", "Channels", "Calls of a carrier at once, and how many may be.", "short", OK,
          (f"sum by (carrier) (nexo_channels_used{{{C}}})", "{{carrier}}"),
          (f"sum by (carrier) (nexo_channels_limit{{{C}}})", "{{carrier}}, limit")),
    panel("timeseries", "SIP answers by code", "Answers to INVITE each second. 1xx is progress, 2xx answered, 486 busy, "
          "5xx the carrier's trouble.", "reqps", OK, (rate("nexo_sip_responses_total", L, "code"), "{{code}}"), stack=True),
    row("Calls"),
    panel("timeseries", "ASR by carrier", "Answered calls of those placed.", "percentunit", falling(0.3, 0.5),
          (f'{rate("nexo_calls_answered_total", L, "carrier")} / {rate("nexo_call_attempts_total", L, "carrier")}', "{{carrier}}"), min=0, max=1),
    panel("timeseries", "ACD by carrier", "Average call duration, from answer to end.", "s", falling(5, 8),
          (mean("nexo_call_seconds", L, "carrier"), "{{carrier}}"), min=0),
    panel("timeseries", "Set-up rate by carrier", "Calls placed each second.", "cps", OK,
          (rate("nexo_call_attempts_total", L, "carrier"), "{{carrier}}"), stack=True),
    panel("timeseries", "PDD by carrier", "From INVITE to ringing, 95 % of the calls.", "s", rising(5, 8),
          (quantile(0.95, "nexo_call_post_dial_delay_seconds", L, "carrier"), "{{carrier}}"), min=0),
    panel("timeseries", "Time to the carrier's first answer", "From INVITE to the answer by which a carrier takes the call: "
          "what a customer waits for.", "s", rising(1, 2),
          (quantile(0.95, "nexo_call_accept_seconds", L, "carrier"), "{{carrier}}"), min=0),
    panel("timeseries", "Answer to first digit", "From the answer until the code's first digit was said, 95 % of the calls. "
          "The greeting takes most of it.", "s", rising(6, 10),
          (quantile(0.95, "nexo_call_first_digit_seconds", L, "carrier"), "{{carrier}}"), min=0),
    panel("heatmap", "Call length", "From answer to end. Two bands: those who hang up at once, and those who listen.", "s", OK,
          (f"sum by (le) (increase(nexo_call_seconds_bucket{{{L}}}[$__rate_interval]))", "{{le}}"), w=24),
    row("Audio"),
    panel("timeseries", "Loss", "Share of our packets that the far ends missed: mean, and the worst 5 % of the calls. From "
          "5 % digits are lost.", "percentunit", rising(0.01, 0.03),
          (mean("nexo_rtcp_loss_ratio", L, "carrier"), "{{carrier}}, mean"),
          (quantile(0.95, "nexo_rtcp_loss_ratio", L, "carrier"), "{{carrier}}, p95"), min=0),
    panel("timeseries", "Jitter", "Jitter that the far ends saw, 95 % of the calls. Their buffers hold some 60 ms.", "s",
          rising(0.03, 0.06), (quantile(0.95, "nexo_rtcp_jitter_seconds", L, "carrier"), "{{carrier}}"), min=0),
    panel("timeseries", "MOS by carrier", "Estimated opinion of the audio (ITU-T G.107), 1 to 4.5.", "none", falling(3.6, 4.0),
          (mean("nexo_call_mean_opinion_score", L, "carrier"), "{{carrier}}"), min=1, max=4.5),
]

ENGINE = [
    row("At a glance"),
    panel("stat", "Ready", "Whether each node takes OTPs, as its /readyz says.", "none", falling(1, 1),
          (f"nexo_ready{{{N}}}", "{{instance}}"), w=4, h=5, mappings=YES),
    panel("stat", "Lease", "Whether each node may act. Without its lease it answers 503.", "none", falling(1, 1),
          (f"nexo_node_lease_valid{{{N}}}", "{{instance}}"), w=4, h=5, mappings=YES),
    panel("stat", "Actor restarts", "Actors replaced in the range shown, after a panic or a freeze. Any is a bug.", "short",
          rising(1, 5), (f"sum(increase(nexo_actor_restarts_total{{{N}}}[$__range]))", ""), w=4, h=5, decimals=0),
    panel("stat", "Webhook backlog", "Webhooks that wait to be sent.", "short", rising(100, 1000),
          (f"max(nexo_webhook_backlog{{{N}}})", ""), w=4, h=5),
    panel("stat", "Commit, p99", "99 % of the ledger's commits take no longer. It is the disk's time.", "s", rising(0.1, 0.5),
          (quantile(0.99, "nexo_ledger_commit_seconds", N), ""), w=4, h=5),
    panel("stat", "Memory", "Of the largest node.", "bytes", rising(1e9, 2e9),
          (f"max(nexo_process_resident_memory_bytes{{{N}}})", ""), w=4, h=5),
    row("Actors"),
    panel("timeseries", "Mailboxes", "Messages that wait, by actor. Anything but near nothing means that it cannot keep up.",
          "short", OK, (f"sum by (actor) (nexo_actor_mailbox_depth{{{N}}})", "{{actor}}"), min=0),
    panel("timeseries", "Mailboxes, how full", "Share of what may wait. At 100 % customers get 503.", "percentunit",
          rising(0.5, 0.8),
          (f"max by (actor) (nexo_actor_mailbox_depth{{{N}}} / nexo_actor_mailbox_limit{{{N}}})", "{{actor}}"), min=0, max=1),
    panel("timeseries", "Handling time", "99 % of an actor's messages are handled within this.", "s", rising(0.01, 0.1),
          (quantile(0.99, "nexo_actor_handling_seconds", N, "actor"), "{{actor}}"), min=0),
    panel("timeseries", "Messages handled", "Each second, by actor.", "mps", OK,
          (rate("nexo_actor_handling_seconds_count", N, "actor"), "{{actor}}")),
    panel("timeseries", "Restarts", "Actors replaced, by actor.", "short", rising(1, 5),
          (f"sum by (actor) (increase(nexo_actor_restarts_total{{{N}}}[$__rate_interval]))", "{{actor}}"), min=0),
    panel("timeseries", "Internal errors, reaped OTPs", "Failures that are ours, and deliveries that nothing worked on any "
          "more. Both should be none.", "short", rising(1, 1),
          (f"sum(increase(nexo_internal_errors_total{{{N}}}[$__rate_interval]))", "internal errors"),
          (f"sum(increase(nexo_reaped_deliveries_total{{{N}}}[$__rate_interval]))", "reaped"), min=0),
    row("Ledger"),
    panel("heatmap", "Commit latency", "How long one transaction takes: a sync of the disk, or the database's.", "s",
          rising(0.1, 0.5),
          (f"sum by (le) (increase(nexo_ledger_commit_seconds_bucket{{{N}}}[$__rate_interval]))", "{{le}}")),
    panel("timeseries", "Batch size", "Postings in one commit. It grows by itself under load: one sync serves all of them.",
          "short", OK, (mean("nexo_ledger_batch_postings", N), "mean"),
          (quantile(0.95, "nexo_ledger_batch_postings", N), "p95"), min=0),
    panel("timeseries", "Waiting for a commit", "Debits and settlements that wait, by wallet actor.", "short",
          rising(4000, 12000), (f"sum by (actor) (nexo_ledger_waiting_postings{{{N}}})", "{{actor}}"), min=0),
    panel("timeseries", "Postings", "Debits and refunds each second, and commits that were tried again.", "ops", OK,
          (rate("nexo_ledger_debits_total", N), "debits"), (rate("nexo_ledger_refunds_total", N), "refunds"),
          (rate("nexo_ledger_commit_retries_total", N), "retries")),
    row("Webhooks"),
    panel("timeseries", "Webhook attempts", "POSTs each second, by outcome. Nothing is sent twice by itself.", "reqps", OK,
          (rate("nexo_webhook_attempts_total", N, "outcome"), "{{outcome}}"), stack=True),
    panel("timeseries", "Webhook latency", "How long customers' servers take to answer.", "s", rising(2, 5),
          *[(quantile(q, "nexo_webhook_seconds", N), f"p{int(q * 100)}") for q in (0.5, 0.95)], min=0),
    panel("timeseries", "Webhook backlog", "Waiting, and under way.", "short", rising(100, 1000),
          (f"max(nexo_webhook_backlog{{{N}}})", "waiting"), (f"sum(nexo_webhooks_in_flight{{{N}}})", "under way"), min=0),
    panel("timeseries", "Oldest waiting webhook", "For how long the oldest waits, paused endpoints aside.", "s", rising(10, 60),
          (f"max(nexo_webhook_oldest_seconds{{{N}}})", "oldest"), min=0),
    row("Media"),
    panel("timeseries", "Media lateness", "How late audio is sent: half, and 99 % of the ticks are no later. From 5 ms a tick "
          "counts as late.", "s", rising(0.002, 0.005),
          *[(quantile(q, "nexo_rtp_tick_lateness_seconds", N), f"p{int(q * 100)}") for q in (0.5, 0.99)],
          (rate("nexo_rtp_late_ticks_total", N) + " / 1000", "late ticks a millisecond"), min=0),
    panel("timeseries", "RTP packets", "Packets each second: sent, received, and dropped as a stranger's.", "pps", OK,
          (rate("nexo_rtp_packets_sent_total", N), "sent"), (rate("nexo_rtp_packets_received_total", N), "received"),
          (rate("nexo_rtp_packets_dropped_total", N), "dropped"), (rate("nexo_rtp_send_errors_total", N), "not sent")),
    panel("timeseries", "SIP dropped", "Datagrams each second from no gateway (foreign), that are no SIP (garbage), or of no "
          "call (stray).", "pps", rising(1, 100), (rate("nexo_sip_dropped_total", N, "reason"), "{{reason}}")),
    row("Process"),
    panel("timeseries", "CPU", "Cores in use, by node.", "none", OK,
          (f"sum by (instance) (rate(nexo_process_cpu_seconds_total{{{N}}}[$__rate_interval]))", "{{instance}}"), min=0),
    panel("timeseries", "Memory by node", "Resident memory. A call that is up takes some 12 kB.", "bytes", rising(1e9, 2e9),
          (f"sum by (instance) (nexo_process_resident_memory_bytes{{{N}}})", "{{instance}}"), min=0),
    panel("timeseries", "Descriptors", "Open files and sockets, share of what is allowed.", "percentunit", rising(0.5, 0.8),
          (f"nexo_process_open_fds{{{N}}} / nexo_process_max_fds{{{N}}}", "{{instance}}"), min=0),
    row("Nodes"),
    panel("timeseries", "Lease left", "How long each node may act unless its lease is renewed; 0 on SQLite, where it never "
          "ends.", "s", OK, (f"nexo_node_lease_seconds{{{N}}}", "{{instance}}"), min=0),
    panel("timeseries", "Lives and takeovers", "Each node's epoch grows with its restarts; takeovers are dead nodes whose "
          "calls another one settled.", "short", OK, (f"nexo_node_epoch{{{N}}}", "{{instance}} epoch"),
          (f"sum(increase(nexo_node_takeovers_total{{{N}}}[$__rate_interval]))", "takeovers")),
    panel("timeseries", "Configuration reloads", "Reloads on SIGHUP, by outcome. A refused one left the older settings in "
          "force.", "short", rising(1, 1),
          (f"sum by (outcome) (increase(nexo_config_reloads_total{{{N}}}[$__rate_interval]))", "{{outcome}}"), min=0),
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
        query("node", "Node", "label_values(nexo_build_info, instance)"),
        query("carrier", "Carrier", "label_values(nexo_channels_limit, carrier)"),
    ]


def placed(panels):
    """Gives each panel its place: from left to right, in rows of 24."""
    x = y = height = 0
    for number, one in enumerate(panels, 1):
        grid = one["gridPos"]
        if x + grid["w"] > 24 or one["type"] == "row":
            x, y, height = 0, y + height, 0
        grid |= {"x": x, "y": y}
        x, height = x + grid["w"], max(height, grid["h"])
        one["id"] = number
    return panels


def dashboard(uid, title, what, panels):
    return {
        "uid": uid,
        "title": title,
        "description": what,
        "tags": ["nexo"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "links": [{
            "title": "NEXO ROUTE", "type": "dashboards", "tags": ["nexo"], "asDropdown": False, "icon": "external link",
            "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": "",
        }],
        "panels": placed(panels),
    }


DASHBOARDS = {
    "traffic-and-money.json": dashboard(
        "nexo-traffic", "Traffic and money", "Requests, OTPs, what customers were told, and what they paid.", TRAFFIC),
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
        sys.exit(f"not what grafana/make_dashboards.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
