//! The body of an answer, whose end shows that the connection is idle again.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::stream::Activity;

pin_project! {
    /// A body that records its end, whether it was sent or dropped.
    pub(super) struct TrackedBody<B> {
        #[pin]
        body: B,
        end: End,
    }
}

struct End(Activity);

impl Drop for End {
    fn drop(&mut self) {
        self.0.answered(Instant::now());
    }
}

impl<B> TrackedBody<B> {
    pub fn new(body: B, activity: Activity) -> TrackedBody<B> {
        let end = End(activity);
        TrackedBody { body, end }
    }
}

impl<B: MessageBody> MessageBody for TrackedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.project().body.poll_next(cx)
    }
}
