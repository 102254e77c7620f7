//! The API reference: public at `/docs`, and with the member's own key at `/dashboard/docs`.

use actix_web::web;
use maud::{Markup, html};
use nexo_domain::ids::AccountId;

use super::key::masked;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::docs as texts;
use crate::dashboard::texts::{Text, Translate};
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("").get(show));
}

pub fn member_routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/docs").get(show_member));
}

async fn show(visitor: Visitor, site: Site) -> PageResult {
    let key = match &visitor.signed_in {
        Some((_, account)) => {
            let refused = |error| PageError::new(ErrorKind::TooManyReads(error), visitor.locale);
            let _turn = site.read_limits.read(account.id).await.map_err(refused)?;
            masked_key(&site, account.id).await?
        }
        None => None,
    };
    let body = reference(visitor.locale, &site, key.as_deref());
    Ok(public_page(&visitor, texts::TITLE, body))
}

async fn show_member(member: Member, site: Site) -> PageResult {
    let l = member.locale();
    let key = masked_key(&site, member.id()).await?;
    let body = reference(l, &site, key.as_deref());
    Ok(Page::new(NavItem::Docs, l.t(texts::TITLE), body).respond(&member))
}

/// The account's newest active key, masked. A test key comes before live keys, because the examples name a number that
/// may be somebody's.
async fn masked_key(site: &SiteState, account: AccountId) -> Result<Option<String>, PageError> {
    let keys = site.store.accounts().keys(Some(account)).await?;
    let active = keys.iter().filter(|key| key.revoked_at_ms.is_none());
    let preferred = active.min_by_key(|key| (!key.test, std::cmp::Reverse(key.created_at_ms)));
    Ok(preferred.map(masked))
}

const SECTIONS: [(&str, Text); 12] = [
    ("quickstart", texts::QUICKSTART),
    ("authentication", texts::AUTH),
    ("send", texts::SEND),
    ("check", texts::CHECK),
    ("wallet", texts::BALANCE),
    ("webhooks", texts::WEBHOOKS),
    ("allowlist", texts::ALLOWLIST),
    ("referrals", texts::REFERRALS),
    ("errors", texts::ERRORS),
    ("limits", texts::LIMITS),
    ("sandbox", texts::SANDBOX),
    ("examples", texts::EXAMPLES),
];

const ERRORS: [(&str, &str, Text); 18] = [
    ("400", "invalid_request", texts::E_BODY),
    ("400", "invalid_phone", texts::E_PHONE),
    ("400", "invalid_code", texts::E_CODE),
    ("401", "missing_auth", texts::E_AUTH),
    ("401", "invalid_key", texts::E_KEY),
    ("402", "insufficient_balance", texts::E_FUNDS),
    ("403", "account_suspended", texts::E_SUSPENDED),
    ("403", "ip_not_allowed", texts::E_IP),
    ("404", "not_found", texts::E_NOT_FOUND),
    ("409", "idempotency_conflict", texts::E_CONFLICT),
    ("413", "payload_too_large", texts::E_LARGE),
    ("429", "rate_limited", texts::E_WINDOW),
    ("429", "quota_exceeded", texts::E_QUOTA),
    ("429", "no_route", texts::E_THROTTLED),
    ("429", "too_many_requests", texts::E_TOO_MANY),
    ("500", "internal", texts::E_INTERNAL),
    ("502", "no_route", texts::E_ROUTE),
    ("503", "overloaded", texts::E_OVERLOADED),
];

const SANDBOX: [(&str, Text); 10] = [
    ("90", texts::S90),
    ("91", texts::S91),
    ("92", texts::S92),
    ("93", texts::S93),
    ("94", texts::S94),
    ("95", texts::S95),
    ("96", texts::S96),
    ("97", texts::S97),
    ("98", texts::S98),
    ("99", texts::S99),
];

const NODE: &str = r#"const res = await fetch('{base}/send-otp', {
  method: 'POST',
  headers: {
    'Authorization': `Bearer ${process.env.NEXO_KEY}`,
    'Content-Type': 'application/json',
  },
  body: JSON.stringify({ phone: '+84981234567', code: '482917' }),
});
const data = await res.json();
if (!data.ok) throw new Error(`${data.error}: ${data.message}`);
console.log('calling', data.id, 'via', data.carrier);
"#;

const PYTHON: &str = r#"import os, httpx

r = httpx.post(
    "{base}/send-otp",
    headers={"Authorization": f"Bearer {os.environ['NEXO_KEY']}"},
    json={"phone": "+84981234567", "code": "482917"},
    timeout=10.0,
)
data = r.json()
if not data["ok"]:
    raise SystemExit(f"{data['error']}: {data['message']}")
print("calling", data["id"], "via", data["carrier"])
"#;

fn curl_example(base: &str) -> String {
    send_otp_curl(&format!("{base}/send-otp"), "$NEXO_KEY")
}

fn code(text: &str) -> Markup {
    html! { pre tabindex="0" { code { (text) } } }
}

fn method(method: &str, path: &str) -> Markup {
    html! { p { span.method { (method) } code { (path) } } }
}

