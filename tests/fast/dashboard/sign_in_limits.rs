//! Tests of the limits on guessing: strangers slow down strangers, and not an account's owner.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use harness::mailbox::Mailbox;
use harness::visitor::{PASSWORD, PageResponse, Visitor, app_code, between};
use harness::{Backend, Gateway, per_database};

const EMAIL: &str = "lan@example.com";
const FACTOR: &str = "/dashboard/settings/second-factor";
const STEP: &str = "/auth/second-step";

/// A browser without cookies at this address.
fn at(gateway: &Gateway, address: &str) -> Visitor {
    let mut visitor = Visitor::of(gateway);
    visitor.headers = vec![("X-Forwarded-For".into(), address.to_owned())];
    visitor
}

/// A browser without cookies at an address that was not used before.
fn anywhere(gateway: &Gateway) -> Visitor {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    at(gateway, &format!("198.18.{}.{}", n / 250, n % 250 + 1))
}

async fn change_password(visitor: &mut Visitor, from: &str, to: &str) -> PageResponse {
    let page = "/dashboard/settings";
    let fields = [("present", from), ("new", to)];
    visitor.submit(page, "/dashboard/settings/password", &fields).await
}

/// Repeats an attempt until it is refused with 429. Returns the number of attempts before, all of which got 400. On a
/// slow machine there may be more than the limit's burst, because the limit refills.
async fn attempts_until_refused(mut attempt: impl AsyncFnMut() -> PageResponse) -> usize {
    for count in 0..100 {
        let seen = attempt().await;
        if seen.status == 429 {
            let seconds = seen.header("retry-after").parse::<u64>().unwrap();
            assert!((1..=600).contains(&seconds), "{seconds}");
            return count;
        }
        assert_eq!(seen.status, 400, "{}", seen.text);
    }
    panic!("no attempt is refused");
}

/// Turns the second factor on and returns its secret.
async fn turn_on_factor(visitor: &mut Visitor) -> String {
    let setup = visitor.get(FACTOR).await;
    let secret = between(&setup.text, "name=\"secret\" value=\"", "\"").unwrap();
    let token = setup.form_token().unwrap();
    let code = app_code(secret, 0);
    let fields = [
        ("secret", secret),
        ("code", code.as_str()),
        ("password", PASSWORD),
        ("form_token", token),
    ];
    let done = visitor.post(FACTOR, &fields).await;
    assert_eq!(done.status, 201, "{}", done.text);
    secret.to_owned()
}

#[per_database]
async fn a_stranger_who_guesses_does_not_lock_the_owner_out(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut session = Visitor::signed_up(&gateway, EMAIL).await;
    let mut known = session.clone();
    known.cookies.remove("nexo_session");
    let mut attacker = at(&gateway, "203.0.113.9");
    // The same address, but a browser that signed in before.
    known.headers = attacker.headers.clone();
    for _ in 0..3 {
        let guesses = attempts_until_refused(async || attacker.sign_in(EMAIL, "wrong one").await);
        guesses.await;
        known.cookies.remove("nexo_session");
        let seen = known.sign_in(EMAIL, PASSWORD).await;
        assert_eq!(seen.status, 303, "{}", seen.text);
    }
    // A new browser elsewhere, and the session.
    let mut elsewhere = at(&gateway, "2001:db8::1");
    assert_eq!(elsewhere.sign_in(EMAIL, PASSWORD).await.status, 303);
    let changed = change_password(&mut session, PASSWORD, "another password").await;
    assert_eq!(changed.status, 303, "{}", changed.text);
    // The session that changed the password is still known; the other browser is not any more.
    session.cookies.remove("nexo_session");
    session.headers = attacker.headers.clone();
    let seen = session.sign_in(EMAIL, "another password").await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    known.cookies.remove("nexo_session");
    let guesses = attempts_until_refused(async || known.sign_in(EMAIL, "wrong one").await);
    guesses.await;
}

#[actix_web::test]
async fn a_distributed_guess_is_slowed_down_and_spares_known_browsers_and_sessions() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut session = Visitor::signed_up(&gateway, EMAIL).await;
    let started = Instant::now();
    let (mut allowed, mut refused) = (0, 0);
    let mut attacker = anywhere(&gateway);
    let page = attacker.get("/auth/sign-in").await;
    let token = page.form_token().unwrap().to_owned();
    let fields = [("email", EMAIL), ("password", "wrong password"), ("form_token", token.as_str())];
    while refused < 3 {
        attacker.headers = anywhere(&gateway).headers;
        match attacker.post("/auth/sign-in", &fields).await.status {
            400 => allowed += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
        // One more guess is allowed each 10 s.
        let most = 101 + started.elapsed().as_secs() / 10;
        assert!(allowed <= most, "{allowed} guesses");
    }
    assert!(allowed >= 100, "{allowed}");
    let mut known = session.clone();
    for _ in 0..3 {
        known.cookies.remove("nexo_session");
        assert_eq!(known.sign_in(EMAIL, PASSWORD).await.status, 303);
    }
    let changed = change_password(&mut session, PASSWORD, "another password").await;
    assert_eq!(changed.status, 303, "{}", changed.text);
    // Other accounts are not affected.
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    eve.cookies.clear();
    assert_eq!(eve.sign_in("eve@example.com", PASSWORD).await.status, 303);
}

