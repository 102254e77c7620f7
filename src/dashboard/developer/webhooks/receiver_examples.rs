//! Example webhook receivers for the customer's own endpoint.

use maud::{Markup, html};
use nexo_domain::ids::DeliveryId;
use nexo_domain::webhook::test_body;
use url::Url;
use uuid::Uuid;

use crate::dashboard::components::code_block;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::webhooks as texts;

const NODE: &str = r#"import crypto from 'node:crypto';
import http from 'node:http';

// Once at start-up: the plaintext secret never leaves your server.
const KEY = crypto.createHash('sha256')
  .update(process.env.NEXO_WEBHOOK_SECRET, 'utf8').digest('hex');

function verify(rawBody, header) {
  const given = Buffer.from(String(header).replace(/^sha256=/, ''), 'hex');
  const expected = crypto.createHmac('sha256', KEY).update(rawBody).digest();
  return given.length === expected.length && crypto.timingSafeEqual(given, expected);
}

http.createServer((req, res) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const body = Buffer.concat(chunks);
    if (req.url !== '{path}' || !verify(body, req.headers['x-nexo-signature'])) {
      res.writeHead(401).end();
      return;
    }
    res.writeHead(204).end();
    const event = JSON.parse(body);
    console.log(event.type, event);
  });
}).listen(3000);
"#;

const PYTHON: &str = r#"import hashlib, hmac, json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

# Once at start-up: the plaintext secret never leaves your server.
KEY = hashlib.sha256(os.environ["NEXO_WEBHOOK_SECRET"].encode()).hexdigest()

def verify(raw_body: bytes, header: str) -> bool:
    expected = hmac.new(KEY.encode(), raw_body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, header.removeprefix("sha256="))

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        valid = self.path == "{path}" and verify(body, self.headers.get("X-NEXO-Signature", ""))
        self.send_response(204 if valid else 401)
        self.end_headers()
        if valid:
            event = json.loads(body)
            print(event["type"], event, flush=True)

HTTPServer(("", 3000), Receiver).serve_forever()
"#;

const CURL: &str = r#"BODY='{body}'
KEY=$(printf %s "$NEXO_WEBHOOK_SECRET" | sha256sum | cut -d' ' -f1)
SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$KEY" -r | cut -d' ' -f1)
curl -i -X POST '{url}' \
  -H 'Content-Type: application/json' \
  -H "X-NEXO-Signature: sha256=$SIGNATURE" \
  -H 'X-NEXO-Event-Type: webhook.test' \
  -d "$BODY"
"#;

/// The delivery of the event in [`CURL`].
const EXAMPLE_DELIVERY: DeliveryId =
    DeliveryId(Uuid::from_u128(0x8f2e1c4d_0000_4000_8000_000000000001));
/// 2026-01-01T00:00:00Z.
const SENT_AT_MS: i64 = 1_767_225_600_000;

/// The receiver in three languages, each in a collapsible block.
pub fn snippets(l: Locale, url: Option<&str>) -> Markup {
    let url = url.unwrap_or("https://your-app.example/webhooks/nexo");
    // A percent-encoded quote cannot end a string of the examples.
    let url = url.replace('\'', "%27");
    let path = Url::parse(&url).map_or("/".to_owned(), |url| {
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", url.path())
    });
    let fill = |text: &str| {
        text.replace("{path}", &path.replace('"', "%22"))
            .replace("{url}", &url)
            .replace("{body}", &test_body(EXAMPLE_DELIVERY, SENT_AT_MS))
    };
    html! {
        section.card {
            h2 { (l.t(texts::RECEIVER)) }
            p.lead { (l.t(texts::RECEIVER_LEAD)) }
            details.more open {
                summary { "Node.js" }
                (code_block(l, &fill(NODE)))
            }
            details.more {
                summary { "Python" }
                (code_block(l, &fill(PYTHON)))
            }
            details.more {
                summary { (l.t(texts::RECEIVER_CURL)) }
                (code_block(l, &fill(CURL)))
            }
        }
    }
}
