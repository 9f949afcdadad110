//! Serves connections within limits: how many, how long a header, a handshake or a whole connection may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use super::auth::ClientCertificate;

/// Connections may finish what they do for so long after the stop, or at their end.
const DRAIN: Duration = Duration::from_secs(5);

/// A client that takes nothing of its answer for so long is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection ends after this, whatever it does: a client that reads a byte a minute would hold its place for ever.
const LONGEST_CONNECTION: Duration = Duration::from_secs(300);

/// After an error of `accept` (out of file descriptors) it is tried again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Limits of the server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// For the TLS handshake, and for each request header.
    pub header_timeout: Duration,
}

/// A bound listener; serves nothing until [`Server::run`].
pub struct Server {
    listener: TcpListener,
    limits: Limits,
    tls: watch::Receiver<Option<Arc<ServerConfig>>>,
}

impl Server {
    /// A server on a bound listener. New connections use what `tls` holds when they come.
    pub fn new(listener: TcpListener, limits: Limits, tls: watch::Receiver<Option<Arc<ServerConfig>>>) -> Self {
        Self { listener, limits, tls }
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.borrow().is_some() { "https" } else { "http" }
    }

    /// Serves until `stop` is true or its sender gone; then lets open connections finish.
    pub async fn run(self, routes: Router, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let each = stop.clone();
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let stopped = async {
                // The guard that is returned must not live on.
                let _ = stop.wait_for(|stop| *stop).await.is_ok();
            };
            tokio::select! {
                (place, accepted) = next => match (place, accepted) {
                    (Ok(place), Ok((stream, _))) => self.serve(stream, place, routes.clone(), each.clone()),
                    (_, Err(error)) => {
                        tracing::warn!(%error, "could not accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                    (Err(_), _) => break,
                },
                () = stopped => break,
            }
        }
        drop(self.listener);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        if timeout(DRAIN * 2, places.acquire_many(all)).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
    }

    fn serve(&self, stream: TcpStream, place: OwnedSemaphorePermit, routes: Router, stop: watch::Receiver<bool>) {
        let (tls, limit) = (self.tls.borrow().clone(), self.limits.header_timeout);
        // The last part of an answer would wait for the client's acknowledgement; failing to say so costs only time.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => connection(stream, routes, limit, stop).await,
                Some(tls) => match timeout(limit, TlsAcceptor::from(tls).accept(stream)).await {
                    Ok(Ok(stream)) => {
                        // It was verified, or the handshake would have failed.
                        let routes = match certificate(stream.get_ref().1) {
                            Some(certificate) => routes.layer(Extension(certificate)),
                            None => routes,
                        };
                        connection(stream, routes, limit, stop).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
        });
    }
}

/// What the client showed. Its name is its fingerprint, as `openssl x509 -fingerprint -sha256` begins it.
fn certificate(connection: &ServerConnection) -> Option<ClientCertificate> {
    let shown = connection.peer_certificates()?.first()?;
    let digits: String = Sha256::digest(shown).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Some(ClientCertificate { name: format!("certificate-{digits}").into() })
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    routes: Router,
    header_timeout: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream = Box::pin(stream);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await.is_ok();
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopped => None,
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
    }
}
