//! Requests outside calls.

use std::time::Instant;

use tokio::sync::oneshot;

use super::EventLoop;
use crate::endpoint::call::order::CallerId;
use crate::endpoint::out_of_dialog::OutOfDialogRequest;
use crate::sip::user_agent::dialog::DEFAULT_USER;
use crate::sip::user_agent::{RequestKind, RequestOutcome, RequestParams};

impl EventLoop<'_> {
    pub(super) fn send_request(
        &mut self,
        request: OutOfDialogRequest,
        reply: oneshot::Sender<RequestOutcome>,
    ) {
        let local = self.socket.local_for(request.gateway, &self.resources.config);
        let (host, domain) = (&request.gateway_host, &request.gateway_domain);
        let request_uri = format!("sip:{host}");
        let (from_uri, to_uri) = match &request.kind {
            RequestKind::Options => {
                let from_uri = CallerId::from_number(DEFAULT_USER).uri(local);
                (from_uri, request_uri.clone())
            }
            // RFC 3261 §10.2: the request-URI is the registrar, From and To are the registered address.
            RequestKind::Register { user, .. } => {
                let registered = format!("sip:{user}@{domain}");
                (registered.clone(), registered)
            }
        };
        let params = RequestParams {
            kind: request.kind,
            call_id: request.call_id,
            cseq: request.cseq,
            gateway: request.gateway,
            credentials: request.credentials,
            local,
            request_uri,
            from_uri,
            to_uri,
            timeout: request.timeout,
        };
        let handle = self.agent.send_request(Instant::now(), params);
        if let Some(trace) = request.trace {
            self.traces.insert(handle, trace);
        }
        self.replies.insert(handle, reply);
    }
}
