//! The API reference: public at `/docs`, and with the reader's own key at `/dashboard/docs`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_domain::otp::Language;

use super::receiver_examples;
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, docs as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader, Visitor};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::Page;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("").get(show));
}

pub fn member_routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/docs").get(show_member));
}

async fn show(visitor: Visitor, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let l = visitor.language;
    let key = match &visitor.signed_in {
        Some((_, account)) => key_hint(&site, account.id).await?,
        None => None,
    };
    let page = Page {
        title: l.say(texts::TITLE),
        place: None,
        status: StatusCode::OK,
        body: reference(l, &site, key.as_deref()),
    };
    Ok(page.answer_public(&visitor))
}

async fn show_member(member: Member, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let key = key_hint(&site, member.id()).await?;
    let body = reference(l, &site, key.as_deref());
    Ok(Page::at(Place::Docs, l.say(texts::TITLE), body).answer(&member))
}

/// How the reader's key looks: its beginning and its last four characters.
async fn key_hint(
    site: &Site,
    account: nexo_domain::ids::AccountId,
) -> Result<Option<String>, Refused> {
    let keys = site.store.keys(Some(account)).await?;
    let mut active: Vec<_> = keys
        .iter()
        .filter(|key| key.revoked_at_ms.is_none())
        .collect();
    active.sort_by_key(|key| (key.test, std::cmp::Reverse(key.created_at_ms)));
    Ok(active.first().map(|key| {
        let prefix = if key.test { "sk_test_" } else { "sk_live_" };
        format!("{prefix}…{}", key.hint)
    }))
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

const ERRORS: [(&str, &str, Text); 15] = [
    ("400", "invalid_request", texts::E_BODY),
    ("400", "invalid_phone", texts::E_PHONE),
    ("400", "invalid_code", texts::E_CODE),
    ("401", "missing_auth", texts::E_AUTH),
    ("401", "invalid_key", texts::E_KEY),
    ("402", "insufficient_balance", texts::E_FUNDS),
    ("403", "ip_not_allowed", texts::E_IP),
    ("404", "not_found", texts::E_NOT_FOUND),
    ("409", "idempotency_conflict", texts::E_CONFLICT),
    ("413", "payload_too_large", texts::E_LARGE),
    ("429", "rate_limited", texts::E_WINDOW),
    ("429", "no_route", texts::E_THROTTLED),
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

const CURL: &str = r#"curl -X POST {base}/send-otp \
  -H "Authorization: Bearer $NEXO_KEY" \
  -H "Content-Type: application/json" \
  -d '{"phone":"+84981234567","code":"482917"}'
"#;

fn code(text: &str) -> Markup {
    html! { pre tabindex="0" { code { (text) } } }
}

fn method(method: &str, path: &str) -> Markup {
    html! { p { span.method { (method) } code { (path) } } }
}

fn reference(l: Language, site: &Site, key: Option<&str>) -> Markup {
    let base = site.public_url.link("/api/v1");
    html! {
        div.head { div {
            h1 { (l.say(texts::TITLE)) }
            p.lead { (l.say(texts::LEAD)) }
        } }
        div.docs {
            nav aria-label=(l.say(texts::CONTENTS)) {
                ol {
                    @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (l.say(name)) } } }
                    li { a href="/docs/openapi" { (l.say(texts::OPENAPI)) } }
                }
            }
            div {
                p { (l.say(texts::BASE)) ": " code { (base) } }
                p {
                    @match key {
                        Some(key) => { (l.tell(texts::YOUR_KEY, &[("key", &key)])) },
                        None => { (l.say(texts::NO_KEY)) },
                    }
                }
                (beginning(l, site, &base))
                (requests(l, &base))
                (rules(l))
                (tables(l))
                section #examples {
                    h2 { (l.say(texts::EXAMPLES)) }
                    @for (name, text) in [("curl", CURL), ("Node.js", NODE), ("Python (httpx)", PYTHON)] {
                        h3 { (name) }
                        (code(&text.replace("{base}", &base)))
                    }
                }
            }
        }
    }
}

fn beginning(l: Language, site: &Site, base: &str) -> Markup {
    let free = site.terms.now().free_credit.get() / site.terms.now().price.get().max(1);
    html! {
        section #quickstart {
            h2 { (l.say(texts::QUICKSTART)) }
            ol {
                li { a href="/auth/sign-up" { (l.tell(texts::QUICKSTART_1, &[("count", &free)])) } }
                li { a href="/dashboard/api-keys" { (l.say(texts::QUICKSTART_2)) } }
                li { (l.say(texts::QUICKSTART_3)) }
            }
            (code(&CURL.replace("{base}", base)))
        }
        section #authentication {
            h2 { (l.say(texts::AUTH)) }
            p { (l.say(texts::AUTH_1)) }
            p { (l.say(texts::AUTH_2)) }
        }
    }
}

