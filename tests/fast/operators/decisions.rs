//! Tests of operator decisions about money. A form that is submitted several times takes effect once.

use futures_util::future::join_all;

use super::{ROOT, operator};
use harness::visitor::{PageResponse, Visitor};
use harness::waiting::{self, BANK, FRIEND};
use harness::{Backend, Gateway, number, per_database};

const LAN: &str = "lan@example.com";
/// The sorted outcomes of a form that is submitted four times concurrently.
const ONCE: [&str; 4] = ["came=before", "came=before", "came=before", "came=done"];

/// The outcome of a form: the query string of the redirect to `page`.
fn outcome_of(seen: &PageResponse, page: &str) -> String {
    assert_eq!(seen.status, 303, "{}", seen.text);
    let (path, query) = seen.location().split_once('?').unwrap();
    assert_eq!(path, page);
    query.to_owned()
}

/// The page with the form to `path`: `page` itself, or the confirmation that it links to.
async fn form_page(operator: &mut Visitor, (page, path): (&str, &str)) -> PageResponse {
    let form = format!("action=\"{path}\"");
    let list = operator.get(page).await;
    if list.text.contains(&form) {
        return list;
    }
    list.must_contain(&format!("href=\"{path}\""));
    let confirmation = operator.get(path).await;
    confirmation.must_contain(&form);
    confirmation
}

/// Opens an operator page, submits its form to `path` and returns the outcome.
async fn decide(
    operator: &mut Visitor,
    (page, path): (&str, &str),
    fields: &[(&str, &str)],
) -> String {
    let form = form_page(operator, (page, path)).await;
    let fields = [fields, &[("form_token", form.form_token().unwrap())]].concat();
    outcome_of(&operator.post(path, &fields).await, page)
}

/// Opens an operator page, submits its form to `path` four times concurrently and returns the sorted outcomes.
async fn decide_at_once(
    operator: &mut Visitor,
    (page, path): (&str, &str),
    fields: &[(&str, &str)],
) -> Vec<String> {
    let form = form_page(operator, (page, path)).await;
    let fields = [fields, &[("form_token", form.form_token().unwrap())]].concat();
    let sent = (0..4).map(|_| {
        let (mut operator, fields) = (operator.clone(), fields.clone());
        async move { outcome_of(&operator.post(path, &fields).await, page) }
    });
    let mut outcomes = join_all(sent).await;
    outcomes.sort();
    outcomes
}

/// Submits a form of a page that was opened before another operator decided.
async fn decide_late(
    operator: &mut Visitor,
    (page, path): (&str, &str),
    fields: &[(&str, &str)],
) -> String {
    let form = operator.get("/dashboard/settings").await;
    let fields = [fields, &[("form_token", form.form_token().unwrap())]].concat();
    outcome_of(&operator.post(path, &fields).await, page)
}

/// The operator's actions in the audit log, latest first.
fn logged_actions(gateway: &Gateway) -> Vec<String> {
    let actions = gateway.nexo(&["operator", "actions"]);
    let actions = actions["actions"].as_array().unwrap();
    let by_operator = actions.iter().filter(|action| action["operator"] == "op@example.com");
    by_operator
        .map(|action| {
            let fields = ["action", "account", "subject", "detail"];
            let values = fields.map(|name| action[name].as_str().unwrap_or("-"));
            values.join(" ")
        })
        .collect()
}

#[per_database]
async fn a_top_up_is_approved_once_and_a_refused_one_is_not_credited(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer(LAN, "0");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/deposits");
    let (id, approved) = waiting::top_up(&gateway, LAN, "10.00");
    let shown = operator.get(&page).await;
    shown.must_contain(&approved).must_contain(LAN).must_contain("$10.00");
    let approve = format!("{page}/{id}/approve");
    let outcomes = decide_at_once(&mut operator, (&page, &approve), &[]).await;
    assert_eq!(outcomes, ONCE);
    assert_eq!(customer.balance().await.0, "10.000");

    let (id, refused) = waiting::top_up(&gateway, LAN, "20.00");
    let shown = operator.get(&page).await;
    assert!(!shown.text.contains(&approved), "{}", shown.text);
    let refuse = format!("{page}/{id}/refuse");
    for (reason, expected) in [(" ", "came=note"), ("no money came", "came=done")] {
        let form = (page.as_str(), refuse.as_str());
        let outcome = decide(&mut operator, form, &[("reason", reason)]).await;
        assert_eq!(outcome, expected, "{reason}");
    }
    for path in [&refuse, &format!("{page}/{id}/approve"), &approve] {
        let late = decide_late(&mut operator, (&page, path), &[("reason", "x")]).await;
        assert_eq!(late, "came=before", "{path}");
    }
    operator.get(&page).await.must_contain("No open top-ups or unmatched payments.");
    assert_eq!(customer.balance().await.0, "10.000");
    assert_eq!(
        logged_actions(&gateway),
        [
            format!("refuse_deposit {LAN} {refused} no money came"),
            format!("approve_deposit {LAN} {approved} 10.000 USD"),
        ]
    );
    gateway.audit();
}

