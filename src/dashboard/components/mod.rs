//! Pieces that several pages draw: fields, tables, charts and the state of records.

pub(super) mod billing;
pub(super) mod charts;
pub(super) mod deliveries;
pub(super) mod elements;
pub(super) mod examples;
pub(super) mod fields;
pub(super) mod ladder;
pub(super) mod receiver_examples;
pub(super) mod table;
pub(super) mod webhook_attempts;

pub(super) use elements::{
    Tone, empty_state, error_notice, page_head, pill, secret_once, success_notice, time,
    time_or_never, usd,
};
pub(super) use fields::{Field, button_form, confirmation, select};
pub(super) use table::Column::{Left, Right, Unnamed};
pub(super) use table::{cursor_link, offset_pager, pager, table};
