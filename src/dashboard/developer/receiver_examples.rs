//! What a receiver of webhooks looks like, with the reader's own endpoint.

use maud::{Markup, html};
use nexo_domain::ids::DeliveryId;
use nexo_domain::otp::Language;
use nexo_domain::webhook::test_body;
use url::Url;
use uuid::Uuid;

use crate::dashboard::texts::{Say, webhooks as texts};

const NODE: &str = r#"import crypto from 'node:crypto';
import http from 'node:http';

// Once at start-up: the plaintext secret never leaves your server.
const KEY = crypto.createHash('sha256')
  .update(process.env.NEXO_WEBHOOK_SECRET, 'utf8').digest('hex');

function verify(rawBody, header) {
  const given = Buffer.from(String(header).replace(/^sha256=/, ''), 'hex');
  const wanted = crypto.createHmac('sha256', KEY).update(rawBody).digest();
  return given.length === wanted.length && crypto.timingSafeEqual(given, wanted);
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
    wanted = hmac.new(KEY.encode(), raw_body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, header.removeprefix("sha256="))

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        taken = self.path == "{path}" and verify(body, self.headers.get("X-NEXO-Signature", ""))
        self.send_response(204 if taken else 401)
        self.end_headers()
        if taken:
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

/// What the event in [`CURL`] is of.
const NOBODYS: DeliveryId = DeliveryId(Uuid::from_u128(0x8f2e1c4d_0000_4000_8000_000000000001));
/// 2026-01-01T00:00:00Z.
const SENT_AT_MS: i64 = 1_767_225_600_000;

/// The receiver in three languages, each behind its name.
pub fn snippets(l: Language, url: Option<&str>) -> Markup {
    let url = url.unwrap_or("https://your-app.example/webhooks/nexo");
    // A quote in a URL is percent-encoded, so that it ends no string below.
    let url = url.replace('\'', "%27");
    let path = Url::parse(&url).map_or("/".to_owned(), |url| {
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        format!("{}{query}", url.path())
    });
    let of = |text: &str| {
        text.replace("{path}", &path.replace('"', "%22"))
            .replace("{url}", &url)
            .replace("{body}", &test_body(NOBODYS, SENT_AT_MS))
    };
    html! {
        section.card {
            h2 { (l.say(texts::RECEIVER)) }
            p.lead { (l.say(texts::RECEIVER_LEAD)) }
            details.more open {
                summary { "Node.js" }
                pre tabindex="0" { code { (of(NODE)) } }
            }
            details.more {
                summary { "Python" }
                pre tabindex="0" { code { (of(PYTHON)) } }
            }
            details.more {
                summary { (l.say(texts::RECEIVER_CURL)) }
                pre tabindex="0" { code { (of(CURL)) } }
            }
        }
    }
}
