//! Bytes on their way to the client: paced, cut, and broken off as told.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use e2e::behaviour::{Ending, Split};
use http_body::{Body, Frame, SizeHint};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Time for bytes already written to leave before the connection is broken.
const DRAIN: Duration = Duration::from_millis(40);

/// A second handle of a connection's socket, to have it reset instead of closed.
pub(crate) struct Breaker(socket2::Socket);

impl Breaker {
    pub(crate) fn new(stream: &TcpStream) -> io::Result<Breaker> {
        Ok(Breaker(socket2::SockRef::from(stream).try_clone()?))
    }

    /// From now on closing sends a reset.
    pub(crate) fn arm(&self) {
        // Failure leaves an ordinary close, which the test then reports.
        let _ = self.0.set_linger(Some(Duration::ZERO));
    }
}

/// A response body fed through a channel; an error ends the connection.
pub(crate) struct Paced {
    frames: mpsc::Receiver<io::Result<Bytes>>,
    length: Option<u64>,
}

/// The feeding end.
pub(crate) struct Feed {
    frames: mpsc::Sender<io::Result<Bytes>>,
    split: Split,
}

/// The other side has gone.
pub(crate) struct Gone;

pub(crate) fn body(split: Split, length: Option<u64>) -> (Feed, Paced) {
    let (sender, frames) = mpsc::channel(1);
    (
        Feed {
            frames: sender,
            split,
        },
        Paced { frames, length },
    )
}

impl Feed {
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) -> Result<(), Gone> {
        let bytes: Bytes = bytes.into();
        let size = match self.split {
            Split::Byte => 1,
            Split::Seven => 7,
            Split::Event | Split::Whole => bytes.len().max(1),
        };
        for start in (0..bytes.len()).step_by(size) {
            let piece = bytes.slice(start..bytes.len().min(start + size));
            self.frames.send(Ok(piece)).await.map_err(|_| Gone)?;
            // Lets the connection write before the next piece is there.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Ends the body as `ending` says. `Hang` and `Stall` return when the other side has gone.
    pub(crate) async fn end(self, ending: Ending, breaker: &Breaker) {
        match ending {
            Ending::Complete | Ending::Close => {}
            Ending::Hang | Ending::Stall => self.frames.closed().await,
            Ending::Reset | Ending::ResetBeforeHead | Ending::Cut => {
                tokio::time::sleep(DRAIN).await;
                if ending != Ending::Cut {
                    breaker.arm();
                }
                let _ = self
                    .frames
                    .send(Err(io::Error::other("told to break")))
                    .await;
            }
        }
    }

    /// Waits, unless the other side goes away first.
    pub(crate) async fn pause(&self, milliseconds: u64) -> Result<(), Gone> {
        if milliseconds == 0 {
            return Ok(());
        }
        tokio::select! {
            () = self.frames.closed() => Err(Gone),
            () = tokio::time::sleep(Duration::from_millis(milliseconds)) => Ok(()),
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.frames
            .poll_recv(context)
            .map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
