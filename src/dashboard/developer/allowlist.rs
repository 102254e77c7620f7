//! The editor of an API key's IP allowlist.

use std::net::IpAddr;

use actix_web::{HttpResponse, web};
use ipnet::IpNet;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::client_ip::{MAX_ALLOWLIST, is_allowed, parse_entry};
use nexo_entities::store::accounts::api_keys::Key;

use super::key::active_key_of;
use crate::dashboard::auth::credentials::form_status;
use crate::dashboard::components::*;
use crate::dashboard::texts::developer::api_keys as texts;
use crate::dashboard::texts::{Translate, frame};
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/api-keys/{id}/allowlist").get(show).post(save));
}

/// Why a list is not saved.
#[derive(Debug, PartialEq, Eq)]
enum AllowlistError {
    Line { line: usize, entry: String },
    TooMany { count: usize },
    LocksOut,
}

/// Parses a list with one entry per line. Empty lines and comments after `#` are ignored.
fn parse_list(text: &str) -> Result<Vec<IpNet>, AllowlistError> {
    let mut list = Vec::new();
    for (line, typed) in text.lines().enumerate() {
        let entry = typed.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        let network = parse_entry(entry).map_err(|_| AllowlistError::Line {
            line: line + 1,
            entry: entry.chars().take(60).collect(),
        })?;
        if !list.contains(&network) {
            list.push(network);
        }
    }
    match list.len() {
        count if count > MAX_ALLOWLIST => Err(AllowlistError::TooMany { count }),
        _ => Ok(list),
    }
}

/// Parses a list. A list without the viewer's own address must be confirmed.
fn check(text: &str, address: IpAddr, is_confirmed: bool) -> Result<Vec<IpNet>, AllowlistError> {
    let list = parse_list(text)?;
    match is_confirmed || is_allowed(&list, address) {
        true => Ok(list),
        false => Err(AllowlistError::LocksOut),
    }
}

async fn show(member: Member, id: Id, site: Site) -> PageResult {
    let key = active_key_of(&site, &member, &id).await?;
    let text = key.allowlist.join("\n");
    Ok(editor(&member, &key, &text, None))
}

fn editor(member: &Member, key: &Key, text: &str, error: Option<&AllowlistError>) -> HttpResponse {
    let l = member.locale();
    let title = l.t_with(texts::ALLOWLIST_TITLE, &[("name", &key.name)]);
    let address = member.visitor.address;
    let locks_out = error == Some(&AllowlistError::LocksOut);
    let body = html! {
        section.card {
            h1 { (title) }
            p.lead { (l.t_with(texts::ALLOWLIST_LEAD, &[("most", &MAX_ALLOWLIST)])) }
            @if let Some(error) = error { (error_message(member, error)) }
            form method="post" action={ "/dashboard/api-keys/" (key.id) "/allowlist" } {
                (form_token(member))
                div.field {
                    label for="allowlist" { (l.t(texts::ADDRESSES)) }
                    textarea #allowlist name="allowlist" spellcheck="false" autocapitalize="off"
                        aria-describedby="your-address" { (text) }
                    p.hint #your-address { (l.t_with(texts::YOUR_ADDRESS, &[("address", &address)])) }
                }
                @if locks_out {
                    div.check {
                        input #knows type="checkbox" name="knows" value="yes";
                        label for="knows" { (l.t(texts::LOCKS_OUT_CONFIRM)) }
                    }
                }
                div.actions {
                    button type="submit" { (l.t(frame::SAVE)) }
                    a.button.second href="/dashboard/api-keys" { (l.t(frame::CANCEL)) }
                }
            }
        }
    };
    Page::new(NavItem::ApiKeys, &title, body).with_status(form_status(error)).respond(member)
}

fn error_message(member: &Member, error: &AllowlistError) -> Markup {
    let l = member.locale();
    let address = member.visitor.address;
    error_notice(&match error {
        AllowlistError::Line { line, entry } => {
            l.t_with(texts::LINE_WRONG, &[("line", line), ("entry", entry)])
        }
        AllowlistError::TooMany { count } => {
            l.t_with(texts::LINES_TOO_MANY, &[("count", count), ("most", &MAX_ALLOWLIST)])
        }
        AllowlistError::LocksOut => l.t_with(texts::LOCKS_OUT, &[("address", &address)]),
    })
}

async fn save(Posted(member, fields): Posted<Member>, id: Id, site: Site) -> PageResult {
    let key = active_key_of(&site, &member, &id).await?;
    let text = fields.get("allowlist");
    let list = match check(text, member.visitor.address, fields.has("knows")) {
        Ok(list) => list,
        Err(error) => return Ok(editor(&member, &key, text, Some(&error))),
    };
    let list: Vec<String> = list.iter().map(entry_text).collect();
    let saved = site.store.accounts().set_allowlist(member.id(), key.id, &list, unix_ms()).await?;
    match saved {
        true => Ok(redirect(&member, &format!("/dashboard/api-keys?saved={}", key.id))),
        false => Err(PageError::not_found(member.locale())),
    }
}

/// A range of one address is written as the address.
fn entry_text(network: &IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_parsed_and_a_bad_line_is_named() {
        let list = parse_list("203.0.113.5\n\n10.1.2.3/8  # office\n2001:db8::/32\r\n203.0.113.5");
        let list: Vec<String> = list.unwrap().iter().map(entry_text).collect();
        assert_eq!(list, ["203.0.113.5", "10.0.0.0/8", "2001:db8::/32"]);
        assert_eq!(
            parse_list("10.0.0.1\n\nexample.com"),
            Err(AllowlistError::Line { line: 3, entry: "example.com".to_owned() })
        );
        let many: Vec<String> = (0..51).map(|n| format!("10.0.0.{n}")).collect();
        assert_eq!(parse_list(&many.join("\n")), Err(AllowlistError::TooMany { count: 51 }));
        assert_eq!(parse_list(&many[..50].join("\n")).unwrap().len(), 50);
    }

    #[test]
    fn a_list_without_the_own_address_needs_confirmation() {
        let here: IpAddr = "203.0.113.5".parse().unwrap();
        assert_eq!(check("10.0.0.0/8", here, false), Err(AllowlistError::LocksOut));
        assert!(check("10.0.0.0/8", here, true).is_ok());
        assert!(check("203.0.113.0/24", here, false).is_ok());
        assert!(check("", here, false).is_ok());
    }
}
