//! Serves connections within limits: how many, how long a header, a handshake or a whole connection may take.
//!
//! Every connection is accepted at once; `hall` says who gives way when there are too many. Before it asks something
//! a connection costs a descriptor and a small task; what it asks waits for its turn among what its neighbours ask
//! (`answer`).

mod answer;
mod hall;
mod neighbourhood;
mod notes;
mod turns;
mod watched;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use self::answer::{answer, in_turn};
use self::hall::{Guest, Hall, Seat};
use self::notes::Notes;
use self::watched::Watched;
use super::auth::ClientCertificate;
use crate::domain::connections::{Connections, Dropped};

/// Connections may finish what they do for so long after the stop, or at their end.
const DRAIN: Duration = Duration::from_secs(5);

/// A client that takes nothing of its answer for so long is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection ends after this, whatever it does: a client that reads a byte a minute would hold its place for ever.
const LONGEST_CONNECTION: Duration = Duration::from_secs(300);

/// After an error of `accept` (out of file descriptors) it is tried again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// So many connections are closed where the system has no descriptor for another.
const SHED: usize = 16;

/// Connections that the kernel takes before they are accepted, as far as `net.core.somaxconn` lets it.
const BACKLOG: u32 = 4096;

/// A header that doesn't fit is refused. It is also what a client can make the daemon keep by sending half of one.
const MOST_HEADER: usize = 64 << 10;

/// For each request that is answered so many connections may wait.
const WAITING: usize = 16;

/// Fewer connections than this are no hall.
const SMALLEST_ROOM: usize = 64;

/// Descriptors that are left to scans, the store, hooks and messengers, where there are as many twice over.
const RESERVE: usize = 256;

/// Limits of the server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests that are answered at the same time; further ones wait.
    pub requests: usize,
    /// For all from the connection to the end of the first request's header, and for each further header.
    pub header_timeout: Duration,
    /// File descriptors that this process may have.
    pub descriptors: usize,
}

impl Limits {
    /// Connections that are kept, whether they ask something or not.
    fn room(&self) -> usize {
        let wanted = self.requests.saturating_mul(WAITING).max(SMALLEST_ROOM);
        wanted.min(self.descriptors - RESERVE.min(self.descriptors / 2)).max(1)
    }
}

/// Listens at `HOST:PORT`, on the first address of the host that can be had.
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host(address).await? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A daemon that is started again takes the port although connections of the one before linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A bound listener; serves nothing until [`Server::run`].
pub struct Server {
    listener: TcpListener,
    limits: Limits,
    tls: watch::Receiver<Option<Arc<ServerConfig>>>,
    counts: Arc<Connections>,
}

impl Server {
    /// A server on a bound listener. New connections use what `tls` holds when they come.
    pub fn new(listener: TcpListener, limits: Limits, tls: watch::Receiver<Option<Arc<ServerConfig>>>) -> Self {
        Self { listener, limits, tls, counts: Arc::default() }
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.borrow().is_some() { "https" } else { "http" }
    }

    /// Counts what it closes unanswered.
    pub fn counts(&self) -> Arc<Connections> {
        self.counts.clone()
    }