fn reference(l: Locale, site: &SiteState, key: Option<&str>) -> Markup {
    let base = site.public_url.link("/api/v1");
    html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), html! {}))
        div.docs {
            nav aria-label=(l.t(texts::CONTENTS)) {
                ol {
                    @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (l.t(name)) } } }
                    li { a href="/docs/openapi" { (l.t(texts::OPENAPI)) } }
                }
            }
            div {
                p { (l.t(texts::BASE)) ": " code { (base) } }
                p {
                    @match key {
                        Some(key) => { (l.t_with(texts::YOUR_KEY, &[("key", &key)])) },
                        None => { (l.t(texts::NO_KEY)) },
                    }
                }
                (introduction(l, site, &base))
                (requests(l, &base))
                (rules(l))
                (tables(l))
                section #examples {
                    h2 { (l.t(texts::EXAMPLES)) }
                    h3 { "curl" }
                    (code(&curl_example(&base)))
                    @for (name, text) in [("Node.js", NODE), ("Python (httpx)", PYTHON)] {
                        h3 { (name) }
                        (code(&text.replace("{base}", &base)))
                    }
                }
            }
        }
    }
}

fn introduction(l: Locale, site: &SiteState, base: &str) -> Markup {
    let free = site.free_otps();
    html! {
        section #quickstart {
            h2 { (l.t(texts::QUICKSTART)) }
            ol {
                li { a href="/auth/sign-up" { (l.t_with(texts::QUICKSTART_1, &[("count", &free)])) } }
                li { a href="/dashboard/api-keys" { (l.t(texts::QUICKSTART_2)) } }
                li { (l.t(texts::QUICKSTART_3)) }
            }
            (code(&curl_example(base)))
        }
        section #authentication {
            h2 { (l.t(texts::AUTH)) }
            p { (l.t(texts::AUTH_1)) }
            p { (l.t(texts::AUTH_2)) }
        }
    }
}

fn requests(l: Locale, base: &str) -> Markup {
    html! {
        section #send {
            h2 { (l.t(texts::SEND)) }
            (method("POST", "/api/v1/send-otp"))
            p { (l.t(texts::SEND_TEXT)) }
            (code("{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"carrier\": \"viettel\",\n  \"status\": \"sent\",\n  \"cost\": 0.022,\n  \"balance\": 9.978,\n  \"total\": 12.044\n}"))
            p { (l.t(texts::IDEMPOTENCY)) }
        }
        section #check {
            h2 { (l.t(texts::CHECK)) }
            (method("GET", "/api/v1/deliveries/{id}"))
            p { (l.t(texts::CHECK_TEXT)) }
            (code(&format!("curl {base}/deliveries/8f2e1c4d-… \\\n  -H \"Authorization: Bearer $NEXO_KEY\"")))
            (code("{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"phone\": \"+84981234567\",\n  \"carrier\": \"viettel\",\n  \"status\": \"delivered\",\n  \"cost\": 0.022,\n  \"error_code\": null,\n  \"carrier_status\": \"success\",\n  \"created_at\": \"2026-05-25T10:00:00Z\",\n  \"completed_at\": \"2026-05-25T10:00:25Z\"\n}"))
        }
        section #wallet {
            h2 { (l.t(texts::BALANCE)) }
            (method("GET", "/api/v1/balance"))
            p { (l.t(texts::BALANCE_TEXT)) }
            (code("{\n  \"ok\": true,\n  \"currency\": \"USD\",\n  \"balance\": 9.978,\n  \"bonus_credit\": 2.000,\n  \"free_credit\": 0.066,\n  \"total\": 12.044\n}"))
        }
        section #webhooks {
            h2 { (l.t(texts::WEBHOOKS)) }
            p { (l.t(texts::WEBHOOKS_TEXT)) }
            (code("POST https://your-app.example/webhooks/nexo\nContent-Type: application/json\nUser-Agent: NEXO-ROUTE/1.0\nX-NEXO-Signature: sha256=<hex>\nX-NEXO-Event-Type: otp.delivered\nX-NEXO-Delivery-Id: <uuid>\n\n{\"type\":\"otp.delivered\",\"id\":\"8f2e1c4d-…\",\"phone\":\"+84981234567\",\"carrier\":\"viettel\",\n \"status\":\"delivered\",\"cost\":0.022,\"error_code\":null,\n \"created_at\":\"2026-05-25T10:00:00Z\",\"completed_at\":\"2026-05-25T10:00:25Z\"}"))
            p { (l.t(texts::WEBHOOKS_SIGN)) }
            (receiver_examples::snippets(l, None))
        }
    }
}

fn rules(l: Locale) -> Markup {
    html! {
        section #allowlist {
            h2 { (l.t(texts::ALLOWLIST)) }
            p { (l.t(texts::ALLOWLIST_TEXT)) }
        }
        section #referrals {
            h2 { (l.t(texts::REFERRALS)) }
            p { (l.t(texts::REFERRALS_TEXT)) }
        }
    }
}

fn tables(l: Locale) -> Markup {
    html! {
        section #errors {
            h2 { (l.t(texts::ERRORS)) }
            p { (l.t(texts::ERRORS_TEXT)) }
            (table(l, texts::ERRORS, [
                Left(texts::STATUS), Head(texts::ERROR), Left(texts::MEANING),
            ], ERRORS.map(|(status, error, meaning)| [
                html! { (status) }, html! { code { (error) } }, html! { (l.t(meaning)) },
            ])))
        }
        section #limits {
            h2 { (l.t(texts::LIMITS)) }
            ul {
                li { (l.t(texts::LIMIT_PHONE)) }
                li { (l.t(texts::LIMIT_KEYS)) }
                li { (l.t(texts::LIMIT_BURST)) }
            }
        }
        section #sandbox {
            h2 { (l.t(texts::SANDBOX)) }
            p { (l.t(texts::SANDBOX_TEXT)) }
            (table(l, texts::SANDBOX, [Head(texts::ENDS_IN), Left(texts::MEANING)],
                SANDBOX.map(|(digits, meaning)| [html! { (digits) }, html! { (l.t(meaning)) }])))
        }
    }
}
