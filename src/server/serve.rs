//! The accept loop of one worker, and its connections.

use std::{
    cell::Cell, convert::Infallible, error::Error, io, iter, net::SocketAddr, pin::pin, time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{debug, error, warn};

use super::Secure;

/// The largest head of a request in octets: room for a token of 48 KiB.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To send the head of a request, and to be idle between two.
    pub header: Duration,
    /// To take the next part of an answer.
    pub idle: Duration,
    /// To finish requests in flight after the worker was told to stop.
    pub shutdown: Duration,
}

/// How long a connection that has not asked anything yet is waited for when the worker stops.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// And one that was idle.
const NEXT_REQUEST: Duration = Duration::from_millis(50);

/// Accepts connections until `stop` turns true, then finishes what is in flight. `service` answers
/// one request of a peer. Must run on a current-thread runtime with local tasks.
pub async fn serve<T, S, F, B>(
    listener: TcpListener,
    secure: T,
    service: S,
    limits: Limits,
    stop: watch::Receiver<bool>,
) where
    T: Secure,
    S: Fn(SocketAddr, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: hyper::body::Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn_local(connection((stream, secure.clone()), peer, service.clone(), limits, stop.clone()));
                }
                Err(error) => pause_after(&error).await,
            },
            Some(ended) = connections.join_next() => tell_panic(&ended),
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
    // Connections that the kernel has already given to this socket would be reset with it.
    for (stream, peer) in waiting(listener) {
        connections.spawn_local(connection(
            (stream, secure.clone()),
            peer,
            service.clone(),
            limits,
            stop.clone(),
        ));
    }
    let all = async {
        while let Some(ended) = connections.join_next().await {
            tell_panic(&ended);
        }
    };
    if timeout(limits.shutdown, all).await.is_err() {
        warn!(connections = connections.len(), "requests in flight did not finish in time and are cut off");
        connections.shutdown().await;
    }
}

/// A panic ends its connection and no other.
fn tell_panic(ended: &Result<(), JoinError>) {
    if ended.as_ref().is_err_and(JoinError::is_panic) {
        error!("a request panicked; its connection was closed. Please report this");
    }
}

/// The connections that wait to be accepted; closes the socket.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let next = || {
        let (stream, peer) = listener.accept()?;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream).map(|stream| (stream, peer))
    };
    iter::from_fn(|| next().ok()).collect()
}

/// Without descriptors every accept fails at once: wait for connections to end instead of spinning.
async fn pause_after(error: &io::Error) {
    let of_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !of_connection {
        warn!(%error, "connections cannot be accepted for a moment");
        sleep(Duration::from_millis(100)).await;
    }
}

/// A peer that is gone already needs none of this: errors do not matter.
fn prepare(stream: &TcpStream, idle: Duration) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    // Peers that vanished without a word are found out, and so are those that read nothing.
    let _ = socket.set_keepalive(true);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(idle));
}

async fn connection<T, S, F, B>(
    (stream, secure): (TcpStream, T),
    peer: SocketAddr,
    service: S,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) where
    T: Secure,
    S: Fn(SocketAddr, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: hyper::body::Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    prepare(&stream, limits.idle);
    let stream = match timeout(limits.header, secure.secure(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%peer, %error, "connection refused"),
        Err(_) => return debug!(%peer, "connection refused: it was not secured in time"),
    };
    let (has_asked, is_busy, begun) = (Cell::new(false), Cell::new(false), Notify::new());
    let answer = service_fn(|request| {
        has_asked.set(true);
        is_busy.set(true);
        begun.notify_waiters();
        let answer = service(peer, request);
        let is_busy = &is_busy;
        async {
            let answer = answer.await;
            is_busy.set(false);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = stop.wait_for(|stop| *stop) => {
            // What is on its way, or with the kernel already, still gets its answer; each says that
            // it is the last one.
            let grace = if has_asked.get() { NEXT_REQUEST } else { FIRST_REQUEST };
            let ended = if is_busy.get() {
                None
            } else {
                tokio::select! {
                    biased;
                    () = begun.notified() => None,
                    () = sleep(grace) => None,
                    result = connection.as_mut() => Some(result),
                }
            };
            match ended {
                Some(result) => result,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = result {
        debug!(%peer, %error, "connection ended");
    }
}
