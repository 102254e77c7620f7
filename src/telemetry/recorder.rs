//! The process's metrics recorder: Prometheus, with buckets chosen for what they measure, and what each
//! metric says in plain words.

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// From an OTP's acceptance in process to a slow disk's commit.
const LATENCY_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];
const BATCH: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0,
];
/// A message is handled in microseconds; what takes longer keeps others waiting.
const HANDLING_SECONDS: &[f64] = &[
    0.000_001, 0.000_005, 0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5,
    1.0, 5.0,
];
/// Carriers ring after a second or several; past ten a customer thinks that nothing happens.
const DIALLING_SECONDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0,
];
/// A code read twice takes some 20 s; no call is longer than a minute.
const CALL_SECONDS: &[f64] = &[
    1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 18.0, 20.0, 25.0, 30.0, 40.0, 60.0,
];
/// Up to 1 % nobody hears; from 5 % digits go missing.
const LOSS_RATIO: &[f64] = &[
    0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0,
];
/// Jitter buffers hold some 60 ms.
const JITTER_SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2,
];
/// ITU-T G.107: 4.3 pleases nearly all, below 3.1 nearly all complain.
const OPINION: &[f64] = &[1.5, 2.0, 2.6, 3.1, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4];
/// A tick is due each millisecond, a packet each 20 ms.
const LATENESS_SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
];

/// The buckets of one metric.
const BUCKETS: &[(&str, &[f64])] = &[
    ("nexo_ledger_batch_postings", BATCH),
    ("nexo_actor_handling_seconds", HANDLING_SECONDS),
    ("nexo_call_accept_seconds", DIALLING_SECONDS),
    ("nexo_call_post_dial_delay_seconds", DIALLING_SECONDS),
    ("nexo_call_first_digit_seconds", DIALLING_SECONDS),
    ("nexo_call_seconds", CALL_SECONDS),
    ("nexo_call_mean_opinion_score", OPINION),
    ("nexo_rtcp_loss_ratio", LOSS_RATIO),
    ("nexo_rtcp_jitter_seconds", JITTER_SECONDS),
    ("nexo_rtp_tick_lateness_seconds", LATENESS_SECONDS),
];

