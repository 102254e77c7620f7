//! The process's Prometheus recorder: the buckets of each histogram, and the description of each metric.

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// From an in-memory decision to the commit of a slow disk.
const LATENCY_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0];
/// Messages take microseconds; longer ones delay the others.
const HANDLING_SECONDS: &[f64] = &[
    0.000_001, 0.000_005, 0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5,
    1.0, 5.0,
];
/// Carriers ring after one or more seconds.
const DIALING_SECONDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0];
/// A code read twice takes about 20 s; the longest call a minute.
const CALL_SECONDS: &[f64] =
    &[1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 18.0, 20.0, 25.0, 30.0, 40.0, 60.0];
/// Loss up to 1 % is inaudible; from 5 % digits are lost.
const LOSS_RATIO: &[f64] = &[0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0];
/// Jitter buffers hold about 60 ms.
const JITTER_SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2];
/// Mean opinion score (ITU-T G.107): at 4.3 nearly all users are satisfied, below 3.1 nearly all are not.
const OPINION_SCORE: &[f64] = &[1.5, 2.0, 2.6, 3.1, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4];
/// A tick is due each millisecond, a packet each 20 ms.
const LATENESS_SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

/// The buckets of one metric.
const BUCKETS: &[(&str, &[f64])] = &[
    ("nexo_ledger_batch_postings", BATCH),
    ("nexo_actor_handling_seconds", HANDLING_SECONDS),
    ("nexo_call_accept_seconds", DIALING_SECONDS),
    ("nexo_call_post_dial_delay_seconds", DIALING_SECONDS),
    ("nexo_call_first_digit_seconds", DIALING_SECONDS),
    ("nexo_call_seconds", CALL_SECONDS),
    ("nexo_call_mean_opinion_score", OPINION_SCORE),
    ("nexo_rtcp_loss_ratio", LOSS_RATIO),
    ("nexo_rtcp_jitter_seconds", JITTER_SECONDS),
    ("nexo_rtp_tick_lateness_seconds", LATENESS_SECONDS),
];

/// Installs Prometheus as the process's metrics recorder.
///
/// # Errors
/// If a recorder is installed already.
pub fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_SECONDS)?;
    for (name, buckets) in BUCKETS {
        builder = builder.set_buckets_for_metric(Matcher::Full((*name).into()), buckets)?;
    }
    let handle = builder.install_recorder().context("installing the metrics recorder failed")?;
    describe();
    register_rare_counters();
    Ok(handle)
}

/// Publishes zero for counters that most processes never increase, so that rates over them have data.
fn register_rare_counters() {
    for part in ["webhook", "mail", "sip"] {
        let labels = [("part", part), ("resource", "descriptors")];
        metrics::counter!("nexo_shortages_total", &labels).increment(0);
    }
    for reason in ["slow_request", "slow_reader", "idle"] {
        metrics::counter!("nexo_http_connections_closed_total", "reason" => reason).increment(0);
    }
}

const COUNTERS: &[(&str, &str)] = &[
    (
        "nexo_reads_refused_total",
        "Lists, pages and exports refused because too much was read at the same time, by limit.",
    ),
    (
        "nexo_exports_stalled_total",
        "CSV exports ended because the client took nothing and another export needed the place.",
    ),
    (
        "nexo_http_requests_paced_total",
        "Answers that waited because their caller sent more free requests than its rate.",
    ),
    ("nexo_http_requests_total", "HTTP requests by route and status."),
    ("nexo_http_parse_errors_total", "Requests that the HTTP parser refused, by status."),
    (
        "nexo_log_lines_suppressed_total",
        "Warnings and errors that were not logged because the same line was written too often.",
    ),
    (
        "nexo_otp_requests_total",
        "OTP requests, by carrier, answer and realm: live over the carrier's trunk, sandbox if no phone rings.",
    ),
    ("nexo_otps_total", "OTPs in a final state, by carrier, outcome and realm."),
    ("nexo_otp_refunds_total", "OTPs refunded, by carrier and realm."),
    (
        "nexo_phone_window_rejections_total",
        "OTPs refused because the phone was called less than 30 s ago.",
    ),
    ("nexo_bank_notifications_total", "Bank notifications, by outcome."),
    ("nexo_mail_total", "E-mails, by whether they were sent."),
    (
        "nexo_http_connections_refused_total",
        "HTTP connections refused, by the limit that was reached: total or address.",
    ),
    (
        "nexo_http_connections_closed_total",
        "HTTP connections closed, by reason: slow_request, slow_reader or idle.",
    ),
    (
        "nexo_shortages_total",
        "Operations postponed because this host lacked a resource, by part and resource.",
    ),
    ("nexo_low_balance_notices_total", "Low-balance notices sent to accounts."),
    (
        "nexo_reviews_opened_total",
        "Reviews of suspicious bursts opened for operators, by suspicion.",
    ),
    (
        "nexo_verifications_total",
        "Verifications, by what happened to them: started, approved, failed, expired, or canceled by a request.",
    ),
    (
        "nexo_verification_checks_total",
        "Checks of verifications' codes, by result: right, wrong, or closed, when nothing was compared.",
    ),
    ("nexo_ledger_debits_total", "Debits posted."),
    ("nexo_ledger_debits_refused_total", "Debits refused, by reason; nothing was charged."),
    ("nexo_ledger_refunds_total", "Refunds posted."),
    ("nexo_ledger_debited_microdollars_total", "Sum of debits in millionths of a US dollar."),
    ("nexo_ledger_refunded_microdollars_total", "Sum of refunds in millionths of a US dollar."),
    ("nexo_ledger_commit_retries_total", "Commits retried because of a concurrent writer."),
    ("nexo_webhook_attempts_total", "Webhook attempts, by outcome."),
    ("nexo_node_renewals_failed_total", "Failed renewals of the lease; each is retried."),
    (
        "nexo_node_lease_lost_total",
        "Times this node found that another node had taken over its deliveries.",
    ),
    ("nexo_node_takeovers_total", "Takeovers of dead nodes by this node."),
    ("nexo_node_taken_deliveries_total", "Deliveries of dead nodes that this node settled."),
    (
        "nexo_masked_phones_total",
        "Deliveries and verifications whose phone was masked after the retention period.",
    ),
    (
        "nexo_deleted_test_records_total",
        "OTPs of test keys and test events deleted after the retention period.",
    ),
    (
        "nexo_quota_refusals_total",
        "Actions refused because a quota or rate of free actions was used up, by quota.",
    ),
    (
        "nexo_free_credits_total",
        "New accounts, by whether they received free credit: granted, mailbox_had_one, daily_limit or not_offered.",
    ),
    ("nexo_actor_restarts_total", "Actors restarted after a panic or a freeze."),
    ("nexo_config_reloads_total", "Reloads of the configuration on SIGHUP, by outcome."),
    ("nexo_hook_requests_total", "Requests of auth servers, by kind of integration and outcome."),
    ("nexo_idempotent_replays_total", "Answers replayed for requests with an idempotency key."),
    ("nexo_reaped_deliveries_total", "Deliveries settled because no saga was working on them."),
    ("nexo_sip_framing_errors_total", "SIP connections closed because of malformed data."),
    ("nexo_sip_connections_refused_total", "SIP connections refused from addresses of no gateway."),
    ("nexo_internal_errors_total", "Internal errors; any of them should raise an alert."),
];

