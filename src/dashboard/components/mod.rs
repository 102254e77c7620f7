//! Pieces that several pages draw: fields, tables, charts and the state of records.

mod billing;
pub(super) mod charts;
mod deliveries;
mod elements;
mod examples;
mod fields;
pub(super) mod ladder;
mod limits;
mod table;
mod verifications;
mod webhook_attempts;

pub(super) use billing::{
    bank_text, bucket_name, payment_method_name, payout_address, payout_state, payout_wallet_name,
    referral_state, wallet_summary,
};
pub(super) use deliveries::{
    delivery_table, is_paid_back, net_cost, refund_pill, sandbox_pill, status_name, status_pill,
};
pub(super) use elements::{
    Tone, code_block, copy_button, copy_value, empty_state, error_notice, exact_time,
    message_block, milliseconds, page_head, pill, secret_once, success_notice, time, time_or_never,
    usd, vnd,
};
pub(super) use examples::send_otp_curl;
pub(super) use fields::{Confirmation, Field, button_form, hidden, select};
pub(super) use limits::{quota_name, quota_table};
pub(super) use table::Column::{Actions, Head, Left, Right};
pub(super) use table::{cursor_link, offset_pager, pager, table};
pub(super) use verifications::{
    attempts_left, calls_made, verification_path, verification_pills, verification_status_name,
    verification_table,
};
pub(super) use webhook_attempts::{
    attempt_path, attempt_state, attempt_table, is_finished, replay_button, response_summary,
};
