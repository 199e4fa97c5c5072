//! Sockets: bind, accept, speak HTTP/1.1, end in order.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Address;

/// Connections of one listener; more are closed at once.
const CONNECTIONS_MAX: usize = 4_096;
/// How long running requests may take once the service ends.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after a failed accept (out of descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) type Answer = Response<Full<Bytes>>;

/// A bound socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A bound socket between two runtimes.
pub(crate) enum StdListener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Listener {
    /// Binds `address`. A socket file left by a service that died is replaced; one that is still
    /// answered is not.
    pub(crate) async fn bind(address: &Address) -> io::Result<Listener> {
        match address {
            Address::Tcp(address) => Ok(Listener::Tcp(TcpListener::bind(address).await?)),
            Address::Unix(path) => Ok(Listener::Unix(bind_unix(path)?)),
        }
    }

    /// Frees the socket from this runtime, for [`Listener::from_std`] in another.
    pub(crate) fn into_std(self) -> io::Result<StdListener> {
        Ok(match self {
            Listener::Tcp(listener) => StdListener::Tcp(listener.into_std()?),
            Listener::Unix(listener) => StdListener::Unix(listener.into_std()?),
        })
    }

    /// Takes a socket into the present runtime.
    pub(crate) fn from_std(listener: StdListener) -> io::Result<Listener> {
        Ok(match listener {
            StdListener::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            StdListener::Unix(listener) => Listener::Unix(UnixListener::from_std(listener)?),
        })
    }

    /// Accepts until `ending` turns true, then lets running requests finish.
    pub(crate) async fn serve<H, F>(self, mut ending: watch::Receiver<bool>, handler: H)
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let told = ending.clone();
        loop {
            tokio::select! {
                () = ended(&mut ending) => break,
                Some(_) = connections.join_next() => {}
                accepted = self.accept() => match accepted {
                    Ok(_) if connections.len() >= CONNECTIONS_MAX => {}
                    Ok(stream) => {
                        connections.spawn(connection(stream, told.clone(), handler.clone()));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        let all = async { while connections.join_next().await.is_some() {} };
        // What has not finished by then is cut.
        let _late = tokio::time::timeout(DRAIN, all).await;
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Listener::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

/// Waits for the end. A sender that is gone has ended too.
async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ended = ending.wait_for(|ending| *ending).await;
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connection<H, F>(stream: Box<dyn Stream>, mut ending: watch::Receiver<bool>, handler: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A peer that breaks off is its own affair.
        _broken = connection.as_mut() => return,
        () = ended(&mut ending) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _broken = connection.await;
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another service answers there",
            ));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Envoy must run as the same user, or use TCP.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The whole body, unless it is longer than `bytes_max` or breaks off.
pub(crate) async fn body(
    request: Request<Incoming>,
    bytes_max: usize,
) -> Result<Bytes, StatusCode> {
    match Limited::new(request.into_body(), bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// An answer of `media_type`.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// An answer without body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}
