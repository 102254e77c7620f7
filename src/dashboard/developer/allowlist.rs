//! The editor of a key's IP allowlist.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::client_ip::{MAX_ALLOWLIST, allowed, parse_entry};
use nexo_entities::store::accounts::api_keys::Key;

use super::api_keys::key_of;
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, frame, keys as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::problem;
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/api-keys/{id}/allowlist")
            .get(show)
            .post(save),
    );
}

/// Why a list is not saved as it is.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Line { line: usize, entry: String },
    TooMany { count: usize },
    LocksOut,
}

/// The entries of a list as it is typed, one a line; empty lines and what follows a `#` do not count.
fn entries(text: &str) -> Result<Vec<ipnet::IpNet>, Wrong> {
    let mut list = Vec::new();
    for (line, typed) in text.lines().enumerate() {
        let entry = typed.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        let network = parse_entry(entry).map_err(|_| Wrong::Line {
            line: line + 1,
            entry: entry.chars().take(60).collect(),
        })?;
        if !list.contains(&network) {
            list.push(network);
        }
    }
    match list.len() {
        count if count > MAX_ALLOWLIST => Err(Wrong::TooMany { count }),
        _ => Ok(list),
    }
}

fn check(text: &str, address: IpAddr, knows: bool) -> Result<Vec<ipnet::IpNet>, Wrong> {
    let list = entries(text)?;
    match knows || allowed(&list, address) {
        true => Ok(list),
        false => Err(Wrong::LocksOut),
    }
}

async fn show(
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let key = active(&site, &member, &id).await?;
    let text = key.allowlist.join("\n");
    Ok(editor(&member, &key, &text, None))
}

async fn active(site: &Site, member: &Member, id: &str) -> Result<Key, Refused> {
    let key = key_of(site, member, id).await?;
    match key.revoked_at_ms {
        None => Ok(key),
        Some(_) => Err(Refused::not_found(member)),
    }
}

fn editor(member: &Member, key: &Key, text: &str, wrong: Option<&Wrong>) -> HttpResponse {
    let l = member.language();
    let title = l.tell(texts::ALLOWLIST_TITLE, &[("name", &key.name)]);
    let address = member.visitor.address;
    let locks_out = wrong == Some(&Wrong::LocksOut);
    let body = html! {
        section.card {
            h1 { (title) }
            p.lead { (l.tell(texts::ALLOWLIST_LEAD, &[("most", &MAX_ALLOWLIST)])) }
            @if let Some(wrong) = wrong { (told(member, wrong)) }
            form method="post" action={ "/dashboard/api-keys/" (key.id) "/allowlist" } {
                (form_token(member))
                div.field {
                    label for="allowlist" { (l.say(texts::ADDRESSES)) }
                    textarea #allowlist name="allowlist" spellcheck="false" autocapitalize="off"
                        aria-describedby="your-address" { (text) }
                    p.hint #your-address { (l.tell(texts::YOUR_ADDRESS, &[("address", &address)])) }
                }
                @if locks_out {
                    div.check {
                        input #knows type="checkbox" name="knows" value="yes";
                        label for="knows" { (l.say(texts::LOCKS_OUT_CONFIRM)) }
                    }
                }
                div.actions {
                    button type="submit" { (l.say(frame::SAVE)) }
                    a.button.second href="/dashboard/api-keys" { (l.say(frame::CANCEL)) }
                }
            }
        }
    };
    let status = wrong.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST);
    Page::at(Place::ApiKeys, &title, body)
        .with_status(status)
        .answer(member)
}

fn told(member: &Member, wrong: &Wrong) -> Markup {
    let l = member.language();
    let address = member.visitor.address;
    problem(&match wrong {
        Wrong::Line { line, entry } => {
            l.tell(texts::LINE_WRONG, &[("line", line), ("entry", entry)])
        }
        Wrong::TooMany { count } => l.tell(
            texts::LINES_TOO_MANY,
            &[("count", count), ("most", &MAX_ALLOWLIST)],
        ),
        Wrong::LocksOut => l.tell(texts::LOCKS_OUT, &[("address", &address)]),
    })
}

async fn save(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let key = active(&site, &member, &id).await?;
    let text = fields.get("allowlist");
    let list = match check(text, member.visitor.address, fields.has("knows")) {
        Ok(list) => list,
        Err(wrong) => return Ok(editor(&member, &key, text, Some(&wrong))),
    };
    // A single address is kept as it was typed: a range of one is no easier to read.
    let list: Vec<String> = list.iter().map(shown).collect();
    let saved = site
        .store
        .set_allowlist(member.id(), key.id, &list, unix_ms())
        .await?;
    match saved {
        true => Ok(go(
            &member,
            &format!("/dashboard/api-keys?saved={}", key.id),
        )),
        false => Err(Refused::not_found(&member)),
    }
}

fn shown(network: &ipnet::IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_its_bad_line_named() {
        let list = entries("203.0.113.5\n\n10.1.2.3/8  # office\n2001:db8::/32\r\n203.0.113.5");
        let list: Vec<String> = list.unwrap().iter().map(shown).collect();
        assert_eq!(list, ["203.0.113.5", "10.0.0.0/8", "2001:db8::/32"]);
        assert_eq!(
            entries("10.0.0.1\n\nexample.com"),
            Err(Wrong::Line {
                line: 3,
                entry: "example.com".to_owned()
            })
        );
        let many: Vec<String> = (0..51).map(|n| format!("10.0.0.{n}")).collect();
        assert_eq!(entries(&many.join("\n")), Err(Wrong::TooMany { count: 51 }));
        assert_eq!(entries(&many[..50].join("\n")).unwrap().len(), 50);
    }

    #[test]
    fn who_locks_himself_out_is_asked_first() {
        let here: IpAddr = "203.0.113.5".parse().unwrap();
        assert_eq!(check("10.0.0.0/8", here, false), Err(Wrong::LocksOut));
        assert!(check("10.0.0.0/8", here, true).is_ok());
        assert!(check("203.0.113.0/24", here, false).is_ok());
        assert!(check("", here, false).is_ok());
    }
}