fn requests(l: Language, base: &str) -> Markup {
    html! {
        section #send {
            h2 { (l.say(texts::SEND)) }
            (method("POST", "/api/v1/send-otp"))
            p { (l.say(texts::SEND_TELL)) }
            (code("{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"carrier\": \"viettel\",\n  \"status\": \"sent\",\n  \"cost\": 0.022,\n  \"balance\": 9.978,\n  \"total\": 12.044\n}"))
            p { (l.say(texts::IDEMPOTENCY)) }
        }
        section #check {
            h2 { (l.say(texts::CHECK)) }
            (method("GET", "/api/v1/deliveries/{id}"))
            p { (l.say(texts::CHECK_TELL)) }
            (code(&format!("curl {base}/deliveries/8f2e1c4d-… \\\n  -H \"Authorization: Bearer $NEXO_KEY\"")))
            (code("{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"phone\": \"+84981234567\",\n  \"carrier\": \"viettel\",\n  \"status\": \"delivered\",\n  \"cost\": 0.022,\n  \"error_code\": null,\n  \"carrier_status\": \"success\",\n  \"created_at\": \"2026-05-25T10:00:00Z\",\n  \"completed_at\": \"2026-05-25T10:00:25Z\"\n}"))
        }
        section #wallet {
            h2 { (l.say(texts::BALANCE)) }
            (method("GET", "/api/v1/balance"))
            p { (l.say(texts::BALANCE_TELL)) }
            (code("{\n  \"ok\": true,\n  \"currency\": \"USD\",\n  \"balance\": 9.978,\n  \"bonus_credit\": 2.000,\n  \"free_credit\": 0.066,\n  \"total\": 12.044\n}"))
        }
        section #webhooks {
            h2 { (l.say(texts::WEBHOOKS)) }
            p { (l.say(texts::WEBHOOKS_TELL)) }
            (code("POST https://your-app.example/webhooks/nexo\nContent-Type: application/json\nUser-Agent: NEXO-ROUTE/1.0\nX-NEXO-Signature: sha256=<hex>\nX-NEXO-Event-Type: otp.delivered\nX-NEXO-Delivery-Id: <uuid>\n\n{\"type\":\"otp.delivered\",\"id\":\"8f2e1c4d-…\",\"phone\":\"+84981234567\",\"carrier\":\"viettel\",\n \"status\":\"delivered\",\"cost\":0.022,\"error_code\":null,\n \"created_at\":\"2026-05-25T10:00:00Z\",\"completed_at\":\"2026-05-25T10:00:25Z\"}"))
            p { (l.say(texts::WEBHOOKS_SIGN)) }
            (receiver_examples::snippets(l, None))
        }
    }
}

fn rules(l: Language) -> Markup {
    html! {
        section #allowlist {
            h2 { (l.say(texts::ALLOWLIST)) }
            p { (l.say(texts::ALLOWLIST_TELL)) }
        }
        section #referrals {
            h2 { (l.say(texts::REFERRALS)) }
            p { (l.say(texts::REFERRALS_TELL)) }
        }
    }
}

fn tables(l: Language) -> Markup {
    html! {
        section #errors {
            h2 { (l.say(texts::ERRORS)) }
            p { (l.say(texts::ERRORS_TELL)) }
            div.table tabindex="0" role="region" aria-label=(l.say(texts::ERRORS)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::STATUS)) }
                        th scope="col" { (l.say(texts::ERROR)) }
                        th scope="col" { (l.say(texts::MEANING)) }
                    } }
                    tbody { @for (status, error, meaning) in ERRORS {
                        tr { td.number { (status) } td { code { (error) } } td { (l.say(meaning)) } }
                    } }
                }
            }
        }
        section #limits {
            h2 { (l.say(texts::LIMITS)) }
            ul {
                li { (l.say(texts::LIMIT_PHONE)) }
                li { (l.say(texts::LIMIT_KEYS)) }
                li { (l.say(texts::LIMIT_BURST)) }
            }
        }
        section #sandbox {
            h2 { (l.say(texts::SANDBOX)) }
            p { (l.say(texts::SANDBOX_TELL)) }
            div.table tabindex="0" role="region" aria-label=(l.say(texts::SANDBOX)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::ENDS_IN)) }
                        th scope="col" { (l.say(texts::MEANING)) }
                    } }
                    tbody { @for (digits, meaning) in SANDBOX {
                        tr { td.number { (digits) } td { (l.say(meaning)) } }
                    } }
                }
            }
        }
    }
}
