//! What operators decide about money, by the forms of their pages: each once, however often it is sent.

use futures_util::future::join_all;

use super::{ROOT, operator};
use harness::visitor::{Seen, Visitor};
use harness::waiting::{self, BANK, FRIEND};
use harness::{Backend, Gateway, number, per_database};

const LAN: &str = "lan@example.com";
/// What becomes of a form that is sent four times at once.
const ONCE: [&str; 4] = ["came=before", "came=before", "came=before", "came=done"];

/// What the page that a form leads back to is told.
fn told(seen: &Seen, page: &str) -> String {
    assert_eq!(seen.status, 303, "{}", seen.text);
    let (to, told) = seen.location().split_once('?').unwrap();
    assert_eq!(to, page);
    told.to_owned()
}

/// Opens an operator's page and sends its form to `path`; what becomes of it.
async fn decide(
    operator: &mut Visitor,
    (page, path): (&str, &str),
    fields: &[(&str, &str)],
) -> String {
    let shown = operator.get(page).await;
    shown.must_say(&format!("action=\"{path}\""));
    told(&operator.submit(page, path, fields).await, page)
}

/// Opens an operator's page and sends its form to `path` four times at once; what becomes of each, sorted.
async fn decide_at_once(
    operator: &mut Visitor,
    (page, path): (&str, &str),
    fields: &[(&str, &str)],
) -> Vec<String> {
    let shown = operator.get(page).await;
    shown.must_say(&format!("action=\"{path}\""));
    let fields = [fields, &[("form_token", shown.form_token().unwrap())]].concat();
    let sent = (0..4).map(|_| {
        let (mut operator, fields) = (operator.clone(), fields.clone());
        async move { told(&operator.post(path, &fields).await, page) }
    });
    let mut all = join_all(sent).await;
    all.sort();
    all
}

/// Sends a form of a page that was opened before somebody else decided.
async fn decide_late(
    operator: &mut Visitor,
    (page, path): (&str, &str),
    fields: &[(&str, &str)],
) -> String {
    let form = operator.get("/dashboard/settings").await;
    let fields = [fields, &[("form_token", form.form_token().unwrap())]].concat();
    told(&operator.post(path, &fields).await, page)
}

/// What the log says that the operator has done, the latest first.
fn logged(gateway: &Gateway) -> Vec<String> {
    let actions = gateway.nexo(&["operator", "actions"]);
    let actions = actions["actions"].as_array().unwrap();
    let by_operator = actions
        .iter()
        .filter(|action| action["operator"] == "op@example.com");
    by_operator
        .map(|action| {
            let words = ["action", "account", "subject", "detail"];
            let words = words.map(|name| action[name].as_str().unwrap_or("nobody"));
            words.join(" ")
        })
        .collect()
}

#[per_database]
async fn a_top_up_is_approved_once_and_a_refused_one_brings_nothing(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer(LAN, "0");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/deposits");
    let (id, approved) = waiting::top_up(&gateway, LAN, "10.00");
    let shown = operator.get(&page).await;
    shown.must_say(&approved).must_say(LAN).must_say("$10.000");
    let approve = format!("{page}/{id}/approve");
    let came = decide_at_once(&mut operator, (&page, &approve), &[]).await;
    assert_eq!(came, ONCE);
    assert_eq!(customer.balance().await.0, "10.000");

    let (id, refused) = waiting::top_up(&gateway, LAN, "20.00");
    let shown = operator.get(&page).await;
    assert!(!shown.text.contains(&approved), "{}", shown.text);
    let refuse = format!("{page}/{id}/refuse");
    for (reason, came) in [(" ", "came=note"), ("no money came", "came=done")] {
        let form = (page.as_str(), refuse.as_str());
        let told = decide(&mut operator, form, &[("reason", reason)]).await;
        assert_eq!(told, came, "{reason}");
    }
    for path in [&refuse, &format!("{page}/{id}/approve"), &approve] {
        let late = decide_late(&mut operator, (&page, path), &[("reason", "x")]).await;
        assert_eq!(late, "came=before", "{path}");
    }
    operator
        .get(&page)
        .await
        .must_say("No open top-ups or unmatched payments.");
    assert_eq!(customer.balance().await.0, "10.000");
    assert_eq!(
        logged(&gateway),
        [
            format!("refuse_deposit {LAN} {refused} no money came"),
            format!("approve_deposit {LAN} {approved} 10.000 USD"),
        ]
    );
    gateway.audit();
}

