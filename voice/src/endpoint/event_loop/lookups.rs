//! Looks up host names: of next hops for the user agent, and of the media in far ends' descriptions (RFC 4566 §5.7).

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use nexo_domain::call::CallInput;

use super::EventLoop;
use crate::endpoint::call::live_call::MediaPath;
use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::Hop;
use crate::sip::sdp::Agreed;
use crate::sip::user_agent::CallHandle;

impl EventLoop<'_> {
    /// Looks up the names that the user agent needs.
    pub(super) fn look_up_next_hops(&mut self) {
        while let Some(name) = self.agent.poll_lookup() {
            if !self.look_up(Arc::clone(&name)) {
                self.agent.resolve(Instant::now(), &name, &[]);
            }
        }
    }

    /// Returns whether there will be an answer.
    fn look_up(&self, name: Arc<GatewayUri>) -> bool {
        let resolver = self.resources.resolver.as_ref();
        resolver.is_some_and(|resolver| resolver.look_up(name))
    }

    /// Looks up the media host of a call.
    fn look_up_media_host(&mut self, handle: CallHandle, host: String, agreed: Agreed) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        call.lookup = Some(agreed);
        // With a port, only address records are queried (RFC 3263 §4.2).
        let name = Arc::new(GatewayUri { host, port: Some(1), transport: None });
        let waiting = self.media_hosts.entry(Arc::clone(&name)).or_default();
        let is_first = waiting.is_empty();
        if !waiting.contains(&handle) {
            waiting.push(handle);
        }
        if is_first && !self.look_up(Arc::clone(&name)) {
            self.handle_resolved(&name, &[]);
        }
    }

    /// Takes the targets of a name; none if it has no address.
    pub(super) fn handle_resolved(&mut self, name: &Arc<GatewayUri>, targets: &[Hop]) {
        self.agent.resolve(Instant::now(), name, targets);
        for handle in self.media_hosts.remove(name).unwrap_or_default() {
            let Some(call) = self.calls.get_mut(&handle).filter(|call| call.awaits(&name.host))
            else {
                continue;
            };
            match targets.first() {
                Some(target) => {
                    if let Some(path) = call.handle_media_host(target.address.ip()) {
                        self.handle_media_path(handle, path);
                    }
                }
                None => {
                    let error = format_args!("the media host {} has no address", name.host);
                    self.reject_media(handle, &error);
                }
            }
        }
    }

    /// Continues a call after a new media description.
    pub(super) fn handle_media_path(&mut self, handle: CallHandle, path: MediaPath) {
        let Some(call) = self.calls.get(&handle) else {
            return;
        };
        let (stream, update) = (call.stream.stream, call.stream_update());
        let input = match path {
            MediaPath::Ready => CallInput::MediaReady,
            MediaPath::Held => CallInput::Held,
            MediaPath::Unresolved { host, agreed } => {
                return self.look_up_media_host(handle, host, *agreed);
            }
        };
        if let Some(update) = update {
            self.resources.clock.update(stream, update);
        }
        self.step(handle, input);
    }

    /// Ends a call whose media cannot be used.
    pub(super) fn reject_media(&mut self, handle: CallHandle, error: &dyn Display) {
        if let Some(call) = self.calls.get_mut(&handle) {
            call.reject_media(error);
            self.step(handle, CallInput::MediaLost);
        }
    }
}
