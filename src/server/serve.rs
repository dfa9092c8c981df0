//! The accept loop of one worker.

use std::{error::Error, io, iter, net::SocketAddr, rc::Rc, time::Duration};

use http::{Request, Response};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing::{debug, error, warn};

use super::{
    Secure,
    closing::Closing,
    connection::{self, Common},
};
use crate::http1::{AnswerBody, Date, Incoming};

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
    B: AnswerBody + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let common =
        Rc::new(Common { service, header: limits.header, closing: Closing::default(), date: Date::new() });
    let mut connections = JoinSet::new();
    let mut stopping = stop;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => {
                    connections.spawn_local(connection(accepted, secure.clone(), limits, Rc::clone(&common)));
                }
                Err(error) => pause_after(&error).await,
            },
            Some(ended) = connections.join_next() => tell_panic(&ended),
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
    common.closing.set();
    // Connections that the kernel has already given to this socket would be reset with it.
    for accepted in waiting(listener) {
        connections.spawn_local(connection(accepted, secure.clone(), limits, Rc::clone(&common)));
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
    (stream, peer): (TcpStream, SocketAddr),
    secure: T,
    limits: Limits,
    common: Rc<Common<S>>,
) where
    T: Secure,
    S: Fn(SocketAddr, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: AnswerBody,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    prepare(&stream, limits.idle);
    match timeout(limits.header, secure.secure(stream)).await {
        Ok(Ok(stream)) => connection::run(stream, peer, &common).await,
        Ok(Err(error)) => debug!(%peer, %error, "connection refused"),
        Err(_) => debug!(%peer, "connection refused: it was not secured in time"),
    }
}