    /// Serves until `stop` is true or its sender gone; then lets open connections finish.
    pub async fn run(self, routes: Router, mut stop: watch::Receiver<bool>) {
        let hall = Arc::new(Hall::new(self.limits.room(), self.limits.requests, Notes::new(self.counts.clone())));
        let each = stop.clone();
        let mut minute = interval(notes::PAUSE);
        loop {
            let next = async {
                hall.settled().await;
                self.listener.accept().await
            };
            tokio::select! {
                accepted = next => match accepted {
                    Ok((stream, from)) => self.serve(stream, from, &hall, routes.clone(), each.clone()),
                    Err(error) => not_accepted(&hall, &error).await,
                },
                _ = minute.tick() => hall.notes.tell(),
                () = told(&mut stop) => break,
            }
        }
        drop(self.listener);
        if timeout(DRAIN * 2, hall.empty()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
    }

    fn serve(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        hall: &Arc<Hall>,
        routes: Router,
        stop: watch::Receiver<bool>,
    ) {
        // The last part of an answer would wait for the client's acknowledgement; failing to say so costs only time.
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let guest = hall.enter(from, stream.clone());
        let visit = Visit {
            tls: self.tls.borrow().clone(),
            header_timeout: self.limits.header_timeout,
            deadline: Instant::now() + self.limits.header_timeout,
            stop,
        };
        tokio::spawn(visit.run(stream, guest, routes));
    }
}

/// Most errors concern one connection. Where there are no descriptors some are closed: waiting alone frees none.
async fn not_accepted(hall: &Hall, error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    hall.notes.not_accepted(error);
    hall.shrink(SHED);
    sleep(ACCEPT_PAUSE).await;
}

/// Resolves when it was said, or when nobody is left to say it.
async fn told(stop: &mut watch::Receiver<bool>) {
    // The guard that this returns must not live on.
    let _ = stop.wait_for(|stop| *stop).await.is_ok();
}

/// How one connection is served.
struct Visit {
    tls: Option<Arc<ServerConfig>>,
    header_timeout: Duration,
    /// Something must have been asked by then.
    deadline: Instant,
    stop: watch::Receiver<bool>,
}

impl Visit {
    async fn run(mut self, stream: Arc<TcpStream>, guest: Guest, routes: Router) {
        let seat = &guest.0;
        tokio::select! {
            heard = timeout_at(self.deadline, stream.readable()) => if heard.is_err() {
                return seat.dropped(Dropped::NoRequest);
            },
            () = seat.told_to_go() => return,
            () = told(&mut self.stop) => return,
        }
        seat.stand_up();
        // Nobody else has it: the hall gave its own back just now, and lends it to nobody.
        let Some(stream) = Arc::into_inner(stream) else { return };
        let stream = Watched::new(stream, seat.clone());
        let Some(tls) = self.tls.take() else { return self.speak(stream, seat, routes).await };
        let handshake = tokio::select! {
            ended = timeout_at(self.deadline, handshake(stream, tls, seat)) => ended,
            () = seat.told_to_go() => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                // It was verified, or the handshake would have failed.
                let routes = match certificate(stream.get_ref().1) {
                    Some(certificate) => routes.layer(Extension(certificate)),
                    None => routes,
                };
                self.speak(stream, seat, routes).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => seat.dropped(Dropped::NoRequest),
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(mut self, stream: S, seat: &Arc<Seat>, routes: Router) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.header_timeout).max_buf_size(MOST_HEADER);
        let service = service_fn(|request| {
            let answer = answer(routes.clone(), request, seat.clone());
            async { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        let silent = async {
            sleep_until(self.deadline).await;
            if seat.has_asked() {
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            // Before anything was asked a connection costs computing as well.
            ended = in_turn(seat, connection.as_mut()) => Some(ended),
            () = silent => return seat.dropped(Dropped::NoRequest),
            () = seat.told_to_go() => return,
            () = told(&mut self.stop) => None,
            () = sleep(LONGEST_CONNECTION) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                timeout(DRAIN, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended badly");
            if let Some(why) = unanswered(&error, seat) {
                seat.dropped(why);
            }
        }
    }
}

/// What costs computing is done in turn: understanding the client's first words, and signing an answer to them.
async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: Arc<ServerConfig>,
    seat: &Seat,
) -> io::Result<tokio_rustls::server::TlsStream<S>> {
    let hello = in_turn(seat, LazyConfigAcceptor::new(Acceptor::default(), stream)).await?;
    in_turn(seat, hello.into_stream(tls)).await
}

/// Whether the server hung up on the client, and why. A connection that is kept for the next request may end unasked.
fn unanswered(error: &hyper::Error, seat: &Seat) -> Option<Dropped> {
    if error.is_timeout() {
        return seat.is_unfinished().then_some(Dropped::NoRequest);
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Some(Dropped::NotReading);
        }
        cause = error.source();
    }
    None
}

/// What the client showed. Its name is its fingerprint, as `openssl x509 -fingerprint -sha256` begins it.
fn certificate(connection: &ServerConnection) -> Option<ClientCertificate> {
    let shown = connection.peer_certificates()?.first()?;
    let digits: String = Sha256::digest(shown).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Some(ClientCertificate { name: format!("certificate-{digits}").into() })
}
