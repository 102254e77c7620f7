//! The example of `POST /send-otp` in several languages, one at a time in tabs.

use maud::{Markup, html};

use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::docs as texts;

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

const PHP: &str = r#"<?php
$request = curl_init('{base}/send-otp');
curl_setopt_array($request, [
    CURLOPT_POST => true,
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 10,
    CURLOPT_HTTPHEADER => [
        'Authorization: Bearer ' . getenv('NEXO_KEY'),
        'Content-Type: application/json',
    ],
    CURLOPT_POSTFIELDS => json_encode(['phone' => '+84981234567', 'code' => '482917']),
]);
$answer = curl_exec($request);
if ($answer === false) {
    throw new RuntimeException(curl_error($request));
}
$data = json_decode($answer, true);
if (!$data['ok']) {
    throw new RuntimeException("{$data['error']}: {$data['message']}");
}
echo "calling {$data['id']} via {$data['carrier']}\n";
"#;

const GO: &str = r#"package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	body := strings.NewReader(`{"phone":"+84981234567","code":"482917"}`)
	request, err := http.NewRequest("POST", "{base}/send-otp", body)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("NEXO_KEY"))
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var data struct {
		OK                          bool
		ID, Carrier, Error, Message string
	}
	if err := json.NewDecoder(response.Body).Decode(&data); err != nil {
		log.Fatal(err)
	}
	if !data.OK {
		log.Fatalf("%s: %s", data.Error, data.Message)
	}
	fmt.Println("calling", data.ID, "via", data.Carrier)
}
"#;

/// The command that gives the examples their key: the reader's own test key, masked, or a placeholder.
pub fn key_variable(test_key: Option<&str>) -> String {
    format!("export NEXO_KEY={}", test_key.unwrap_or("sk_test_…"))
}

/// The example in each language. Radio buttons select one without a script; with it, the choice is remembered.
pub fn send_otp(l: Locale, base: &str) -> Markup {
    let curl = send_otp_curl(&format!("{base}/send-otp"), "$NEXO_KEY");
    let fill = |text: &str| text.replace("{base}", base);
    let examples = [
        ("curl", "curl", curl),
        ("node", "Node.js", fill(NODE)),
        ("python", "Python (httpx)", fill(PYTHON)),
        ("php", "PHP", fill(PHP)),
        ("go", "Go", fill(GO)),
    ];
    html! {
        div #examples.tabs role="group" aria-label=(l.t(texts::EXAMPLES)) data-remember="example" {
            @for (index, (id, name, _)) in examples.iter().enumerate() {
                input #{ "example-" (id) } type="radio" name="example" value=(id) checked[index == 0]
                    autocomplete="off";
                label for={ "example-" (id) } { (name) }
            }
            @for (id, _, text) in &examples {
                div.{ "tab-" (id) } { (code_block(l, text)) }
            }
        }
    }
}