const GAUGES: &[(&str, &str)] = &[
    ("nexo_calls_in_progress", "Calls placed and not ended."),
    ("nexo_reviews_open", "Reviews without an operator's decision."),
    ("nexo_channels_used", "Channels in use, by carrier."),
    ("nexo_channels_limit", "Channel limit, by carrier."),
    ("nexo_gateway_up", "Whether a gateway is used for calls, by carrier and gateway."),
    ("nexo_gateway_registered", "Whether we are registered with a gateway that requires it."),
    ("nexo_gateway_round_trip_seconds", "Round trip of the last probe of a gateway."),
    (
        "nexo_ledger_waiting_postings",
        "Debits and settlements waiting for a commit, by wallet actor.",
    ),
    (
        "nexo_wallet_held_usd",
        "Sum of the wallets of all open accounts, by bucket, in US dollars. The same on every node.",
    ),
    (
        "nexo_wallets",
        "Open accounts that can pay for an OTP (funded), or have paid and no longer can (out_of_funds).",
    ),
    ("nexo_price_usd", "Price of an OTP in US dollars."),
    ("nexo_webhook_backlog", "Webhook attempts waiting to be sent."),
    (
        "nexo_webhook_oldest_seconds",
        "Age of the oldest waiting webhook attempt, without paused endpoints.",
    ),
    ("nexo_webhooks_in_flight", "Webhook POSTs in progress."),
    ("nexo_node_lease_valid", "Whether this node may accept OTPs and dial."),
    (
        "nexo_node_lease_seconds",
        "Time until the lease ends unless it is renewed; 0 on SQLite, where it never ends.",
    ),
    ("nexo_node_epoch", "Current epoch of this node."),
    ("nexo_masking_last_run_timestamp_seconds", "Time of the last masking run."),
    (
        "nexo_retention_last_run_timestamp_seconds",
        "Time of the last run that deleted old test records.",
    ),
    ("nexo_actor_mailbox_depth", "Messages waiting in an actor's mailbox."),
    ("nexo_actor_mailbox_limit", "Mailbox capacity of an actor; beyond it customers get 503."),
    (
        "nexo_database_disk_full",
        "Whether the disk under the database is full, so that OTPs are refused.",
    ),
    ("nexo_exports_in_progress", "CSV exports in progress."),
    ("nexo_ready", "Whether /readyz answers 200: this node accepts OTPs."),
    ("nexo_draining", "Whether this node is shutting down: it finishes calls and accepts none."),
    (
        "nexo_config_last_reload_successful",
        "Whether the last reload took effect; 0: it was refused and the previous settings stay in force.",
    ),
    (
        "nexo_sandbox_serves_live",
        "Whether the built-in sandbox answers live keys, because no carrier has a gateway: no phone rings.",
    ),
    ("nexo_build_info", "Always 1; its labels name the version, the node and the site's URL."),
    ("nexo_http_connections", "Open HTTP connections of the API and the dashboard."),
    ("nexo_http_connections_limit", "Most HTTP connections of the API and the dashboard."),
    ("nexo_sip_connections", "Open SIP connections, by transport."),
];

const HISTOGRAMS: &[(&str, &str)] = &[
    ("nexo_http_request_seconds", "Time to answer an HTTP request, by route and status."),
    ("nexo_ledger_commit_seconds", "Time to commit one batch of postings."),
    ("nexo_ledger_batch_postings", "Postings in one commit."),
    ("nexo_webhook_seconds", "Time of one webhook attempt."),
    ("nexo_actor_handling_seconds", "Time an actor takes to handle one message."),
];

fn describe() {
    for (name, description) in COUNTERS {
        metrics::describe_counter!(*name, *description);
    }
    for (name, description) in GAUGES {
        metrics::describe_gauge!(*name, *description);
    }
    for (name, description) in HISTOGRAMS {
        metrics::describe_histogram!(*name, *description);
    }
}
