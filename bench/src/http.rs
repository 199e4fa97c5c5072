//! As much of an HTTP/1.1 client as a load generator needs.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const END_OF_CHUNKS: &[u8] = b"\r\n0\r\n\r\n";

/// One kept-alive connection.
pub(crate) struct Connection {
    stream: Box<dyn Socket>,
    buffer: Vec<u8>,
}

trait Socket: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

/// What was seen of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Until the first byte of the body.
    pub(crate) first: Duration,
    /// Until the last byte.
    pub(crate) whole: Duration,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection::over(stream))
    }

    /// To a socket of this machine.
    pub(crate) async fn open_unix(path: &Path) -> io::Result<Connection> {
        Ok(Connection::over(UnixStream::connect(path).await?))
    }

    fn over(stream: impl Socket + 'static) -> Connection {
        Connection {
            stream: Box::new(stream),
            buffer: Vec::with_capacity(64 * 1024),
        }
    }

    /// Sends `request` and reads its answer to the end.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let started = Instant::now();
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let mut head: Option<(usize, Option<usize>)> = None;
        let mut first = None;
        loop {
            if head.is_none() {
                head = find(&self.buffer, END_OF_HEAD).map(|at| {
                    let start = at + END_OF_HEAD.len();
                    (start, content_length(&self.buffer[..start]))
                });
            }
            if let Some((start, length)) = head {
                let body = &self.buffer[start..];
                if !body.is_empty() && first.is_none() {
                    first = Some(started.elapsed());
                }
                let ended = match length {
                    Some(length) => body.len() >= length,
                    None => body.ends_with(END_OF_CHUNKS) || body == b"0\r\n\r\n",
                };
                if ended {
                    let whole = started.elapsed();
                    return Ok(Answer {
                        status: status(&self.buffer),
                        first: first.unwrap_or(whole),
                        whole,
                    });
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The body last read, for answers that say how long it is.
    pub(crate) fn body(&self) -> &[u8] {
        let start = find(&self.buffer, END_OF_HEAD).map_or(0, |at| at + END_OF_HEAD.len());
        &self.buffer[start..]
    }

    /// The answer last read, framing included.
    pub(crate) fn last(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|part| part == needle)
}

pub(crate) fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    })
}

fn status(head: &[u8]) -> u16 {
    head.get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
