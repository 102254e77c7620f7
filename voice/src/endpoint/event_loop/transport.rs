//! Messages between the transports and the user agent.

use std::time::Instant;

use nix::errno::Errno;

use super::EventLoop;
use crate::endpoint::trace::{Direction, TracedMessage, summary};
use crate::net::streams::StreamEvent;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::{CallHandle, Transmit};

impl EventLoop<'_> {
    /// Receives a batch of datagrams. Returns whether there may be more.
    pub(super) fn receive(&mut self) -> bool {
        let more = self.socket.receive();
        let now = Instant::now();
        for (datagram, from) in self.socket.received() {
            let call = self.agent.receive(now, from, datagram);
            self.meters.odd_lines(self.agent.odd_lines(), from.into());
            self.trace(call, Direction::Received, from.into(), datagram, false);
        }
        more
    }

    pub(super) fn handle_stream_event(&mut self, event: StreamEvent) {
        let now = Instant::now();
        match event {
            StreamEvent::Received { from, message } => {
                let call = self.agent.receive(now, from, &message);
                self.meters.odd_lines(self.agent.odd_lines(), from);
                self.trace(call, Direction::Received, from, &message, false);
            }
            StreamEvent::Failed { token } => {
                self.meters.send_error();
                if let Some(call) = token.map(CallHandle::from_token) {
                    self.agent.transport_failed(now, call);
                }
            }
        }
    }

    /// Handles the events and outcomes of the user agent, and sends its messages, until there are no more.
    pub(super) fn flush(&mut self) {
        loop {
            while let Some((handle, event)) = self.agent.poll_event() {
                self.handle_sip_event(handle, event);
            }
            while let Some((handle, outcome)) = self.agent.poll_outcome() {
                self.traces.remove(&handle);
                if let Some(reply) = self.replies.remove(&handle) {
                    // The caller may be gone.
                    let _ = reply.send(outcome);
                }
            }
            self.look_up_next_hops();
            let mut has_sent = false;
            while let Some(transmit) = self.agent.poll_transmit() {
                has_sent = true;
                self.send(transmit);
            }
            if !has_sent {
                break;
            }
            let (agent, meters) = (&mut self.agent, &self.meters);
            self.socket.flush(|transmit, error| {
                meters.send_error();
                // A full buffer loses a datagram as the network might; it is retransmitted.
                let is_full = matches!(error, Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM);
                if let Some(call) = transmit.call.filter(|_| !is_full) {
                    tracing::debug!(to = %transmit.to, %error, "a SIP message could not be sent");
                    agent.transport_failed(Instant::now(), call);
                }
            });
        }
        self.meters.dropped(self.agent.drop_counts());
    }

    /// Sends a message over its connection, or queues it for the UDP socket.
    fn send(&mut self, transmit: Transmit) {
        self.trace(
            transmit.call,
            Direction::Sent,
            transmit.to,
            &transmit.bytes,
            transmit.is_retransmission,
        );
        match (&self.resources.streams, transmit.to.transport.is_reliable()) {
            (_, false) => self.socket.push(transmit),
            (Some(streams), true) => {
                let token = transmit.call.map(CallHandle::token);
                streams.send(transmit.to, token, transmit.bytes);
            }
            (None, true) => {
                if let Some(call) = transmit.call {
                    self.agent.transport_failed(Instant::now(), call);
                }
            }
        }
    }

    fn trace(
        &self,
        call: Option<CallHandle>,
        direction: Direction,
        peer: Hop,
        message: &[u8],
        is_retransmission: bool,
    ) {
        if let Some(trace) = call.and_then(|call| self.traces.get(&call)) {
            // The receiver may be gone.
            let _ = trace.send(TracedMessage {
                at: Instant::now(),
                direction,
                peer,
                summary: summary(message),
                is_retransmission,
            });
        }
    }
}
