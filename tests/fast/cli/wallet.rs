//! Tests of `nexo wallet`.

use harness::{Backend, per_database};

use super::nexo::Nexo;

fn credit<'a>(bucket: &'a str, amount: &'a str, reference: &'a str) -> Vec<&'a str> {
    vec![
        "wallet",
        "credit",
        "--account",
        "a@example.com",
        "--bucket",
        bucket,
        "--amount",
        amount,
        "--reference",
        reference,
    ]
}

fn json_line(nexo: &Nexo, arguments: &[&str]) -> String {
    nexo.succeed(&[arguments, &["--json"]].concat())
}

#[per_database]
fn a_credit_goes_to_its_bucket_and_amounts_are_exact(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    assert_eq!(
        json_line(nexo, &credit("balance", "10.00", "INV-1")),
        "{\"balance\":10.000,\"bonus_credit\":0.000,\"free_credit\":0.000,\"total\":10.000}\n"
    );
    assert_eq!(
        json_line(nexo, &credit("bonus", "0.000001", "promo")),
        "{\"balance\":10.000,\"bonus_credit\":0.000001,\"free_credit\":0.000,\"total\":10.000001}\n"
    );
    assert_eq!(
        nexo.succeed(&credit("free", "1", "trial")),
        "Added 1.000 USD to free of a@example.com.\n\
             The wallet holds 11.000001 USD: balance 10.000, bonus 0.000001, free 1.000.\n"
    );
    let audit = nexo.json(&["audit"]);
    assert_eq!(audit["ok"], true);
}

#[per_database]
fn the_same_reference_credits_once(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    let first = json_line(nexo, &credit("balance", "10.00", "INV-1"));
    assert_eq!(json_line(nexo, &credit("balance", "10.00", "INV-1")), first);
    assert_eq!(json_line(nexo, &credit("bonus", "3", "INV-1")), first);
    let stdout = nexo.succeed(&credit("balance", "10.00", "INV-1"));
    assert!(
        stdout.starts_with("Nothing added: reference INV-1 was already credited to"),
        "{stdout}"
    );
    assert!(stdout.contains("holds 10.000 USD"), "{stdout}");
}

#[per_database]
fn an_amount_above_the_maximum_is_bad_usage(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    nexo.succeed(&credit("balance", "9000000000", "a"));
    let error = nexo.fail(2, &credit("balance", "9000000001", "b"));
    assert!(error.contains("larger than 9,000,000,000 dollars"), "{error}");
}

#[test]
fn a_bad_amount_bucket_or_reference_is_bad_usage() {
    let nexo = Nexo::without_database();
    for (amount, message) in [
        ("0", "more than zero"),
        ("-5", "more than zero"),
        ("ten", "digits with at most six decimals"),
        ("1.0000001", "digits with at most six decimals"),
        ("1e3", "digits with at most six decimals"),
    ] {
        let error = nexo.fail(2, &credit("balance", amount, "r"));
        assert!(error.contains(message), "{error}");
    }
    let error = nexo.fail(2, &credit("cash", "1", "r"));
    assert!(error.contains("possible values: balance, bonus, free"), "{error}");
    let error = nexo.fail(2, &credit("balance", "1", "a b"));
    assert!(error.contains("1 to 128 ASCII characters"), "{error}");
}

fn correct<'a>(amount: &'a str, reference: &'a str) -> Vec<&'a str> {
    vec![
        "wallet",
        "correct",
        "--account",
        "a@example.com",
        "--bucket",
        "balance",
        "--amount",
        amount,
        "--reference",
        reference,
        "--note",
        "credited twice",
    ]
}

#[per_database]
fn a_correction_applies_once_and_never_exceeds_the_balance(backend: Backend) {
    let nexo = &Nexo::migrated(backend);
    nexo.account("a@example.com");
    nexo.succeed(&credit("balance", "10.00", "INV-1"));
    let taken =
        "{\"balance\":9.000,\"bonus_credit\":0.000,\"free_credit\":0.000,\"total\":9.000}\n";
    assert_eq!(json_line(nexo, &correct("-1.00", "FIX-1")), taken);
    assert_eq!(json_line(nexo, &correct("-1.00", "FIX-1")), taken);
    let stdout = nexo.succeed(&correct("-2.00", "FIX-1"));
    assert!(
        stdout.starts_with("Nothing corrected: reference FIX-1 was already used for"),
        "{stdout}"
    );
    // Credits and corrections have separate references.
    nexo.succeed(&correct("-1.00", "INV-1"));
    assert_eq!(
        nexo.fail(1, &correct("-8.000001", "FIX-2")),
        "error: the bucket holds 8.000 USD: a correction cannot take more than is there"
    );
    assert_eq!(
        nexo.succeed(&correct("0.5", "FIX-3")),
        "Corrected balance of a@example.com by 0.500 USD.\n\
             The wallet holds 8.500 USD: balance 8.500, bonus 0.000, free 0.000.\n"
    );
    let audit = nexo.json(&["audit"]);
    assert_eq!(audit["ok"], true, "{audit:#}");
    let nexo = Nexo::without_database();
    let error = nexo.fail(2, &correct("0", "r"));
    assert!(error.contains("must not be zero"), "{error}");
}