#[per_database]
async fn a_payment_that_fits_none_is_credited_once_and_a_refused_one_to_nobody(backend: Backend) {
    let gateway = Gateway::start(backend, &BANK);
    let customer = gateway.customer(LAN, "0");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/deposits");
    let id = waiting::payment(&gateway, "FT1", 250_000).await;
    let shown = operator.get(&page).await;
    shown.must_say("FT1").must_say("tien nha");
    let credit = format!("{ROOT}/payments/{id}/credit");
    let form = (page.as_str(), credit.as_str());
    let to_nobody = [("account", "nobody@example.com")];
    let told = decide(&mut operator, form, &to_nobody).await;
    assert_eq!(told, "came=account");
    let to_lan = [("account", LAN)];
    let came = decide_at_once(&mut operator, form, &to_lan).await;
    assert_eq!(came, ONCE);
    assert_eq!(customer.balance().await.0, "10.000");

    let id = waiting::payment(&gateway, "FT2", 500_000).await;
    let refuse = format!("{ROOT}/payments/{id}/refuse");
    for (note, came) in [("", "came=note"), ("sent back", "came=done")] {
        let form = (page.as_str(), refuse.as_str());
        let told = decide(&mut operator, form, &[("note", note)]).await;
        assert_eq!(told, came, "{note}");
    }
    for path in [&refuse, &format!("{ROOT}/payments/{id}/credit"), &credit] {
        let fields = [("note", "x"), ("account", LAN)];
        let late = decide_late(&mut operator, (&page, path), &fields).await;
        assert_eq!(late, "came=before", "{path}");
    }
    operator
        .get(&page)
        .await
        .must_say("No open top-ups or unmatched payments.");
    assert_eq!(customer.balance().await.0, "10.000");
    assert_eq!(
        logged(&gateway),
        [
            "refuse_payment nobody FT2 sent back".to_owned(),
            format!("credit_payment {LAN} FT1 10.000 USD"),
        ]
    );
    gateway.audit();
}

#[per_database]
async fn a_month_is_paid_once_and_its_transfer_noted_once(backend: Backend) {
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
        "a month that has not begun"
    );
    let waits = decide(&mut operator, form, &fields).await;
    assert_eq!(waits, "made=0&waiting=1");
    waiting::nominate(&gateway, LAN);
    let ran = decide_at_once(&mut operator, form, &fields).await;
    let nothing = "made=0&waiting=0";
    assert_eq!(ran, [nothing, nothing, nothing, "made=1&waiting=0"]);
    let listed = gateway.nexo(&["payouts", "list"]);
    assert_eq!(listed["payouts"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(number(&listed.to_string(), "amount"), "0.0044");
    let shown = operator.get(&page).await;
    shown.must_say(LAN).must_say("$0.0044").must_say("970436");

    let id = listed["payouts"][0]["id"].as_str().unwrap();
    let sent = format!("{page}/{id}/sent");
    let form = (page.as_str(), sent.as_str());
    let told = decide(&mut operator, form, &[("reference", "two words")]).await;
    assert_eq!(told, "came=reference");
    let transfer = [("reference", "FT1")];
    let came = decide_at_once(&mut operator, form, &transfer).await;
    assert_eq!(came, ONCE);
    let shown = operator.get(&page).await;
    shown.must_say("FT1");
    assert!(!shown.text.contains(&sent), "{}", shown.text);
    lan.get("/dashboard/referrals").await.must_say(&month);
    assert_eq!(
        logged(&gateway),
        [
            format!("payout_sent {LAN} {month} FT1"),
            format!("payout {LAN} {month} 0.0044 USD to bank"),
        ]
    );
    gateway.audit();
}

#[per_database]
async fn a_referral_is_revoked_once_with_what_is_pending(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, LAN).await;
    waiting::commission(&gateway, &mut lan).await;
    lan.get("/dashboard/referrals").await.must_say("$0.0044");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/revocations");
    let id = super::id_of(&gateway, FRIEND);
    let revoke = format!("{page}/{id}");
    let form = (page.as_str(), revoke.as_str());
    let shown = operator.get(&page).await;
    shown.must_say(FRIEND).must_say(LAN).must_say("$0.0044");
    let told = decide(&mut operator, form, &[("reason", "")]).await;
    assert_eq!(told, "came=note");
    let came = decide_at_once(&mut operator, form, &[("reason", "bots")]).await;
    assert_eq!(came, ONCE);
    let shown = operator.get(&page).await;
    shown.must_say("bots");
    assert!(!shown.text.contains(&format!("action=\"{revoke}\"")));
    let earned = gateway.nexo(&["referral", "show", "--account", LAN]);
    assert_eq!(number(&earned.to_string(), "pending"), "0.0");
    assert_eq!(
        logged(&gateway),
        [format!("revoke_referral {FRIEND} 0.0044 bots")]
    );
    gateway.audit();
}