#[per_database]
async fn an_unmatched_payment_is_credited_once_and_a_refused_one_is_not_credited(backend: Backend) {
    let gateway = Gateway::start(backend, &BANK);
    let customer = gateway.customer(LAN, "0");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/deposits");
    let id = waiting::payment(&gateway, "FT1", 250_000).await;
    let shown = operator.get(&page).await;
    shown.must_contain("FT1").must_contain("tien nha");
    let credit = format!("{ROOT}/payments/{id}/credit");
    let form = (page.as_str(), credit.as_str());
    let to_unknown = [("account", "nobody@example.com")];
    let outcome = decide(&mut operator, form, &to_unknown).await;
    assert_eq!(outcome, "came=account");
    let to_lan = [("account", LAN)];
    let outcomes = decide_at_once(&mut operator, form, &to_lan).await;
    assert_eq!(outcomes, ONCE);
    assert_eq!(customer.balance().await.0, "10.000");

    let id = waiting::payment(&gateway, "FT2", 500_000).await;
    let refuse = format!("{ROOT}/payments/{id}/refuse");
    for (note, expected) in [("", "came=note"), ("sent back", "came=done")] {
        let form = (page.as_str(), refuse.as_str());
        let outcome = decide(&mut operator, form, &[("note", note)]).await;
        assert_eq!(outcome, expected, "{note}");
    }
    for path in [&refuse, &format!("{ROOT}/payments/{id}/credit"), &credit] {
        let fields = [("note", "x"), ("account", LAN)];
        let late = decide_late(&mut operator, (&page, path), &fields).await;
        assert_eq!(late, "came=before", "{path}");
    }
    operator.get(&page).await.must_contain("No open top-ups or unmatched payments.");
    assert_eq!(customer.balance().await.0, "10.000");
    assert_eq!(
        logged_actions(&gateway),
        [
            "refuse_payment - FT2 sent back".to_owned(),
            format!("credit_payment {LAN} FT1 10.000 USD"),
        ]
    );
    gateway.audit();
}

#[per_database]
async fn a_month_is_paid_once_and_its_transfer_is_recorded_once(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, LAN).await;
    waiting::commission(&gateway, &mut lan).await;
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/payouts");
    let run = format!("{page}/run");
    let form = (page.as_str(), run.as_str());
    let month = waiting::this_month();
    let fields = [("month", month.as_str())];
    let early = [("month", "9999-12")];
    assert_eq!(
        decide(&mut operator, form, &early).await,
        "came=month",
        "a month that has not started"
    );
    let waiting = decide(&mut operator, form, &fields).await;
    assert_eq!(waiting, "made=0&waiting=1");
    waiting::nominate(&gateway, LAN);
    let outcomes = decide_at_once(&mut operator, form, &fields).await;
    let nothing = "made=0&waiting=0";
    assert_eq!(outcomes, [nothing, nothing, nothing, "made=1&waiting=0"]);
    let listed = gateway.nexo(&["payouts", "list"]);
    assert_eq!(listed["payouts"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(number(&listed.to_string(), "amount"), "0.0044");
    let shown = operator.get(&page).await;
    shown.must_contain(LAN).must_contain("$0.0044").must_contain("970436");

    let id = listed["payouts"][0]["id"].as_str().unwrap();
    let sent = format!("{page}/{id}/sent");
    let form = (page.as_str(), sent.as_str());
    let outcome = decide(&mut operator, form, &[("reference", "two words")]).await;
    assert_eq!(outcome, "came=reference");
    let transfer = [("reference", "FT1")];
    let outcomes = decide_at_once(&mut operator, form, &transfer).await;
    assert_eq!(outcomes, ONCE);
    let shown = operator.get(&page).await;
    shown.must_contain("FT1");
    assert!(!shown.text.contains(&sent), "{}", shown.text);
    lan.get("/dashboard/referrals").await.must_contain(&month);
    assert_eq!(
        logged_actions(&gateway),
        [
            format!("payout_sent {LAN} {month} FT1"),
            format!("payout {LAN} {month} 0.0044 USD to bank"),
        ]
    );
    gateway.audit();
}

#[per_database]
async fn a_referral_is_revoked_once_with_its_pending_commission(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, LAN).await;
    waiting::commission(&gateway, &mut lan).await;
    lan.get("/dashboard/referrals").await.must_contain("$0.0044");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/revocations");
    let id = super::id_of(&gateway, FRIEND);
    let revoke = format!("{page}/{id}");
    let form = (page.as_str(), revoke.as_str());
    let shown = operator.get(&page).await;
    shown.must_contain(FRIEND).must_contain(LAN).must_contain("$0.0044");
    let outcome = decide(&mut operator, form, &[("reason", "")]).await;
    assert_eq!(outcome, "came=note");
    let outcomes = decide_at_once(&mut operator, form, &[("reason", "bots")]).await;
    assert_eq!(outcomes, ONCE);
    let shown = operator.get(&page).await;
    shown.must_contain("bots");
    assert!(!shown.text.contains(&format!("href=\"{revoke}\"")));
    let earned = gateway.nexo(&["referral", "show", "--account", LAN]);
    assert_eq!(number(&earned.to_string(), "pending"), "0.0");
    assert_eq!(logged_actions(&gateway), [format!("revoke_referral {FRIEND} 0.0044 bots")]);
    gateway.audit();
}
