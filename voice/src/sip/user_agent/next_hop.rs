//! Where the requests of a dialog go (RFC 3261 §8.1.2): the host of the first route, else of the target.
//!
//! | the host | requests go to |
//! |---|---|
//! | an address | it |
//! | the gateway's own name and port | the gateway |
//! | another name | its address according to DNS (RFC 3263); the gateway if there is none in [`LOOKUP_TIMEOUT`] |
//!
//! A far end may write any host, so only these are followed: UDP, an address of the gateway's family, and one that is
//! reachable from as far away as the gateway (a gateway with a public address does not lead us into a private
//! network). Everything else, and every request over a connection, goes to the gateway.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Transmit;
use crate::net::scope::Scope;
use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::{Hop, Transport};
use crate::sip::message::uri::SipUri;

/// How long messages wait for the address of a name.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum number of names that are looked up at a time. Requests to further ones go to the gateway.
const MAX_LOOKUPS: usize = 256;

/// The destination of a dialog's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The gateway, until the address of the name is known.
    hop: Hop,
    name: Option<Arc<GatewayUri>>,
    is_resolved: bool,
}

impl From<Hop> for NextHop {
    fn from(hop: Hop) -> NextHop {
        NextHop { hop, name: None, is_resolved: true }
    }
}

impl From<&NextHop> for NextHop {
    fn from(next_hop: &NextHop) -> NextHop {
        next_hop.clone()
    }
}

impl NextHop {
    /// The destination of requests whose first route or target is `uri`. `gateway_uri` is any URI with the host that
    /// led to the gateway.
    pub fn of_uri(uri: &str, gateway: Hop, gateway_uri: &str) -> NextHop {
        let followed = SipUri::parse(uri).filter(|uri| {
            let is_udp = uri.transport() == Some(Transport::Udp);
            gateway.transport == Transport::Udp && is_udp && !uri.is_secure
        });
        let Some(uri) = followed else {
            return gateway.into();
        };
        if let Some(ip) = uri.ip() {
            let port = uri.port.unwrap_or(Transport::Udp.default_port());
            let hop = Hop::from(SocketAddr::new(ip, port));
            return choose(&[hop], gateway).unwrap_or(gateway).into();
        }
        if SipUri::parse(gateway_uri).is_some_and(|known| known.is_at_host_of(&uri)) {
            return gateway.into();
        }
        let host = uri.host.to_ascii_lowercase();
        let name = GatewayUri { host, port: uri.port, transport: Some(Transport::Udp) };
        NextHop { hop: gateway, name: Some(name.into()), is_resolved: false }
    }

    /// The same, with the address of `before` if that had the same name.
    pub fn or_known(self, before: &NextHop) -> NextHop {
        match self.name.is_some() && self.name == before.name {
            true => before.clone(),
            false => self,
        }
    }

    /// The address; that of the gateway as long as the name is not resolved.
    pub fn hop(&self) -> Hop {
        self.hop
    }

    /// Whether requests go to this address.
    pub fn is_at(&self, ip: IpAddr) -> bool {
        self.hop.address.ip().to_canonical() == ip.to_canonical()
    }

    /// The name, as long as it is not resolved.
    pub fn unresolved(&self) -> Option<&Arc<GatewayUri>> {
        self.name.as_ref().filter(|_| !self.is_resolved)
    }

    /// Takes the targets of a name.
    pub fn resolve(&mut self, name: &GatewayUri, targets: &[Hop]) {
        if self.unresolved().is_some_and(|unresolved| **unresolved == *name) {
            self.hop = choose(targets, self.hop).unwrap_or(self.hop);
            self.is_resolved = true;
        }
    }
}

/// The first target that requests of a gateway's dialogs may go to.
fn choose(targets: &[Hop], gateway: Hop) -> Option<Hop> {
    let gateway = gateway.canonical();
    let mut targets = targets.iter().map(|target| target.canonical());
    targets.find(|target| {
        let (ip, from) = (target.address.ip(), gateway.address.ip());
        target.transport == gateway.transport
            && ip.is_ipv4() == from.is_ipv4()
            && Scope::of(ip).is_some_and(|scope| Some(scope) >= Scope::of(from))
    })
}

/// The names being looked up, with the messages that wait for their addresses.
#[derive(Default)]
pub(super) struct Lookups {
    pending: HashMap<Arc<GatewayUri>, Lookup>,
    questions: VecDeque<Arc<GatewayUri>>,
}

struct Lookup {
    until: Instant,
    messages: Vec<Transmit>,
}

impl Lookups {
    /// Keeps a message until the name is resolved. A message that waits already is not kept twice. Returns it if too
    /// many names are looked up.
    pub fn hold(
        &mut self,
        name: &Arc<GatewayUri>,
        message: Transmit,
        now: Instant,
    ) -> Option<Transmit> {
        if !self.pending.contains_key(name) {
            if self.pending.len() == MAX_LOOKUPS {
                return Some(message);
            }
            self.questions.push_back(Arc::clone(name));
        }
        let new = || Lookup { until: now + LOOKUP_TIMEOUT, messages: Vec::new() };
        let messages = &mut self.pending.entry(Arc::clone(name)).or_insert_with(new).messages;
        if !messages.iter().any(|waiting| Arc::ptr_eq(&waiting.bytes, &message.bytes)) {
            messages.push(message);
        }
        None
    }

