//! The accept loop of one worker, and its connections.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{debug, error, warn};

/// The largest head of a request in octets: room for a token of 48 KiB.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To send the head of a request, and to be idle between two.
    pub header: Duration,
    /// To finish requests in flight after the worker was told to stop.
    pub shutdown: Duration,
}

/// Accepts connections until `stop` turns true, then finishes what is in flight. `service` answers
/// one request of a peer. Must run on a current-thread runtime with local tasks.
pub async fn serve<S, F, B>(listener: TcpListener, service: S, limits: Limits, stop: watch::Receiver<bool>)
where
    S: Fn(SocketAddr, Request<Incoming>) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + 'static,
{
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn_local(connection(stream, peer, service.clone(), limits, stop.clone()));
                }
                Err(error) => pause_after(&error).await,
            },
            Some(ended) = connections.join_next() => tell_panic(&ended),
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
    // Connections that the kernel has already given to this socket would be reset with it.
    while let Ok((stream, peer)) = accept_waiting(&listener).await {
        connections.spawn_local(connection(stream, peer, service.clone(), limits, stop.clone()));
    }
    drop(listener);
    let all = async {
        while let Some(ended) = connections.join_next().await {
            tell_panic(&ended);
        }
    };
    if timeout(limits.shutdown, all).await.is_err() {
        warn!(connections = connections.len(), "requests in flight did not finish in time and are cut off");
    }
}

/// A panic ends its connection and no other.
fn tell_panic(ended: &Result<(), JoinError>) {
    if ended.as_ref().is_err_and(JoinError::is_panic) {
        error!("a request panicked; its connection was closed. Please report this");
    }
}

/// A connection that waits to be accepted, or an error if there is none.
async fn accept_waiting(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let mut accept = pin!(listener.accept());
    std::future::poll_fn(|context| match accept.as_mut().poll(context) {
        std::task::Poll::Pending => std::task::Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
        std::task::Poll::Ready(accepted) => std::task::Poll::Ready(accepted),
    })
    .await
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

async fn connection<S, F, B>(
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) where
    S: Fn(SocketAddr, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error> + 'static,
{
    // A peer that is gone already needs no answer.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| {
        let answer = service(peer, request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = stop.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%peer, %error, "connection ended");
    }
}
