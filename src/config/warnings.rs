//! Warnings about settings that are valid but unsafe. `config check` prints them on standard error, and `serve` logs
//! them at each start and reload.

use nexo_voice::sip::message::hop::Transport;
use url::{Host, Url};

use super::Config;
use super::telephony::carriers::GatewayConfig;

impl Config {
    /// One sentence for each unsafe setting. Contains no secrets.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(host) = public_http_host(&self.server.public_url) {
            warnings.push(format!(
                "server.public_url uses http on the public host {host}: API keys, codes and sessions travel in clear \
                 text; use https"
            ));
        }
        for carrier in &self.carriers {
            for gateway in &carrier.gateways {
                if let Some(transport) = clear_transport(gateway).filter(|_| gateway.srtp) {
                    let (carrier, gateway) = (&carrier.name, &gateway.name);
                    warnings.push(format!(
                        "gateway {gateway} of carrier {carrier} has srtp = true over {transport}: the SRTP keys in \
                         the SDP (SDES) travel in clear text; use transport=tls in its uri"
                    ));
                }
            }
        }
        let unrouted = self.carriers_without_route();
        if !unrouted.is_empty() {
            let names: Vec<&str> = unrouted.iter().map(|carrier| carrier.name()).collect();
            warnings.push(format!(
                "no gateway is configured for {}: OTPs to their numbers get 502 no_route",
                names.join(", ")
            ));
        }
        warnings
    }
}

/// The transport of a gateway's SIP, unless it is TLS.
fn clear_transport(gateway: &GatewayConfig) -> Option<&'static str> {
    let uri = &gateway.uri;
    match uri.transport {
        Some(Transport::Tls) => None,
        Some(Transport::Tcp) => Some("TCP"),
        Some(Transport::Udp) => Some("UDP"),
        None if uri.ip().is_none() && uri.port.is_none() => Some("a transport that DNS selects"),
        None => Some("UDP"),
    }
}

/// The host of an http URL, if customers reach it over a public network.
fn public_http_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    let host = url.host()?;
    is_public(&host).then(|| host.to_string())
}

/// Names that are never public (RFC 6761, RFC 6762, RFC 8375).
const PRIVATE_SUFFIXES: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".test"];

fn is_public(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name.contains('.') && !PRIVATE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        }
        Host::Ipv4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && b & 0xc0 == 64;
            let is_local = ip.is_loopback() || ip.is_unspecified() || ip.is_link_local();
            !(is_local || is_shared || ip.is_private())
        }
        Host::Ipv6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public(&Host::Ipv4(ip)),
            None => {
                let is_local = ip.is_loopback() || ip.is_unspecified();
                !(is_local || ip.is_unique_local() || ip.is_unicast_link_local())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(file: &str) -> Vec<String> {
        let loaded = Config::from_texts(Some(("nexo.toml", file)), []).unwrap();
        let mut warnings = loaded.config.warnings();
        warnings.retain(|warning| !warning.starts_with("no gateway is configured"));
        warnings
    }

    #[test]
    fn http_on_a_public_host_is_warned_about() {
        for (url, is_warned) in [
            ("http://otp.example.com", true),
            ("http://otp.example.com:8080/", true),
            ("http://203.0.113.7", true),
            ("http://[2001:db8::1]", true),
            ("http://[::ffff:203.0.113.7]", true),
            ("https://otp.example.com", false),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://10.1.2.3", false),
            ("http://192.168.1.2", false),
            ("http://172.31.0.1", false),
            ("http://100.64.0.1", false),
            ("http://169.254.1.1", false),
            ("http://[fd00::1]", false),
            ("http://localhost:8080", false),
            ("http://nexo.localhost", false),
            ("http://nexo", false),
            ("http://nexo.internal", false),
        ] {
            let warnings = warnings(&format!("[server]\npublic_url = \"{url}\"\n"));
            assert_eq!(warnings.len(), usize::from(is_warned), "{url}: {warnings:?}");
        }
        assert_eq!(warnings(""), Vec::<String>::new());
    }

    #[test]
    fn srtp_keys_in_clear_text_are_warned_about() {
        for (uri, srtp, transport) in [
            ("sip:203.0.113.10", true, Some("over UDP")),
            ("sip:203.0.113.10:5060;transport=udp", true, Some("over UDP")),
            ("sip:sbc.example.com:5060", true, Some("over UDP")),
            ("sip:sbc.example.com;transport=tcp", true, Some("over TCP")),
            ("sip:sbc.example.com", true, Some("that DNS selects")),
            ("sip:sbc.example.com;transport=tls", true, None),
            ("sip:203.0.113.10", false, None),
        ] {
            let warnings = warnings(&format!(
                "[[carriers]]\nname = \"viettel\"\n[[carriers.gateways]]\nname = \"hn1\"\nuri = \"{uri}\"\nsrtp = {srtp}\n\
                 username = \"nexo\"\npassword = \"s3cret\"\n"
            ));
            match transport {
                None => assert_eq!(warnings, Vec::<String>::new(), "{uri}"),
                Some(transport) => {
                    assert_eq!(warnings.len(), 1, "{uri}: {warnings:?}");
                    assert!(warnings[0].contains(transport), "{uri}: {warnings:?}");
                    assert!(warnings[0].contains("hn1") && warnings[0].contains("viettel"));
                    assert!(!warnings[0].contains("s3cret"));
                }
            }
        }
    }
}