    /// The next name to look up.
    pub fn poll(&mut self) -> Option<Arc<GatewayUri>> {
        self.questions.pop_front()
    }

    /// The messages that waited for the name, with their destinations.
    pub fn resolve(&mut self, name: &GatewayUri, targets: &[Hop]) -> Vec<Transmit> {
        let lookup = self.pending.remove(name);
        let mut messages = lookup.map_or(Vec::new(), |lookup| lookup.messages);
        for message in &mut messages {
            message.to = choose(targets, message.to).unwrap_or(message.to);
        }
        messages
    }

    /// When the first lookup takes too long.
    pub fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|lookup| lookup.until).min()
    }

    /// A name that was not resolved in time.
    pub fn overdue(&self, now: Instant) -> Option<Arc<GatewayUri>> {
        let mut pending = self.pending.iter();
        pending.find(|(_, lookup)| lookup.until <= now).map(|(name, _)| Arc::clone(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY_URI: &str = "sip:+84981234567@sbc.example.vn";

    fn hop(address: &str) -> Hop {
        address.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn the_address_of_a_uri_is_followed_as_far_as_the_gateway_reaches() {
        let (public, private, local) =
            (hop("203.0.113.9:5060"), hop("10.0.0.9:5060"), hop("127.0.0.1:5070"));
        for (uri, gateway, address) in [
            ("sip:a@192.0.2.1", public, Some("192.0.2.1:5060")),
            ("sip:192.0.2.1:5070;lr", public, Some("192.0.2.1:5070")),
            ("SIP:a@192.0.2.1;transport=UDP", public, Some("192.0.2.1:5060")),
            ("sip:a@[2001:db8::1]:5061", hop("[2001:db8::9]:5060"), Some("[2001:db8::1]:5061")),
            ("sip:a@[2001:db8::1]:5061", public, None),
            ("sip:a@192.0.2.1", hop("[2001:db8::9]:5060"), None),
            ("sip:a@192.0.2.1", hop("[::ffff:203.0.113.9]:5060"), Some("192.0.2.1:5060")),
            ("sip:a@192.0.2.1:0", public, None),
            ("sip:a@0.0.0.0:5060", public, None),
            ("sip:a@255.255.255.255", public, None),
            ("sip:a@239.1.1.1", public, None),
            ("sip:a@10.0.0.1", public, None),
            ("sip:a@127.0.0.1", public, None),
            ("sip:a@169.254.169.254", public, None),
            ("sip:a@10.0.0.1", private, Some("10.0.0.1:5060")),
            ("sip:a@127.0.0.1", private, None),
            ("sip:a@127.0.0.1:9", local, Some("127.0.0.1:9")),
            ("tel:+84981234567", public, None),
            ("sips:a@192.0.2.1", public, None),
            ("sip:a@192.0.2.1;transport=tls", public, None),
            ("sip:a@192.0.2.1;transport=tcp", public, None),
            ("sip:a@192.0.2.1", Hop { transport: Transport::Tcp, ..public }, None),
            ("sip:a@host.example.vn", Hop { transport: Transport::Tcp, ..public }, None),
        ] {
            let expected = address.map_or(gateway, hop);
            assert_eq!(NextHop::of_uri(uri, gateway, GATEWAY_URI), expected.into(), "{uri}");
        }
    }

    #[test]
    fn a_name_is_resolved_unless_it_is_the_gateways_own() {
        let gateway = hop("203.0.113.9:5060");
        let own = NextHop::of_uri("sip:a@SBC.example.vn;lr", gateway, GATEWAY_URI);
        assert_eq!(own, gateway.into());
        let mut next_hop = NextHop::of_uri("sip:a@Core.example.vn:5070", gateway, GATEWAY_URI);
        let name = Arc::clone(next_hop.unresolved().unwrap());
        assert_eq!(name.to_string(), "sip:core.example.vn:5070;transport=udp");
        assert_eq!(next_hop.hop(), gateway);
        let tcp = Hop { transport: Transport::Tcp, ..hop("192.0.2.1:5070") };
        let targets = [hop("[2001:db8::1]:5070"), hop("10.0.0.1:5070"), tcp, hop("192.0.2.2:5070")];
        let before = next_hop.clone();
        next_hop.resolve(&name, &targets);
        assert_eq!((next_hop.hop(), next_hop.unresolved()), (hop("192.0.2.2:5070"), None));
        assert_eq!(before.or_known(&next_hop), next_hop, "known for the rest of the dialog");
        let mut unknown = NextHop::of_uri("sip:a@core.example.vn:5070", gateway, GATEWAY_URI);
        unknown.resolve(&name, &targets[..3]);
        assert_eq!((unknown.hop(), unknown.unresolved()), (gateway, None));
    }
}