#[actix_web::test]
async fn a_known_browser_and_a_session_are_limited_too() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut session = Visitor::signed_up(&gateway, EMAIL).await;
    let mut known = session.clone();
    known.cookies.remove("nexo_session");
    let wrong = "wrong password";
    let by_cookie = attempts_until_refused(async || known.sign_in(EMAIL, wrong).await);
    assert!(by_cookie.await >= 10);
    let by_session =
        attempts_until_refused(async || change_password(&mut session, wrong, "new one here").await);
    assert!(by_session.await >= 10);
}

#[actix_web::test]
async fn the_cookie_of_a_known_browser_is_signed_and_out_of_reach_of_scripts() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    Visitor::signed_up(&gateway, EMAIL).await;
    let mut other = Visitor::of(&gateway);
    let seen = other.sign_in(EMAIL, PASSWORD).await;
    let cookies = seen.headers.get_all("set-cookie");
    let cookie = cookies
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .find(|cookie| cookie.starts_with("nexo_browser="))
        .expect("the cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    // A changed signature, and the cookie of another account, prove nothing.
    let value = other.cookies["nexo_browser"].clone();
    let end = if value.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{end}", &value[..value.len() - 1]);
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    let foreign = eve.cookies.remove("nexo_browser").unwrap();
    let mut attacker = at(&gateway, "203.0.113.9");
    let mut n = 0;
    let guesses = attempts_until_refused(async || {
        n += 1;
        let cookie = [&forged, &foreign][n % 2].clone();
        attacker.cookies.insert("nexo_browser".into(), cookie);
        attacker.sign_in(EMAIL, "wrong password").await
    });
    guesses.await;
    // The real cookie has a limit of its own.
    attacker.cookies.insert("nexo_browser".into(), value);
    assert_eq!(attacker.sign_in(EMAIL, PASSWORD).await.status, 303);
}

#[actix_web::test]
async fn codes_are_limited_by_network_and_only_after_the_right_password() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, EMAIL).await;
    let secret = turn_on_factor(&mut lan).await;
    // Tickets that prove no password, from many networks: more than the account's limit.
    let mut real = anywhere(&gateway);
    real.sign_in(EMAIL, PASSWORD).await;
    let ticket = real.cookies["nexo_step"].clone();
    let forged = format!("{}AAAA", &ticket[..ticket.len() - 4]);
    assert_ne!(forged, ticket);
    for _ in 0..35 {
        let mut attacker = anywhere(&gateway);
        attacker.cookies.insert("nexo_step".into(), forged.clone());
        let seen = attacker.submit(STEP, STEP, &[("code", "000000")]).await;
        assert!(matches!(seen.status, 400 | 429), "{}", seen.text);
    }
    // A thief of the password is limited, and the owner elsewhere signs in.
    let mut thief = at(&gateway, "203.0.113.9");
    thief.sign_in(EMAIL, PASSWORD).await;
    let code = [("code", "000000")];
    let guesses = attempts_until_refused(async || thief.submit(STEP, STEP, &code).await);
    assert!((10..20).contains(&guesses.await));
    let mut owner = anywhere(&gateway);
    owner.sign_in(EMAIL, PASSWORD).await;
    let code = app_code(&secret, 1);
    let seen = owner.submit(STEP, STEP, &[("code", &code)]).await;
    assert_eq!((seen.status, seen.location()), (303, "/dashboard"));
}

#[actix_web::test]
async fn requests_of_strangers_neither_block_nor_end_the_owners_reset_link() {
    let mailbox = Mailbox::start();
    let gateway = Gateway::start(Backend::Sqlite, &[("NEXO_MAIL__SMTP_URL", &mailbox.url())]);
    gateway.nexo(&["account", "create", "--email", EMAIL, "--password", PASSWORD]);
    let path = "/auth/reset";
    let form = [("email", EMAIL)];
    let mut owner = anywhere(&gateway);
    assert_eq!(owner.submit(path, path, &form).await.status, 200);
    let email = mailbox.wait_for(EMAIL, 1).await;
    let link = "/auth/new-password?token=";
    let token = between(&email.text, link, "\n").unwrap().trim().to_owned();
    let mut attacker = at(&gateway, "203.0.113.9");
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(attacker.submit(path, path, &form).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    mailbox.wait_for(EMAIL, 4).await;
    let mut elsewhere = anywhere(&gateway);
    assert_eq!(elsewhere.submit(path, path, &form).await.status, 200);
    let fields = [("token", token.as_str()), ("password", "brand new password")];
    let set = owner.submit(&format!("{link}{token}"), "/auth/new-password", &fields).await;
    assert_eq!(set.status, 303, "{}", set.text);
    // This browser is known now.
    let guesses = attempts_until_refused(async || attacker.sign_in(EMAIL, "wrong one").await);
    guesses.await;
    owner.headers = attacker.headers.clone();
    assert_eq!(owner.sign_in(EMAIL, "brand new password").await.status, 303);

    // E-mails to one mailbox are limited over all networks and all of its aliases.
    let mut refused = 0;
    for n in 0..10 {
        let email = format!("lan+{n}@example.com");
        let mut visitor = anywhere(&gateway);
        let seen = visitor.submit(path, path, &[("email", &email)]).await;
        refused += u32::from(seen.status == 429);
    }
    assert!(refused >= 4, "{refused}");
}