/// Makes Prometheus the process's recorder.
///
/// # Errors
/// When another recorder was installed before.
pub fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_SECONDS)?;
    for (name, buckets) in BUCKETS {
        builder = builder.set_buckets_for_metric(Matcher::Full((*name).into()), buckets)?;
    }
    let handle = builder
        .install_recorder()
        .context("the metrics recorder could not be installed")?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};

    describe_counter!(
        "nexo_http_requests_total",
        "HTTP requests by route and status."
    );
    describe_histogram!(
        "nexo_http_request_seconds",
        "Time to answer an HTTP request, by route and status."
    );
    describe_counter!(
        "nexo_otp_requests_total",
        "OTPs asked for, by carrier and by what the customer was told."
    );
    describe_counter!(
        "nexo_otps_total",
        "OTPs that reached a final state, by carrier and outcome."
    );
    describe_counter!("nexo_otp_refunds_total", "OTPs refunded, by carrier.");
    describe_counter!(
        "nexo_phone_window_rejections_total",
        "OTPs refused because the phone was called less than 30 s ago."
    );
    describe_gauge!(
        "nexo_calls_in_progress",
        "Calls that have been placed and have not ended."
    );
    describe_counter!(
        "nexo_bank_notifications_total",
        "Notifications of the bank, by what became of them."
    );
    describe_counter!("nexo_mail_total", "Letters, by whether they were sent.");
    describe_counter!(
        "nexo_low_balance_notices_total",
        "Accounts that were told that their balance is low."
    );
    describe_counter!(
        "nexo_reviews_opened_total",
        "Suspicious bursts that were put before an operator, by suspicion."
    );
    describe_gauge!(
        "nexo_reviews_open",
        "Suspicious bursts that no operator has decided on."
    );
    describe_gauge!("nexo_channels_used", "Channels in use, by carrier.");
    describe_gauge!(
        "nexo_channels_limit",
        "Channels that may be in use, by carrier."
    );
    describe_gauge!(
        "nexo_gateway_up",
        "Whether a gateway is counted on, by carrier and gateway."
    );
    describe_gauge!(
        "nexo_gateway_registered",
        "Whether we are registered with a gateway that wants it."
    );
    describe_gauge!(
        "nexo_gateway_round_trip_seconds",
        "The way to a gateway and back, as its last probe found it."
    );
    describe_histogram!(
        "nexo_ledger_commit_seconds",
        "Time to commit one batch of postings."
    );
    describe_histogram!("nexo_ledger_batch_postings", "Postings in one commit.");
    describe_counter!("nexo_ledger_debits_total", "Debits posted.");
    describe_counter!(
        "nexo_ledger_debits_refused_total",
        "Debits refused, by reason; nothing was taken."
    );
    describe_counter!("nexo_ledger_refunds_total", "Refunds posted.");
    describe_counter!(
        "nexo_ledger_debited_microdollars_total",
        "What debits have taken, in millionths of a US dollar."
    );
    describe_counter!(
        "nexo_ledger_refunded_microdollars_total",
        "What refunds have given back, in millionths of a US dollar."
    );
    describe_gauge!(
        "nexo_ledger_waiting_postings",
        "Debits and settlements that wait for their commit, by wallet actor."
    );
    describe_gauge!(
        "nexo_wallet_held_usd",
        "What the wallets of all open accounts hold, by bucket, in US dollars. The same on every node."
    );
    describe_gauge!(
        "nexo_wallets",
        "Open accounts that can pay for an OTP (funded), or have paid and no longer can (out_of_funds)."
    );
    describe_gauge!("nexo_price_usd", "What an OTP costs, in US dollars.");
    describe_counter!(
        "nexo_ledger_commit_retries_total",
        "Commits tried again because another writer was in the way."
    );
    describe_counter!(
        "nexo_webhook_attempts_total",
        "Webhook attempts, by outcome."
    );
    describe_histogram!("nexo_webhook_seconds", "Time of one webhook attempt.");
    describe_gauge!(
        "nexo_webhook_backlog",
        "Webhook attempts that wait to be sent."
    );
    describe_gauge!(
        "nexo_webhook_oldest_seconds",
        "How long the webhook attempt has waited that has waited longest, paused endpoints aside."
    );
    describe_gauge!("nexo_webhooks_in_flight", "Webhook POSTs under way.");
    describe_gauge!(
        "nexo_node_lease_valid",
        "Whether this node may take OTPs and dial."
    );
    describe_gauge!(
        "nexo_node_lease_seconds",
        "How long its lease lasts unless it is renewed; 0 on SQLite, where it never ends."
    );
    describe_gauge!("nexo_node_epoch", "The present life of this node.");
    describe_counter!(
        "nexo_node_renewals_failed_total",
        "Renewals of the lease that failed and were tried again."
    );
    describe_counter!(
        "nexo_node_lease_lost_total",
        "How often this node found that it had been taken for dead."
    );
    describe_counter!(
        "nexo_node_takeovers_total",
        "How often this node took over what a dead one had left."
    );
    describe_counter!(
        "nexo_node_taken_deliveries_total",
        "Deliveries of dead nodes that this node has settled."
    );
    describe_counter!(
        "nexo_masked_phones_total",
        "Deliveries whose phone was masked for its age."
    );
    describe_gauge!(
        "nexo_masking_last_run_timestamp_seconds",
        "When phones were last looked through for masking."
    );
    describe_counter!(
        "nexo_actor_restarts_total",
        "Actors replaced after a panic or a freeze."
    );
    describe_gauge!(
        "nexo_actor_mailbox_depth",
        "Messages that wait in an actor's mailbox."
    );
    describe_gauge!(
        "nexo_actor_mailbox_limit",
        "Messages that may wait in an actor's mailbox; past it customers get 503."
    );
    describe_histogram!(
        "nexo_actor_handling_seconds",
        "Time that an actor works on one message."
    );
    describe_gauge!(
        "nexo_ready",
        "Whether /readyz would say yes: this node takes OTPs."
    );
    describe_gauge!(
        "nexo_draining",
        "Whether this node is shutting down: it finishes calls and takes none."
    );
    describe_counter!(
        "nexo_config_reloads_total",
        "Reloads of the configuration on SIGHUP, by outcome."
    );
    describe_gauge!(
        "nexo_config_last_reload_successful",
        "Whether the last reload took effect; 0: the file was refused and the older settings are in force."
    );
    describe_gauge!(
        "nexo_build_info",
        "Always 1; its labels name the version and the node."
    );
    describe_counter!(
        "nexo_idempotent_replays_total",
        "Answers given again to requests with an idempotency key."
    );
    describe_counter!(
        "nexo_reaped_deliveries_total",
        "Deliveries settled because nothing worked on them any more."
    );
    describe_gauge!(
        "nexo_sip_connections",
        "Open SIP connections, by transport."
    );
    describe_counter!(
        "nexo_sip_framing_errors_total",
        "SIP connections closed because what came over them is no SIP."
    );
    describe_counter!(
        "nexo_sip_connections_refused_total",
        "SIP connections from addresses that are no gateway's."
    );
    describe_counter!(
        "nexo_internal_errors_total",
        "Failures that are ours; any is worth an alert."
    );
}
