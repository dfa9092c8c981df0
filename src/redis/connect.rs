//! One connection, from the settings to a server that takes writes.

use ::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo as _, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError,
    RedisResult, TlsCertificates, TlsMode, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};

use super::{Address, Credentials, Sentinel, Servers, Settings};

/// Writes, by a script, as everything does that is done here: a server that is a replica, is full, or
/// whose access control lists do not let us is found out now and not by requests.
const TRIAL: &str = "return redis.call('SET', KEYS[1], 1, 'PX', 1000)";
/// How often a command of a request is sent to another node of a cluster that it has moved to.
const REDIRECTS: u32 = 2;

/// A connection that many requests use at once.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To each primary of a cluster.
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects, and tries whether the server takes writes. `attempt` counts those that failed before;
    /// `lost` is called when the connection to a single server ends.
    pub(super) async fn open(
        settings: &Settings,
        credentials: &Credentials,
        attempt: usize,
        lost: impl Fn() + Send + Sync + 'static,
    ) -> RedisResult<Self> {
        let config = config(settings, move |push| {
            if push.kind == PushKind::Disconnection {
                lost();
            }
        });
        let connection = match &settings.servers {
            Servers::Single(address) => Self::Single(single(settings, credentials, address, &config).await?),
            Servers::Sentinel(sentinel) => {
                Self::Single(primary(settings, credentials, sentinel, attempt, &config).await?)
            }
            Servers::Cluster(nodes) => {
                let client = cluster(settings, credentials, nodes)?.build()?;
                Self::Cluster(client.get_async_connection().await?)
            }
        };
        connection.check(&settings.prefix).await?;
        Ok(connection)
    }

    /// Connects to one server, and subscribes to a channel there: of a cluster any node hears what is said at
    /// another one. What comes goes to `pushed`, which must not wait.
    pub(super) async fn subscribe(
        settings: &Settings,
        credentials: &Credentials,
        attempt: usize,
        channel: &str,
        pushed: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> RedisResult<Self> {
        let config = config(settings, pushed);
        let mut connection = match &settings.servers {
            Servers::Single(address) => single(settings, credentials, address, &config).await?,
            Servers::Sentinel(sentinel) => primary(settings, credentials, sentinel, attempt, &config).await?,
            Servers::Cluster(nodes) => {
                let turn = attempt.checked_rem(nodes.len()).and_then(|turn| nodes.get(turn));
                let node = turn.ok_or((ErrorKind::InvalidClientConfig, "the cluster has no nodes"))?;
                single(settings, credentials, node, &config).await?
            }
        };
        connection.subscribe(channel).await?;
        Ok(Self::Single(connection))
    }

    /// Whether every server answers, and one takes writes.
    async fn check(&self, prefix: &str) -> RedisResult<()> {
        self.ping().await?;
        let mut trial = Cmd::new();
        trial.arg("EVAL").arg(TRIAL).arg(1).arg(format!("{prefix}trial"));
        self.send(&trial).await.map(|_| ())
    }

    /// Whether every server answers.
    pub(super) async fn ping(&self) -> RedisResult<()> {
        let mut ping = Cmd::new();
        ping.arg("PING");
        self.send(&ping).await.map(|_| ())
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Single(connection) => connection.clone().send_packed_command(command).await?,
            Self::Cluster(connection) => connection.clone().req_packed_command(command).await?,
        };
        answer.extract_error()
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// What is told when a connection cannot be used.
pub(super) fn reason(error: &RedisError) -> String {
    let code = error.code().unwrap_or_else(|| error.category());
    match error.detail() {
        Some(detail) => format!("{code}: {detail}"),
        None => error.to_string(),
    }
}

/// Small packets are sent at once: the library waits for more unless it is told not to.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Without time limits: whoever calls has one for the whole.
fn config(settings: &Settings, pushed: impl Fn(PushInfo) + Send + Sync + 'static) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        .set_response_timeout(None)
        .set_push_sender(move |push: PushInfo| {
            pushed(push);
            Ok::<(), ()>(())
        })
}

async fn single(
    settings: &Settings,
    credentials: &Credentials,
    address: &Address,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let info = info(settings, credentials, address)?;
    let client = match certificates(settings, credentials) {
        Some(certificates) => Client::build_with_tls(info, certificates)?,
        None => Client::open(info)?,
    };
    client.get_multiplexed_async_connection_with_config(config).await
}

async fn primary(
    settings: &Settings,
    credentials: &Credentials,
    sentinel: &Sentinel,
    attempt: usize,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let mut client = sentinels(settings, credentials, sentinel, attempt)?.build()?;
    client.get_async_connection_with_config(config).await
}

fn address(Address { host, port }: &Address, is_secure: bool) -> ConnectionAddr {
    let (host, port) = (host.clone(), *port);
    if is_secure {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

fn info(settings: &Settings, credentials: &Credentials, at: &Address) -> RedisResult<ConnectionInfo> {
    let mut redis = RedisConnectionInfo::default()
        .set_db(settings.database.into())
        // With the third version the end of a connection is told as soon as it is seen.
        .set_protocol(ProtocolVersion::RESP3);
    if let Some(username) = &settings.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &credentials.servers {
        redis = redis.set_password(&**password);
    }
    let info = address(at, settings.is_secure).into_connection_info()?;
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp()))
}

/// Nothing in the clear.
fn certificates(settings: &Settings, credentials: &Credentials) -> Option<TlsCertificates> {
    let tls = settings.is_secure.then_some(&credentials.tls)?;
    let client_tls = tls.certificate.as_ref().map(|(chain, key)| ClientTlsConfig {
        client_cert: chain.clone().into_bytes(),
        client_key: key.as_bytes().to_vec(),
    });
    Some(TlsCertificates { client_tls, root_cert: tls.authorities.clone().map(String::into_bytes) })
}

/// Each attempt begins with another sentinel: one that hangs must not keep us from asking the others.
fn sentinels(
    settings: &Settings,
    credentials: &Credentials,
    sentinel: &Sentinel,
    attempt: usize,
) -> RedisResult<SentinelClientBuilder> {
    let first = attempt.checked_rem(sentinel.nodes.len()).unwrap_or_default();
    let nodes = sentinel.nodes.iter().cycle().skip(first).take(sentinel.nodes.len());
    let nodes = nodes.map(|node| address(node, settings.is_secure));
    let mut builder = SentinelClientBuilder::new(nodes, &sentinel.master, SentinelServerType::Master)?
        .set_client_to_redis_db(settings.database.into())
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if let Some(certificates) = certificates(settings, credentials) {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_certificates(certificates);
    }
    if let Some(username) = &settings.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &credentials.servers {
        builder = builder.set_client_to_redis_password(&**password);
    }
    if let Some(username) = &sentinel.username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &credentials.sentinels {
        builder = builder.set_client_to_sentinel_password(&**password);
    }
    Ok(builder)
}

fn cluster(
    settings: &Settings,
    credentials: &Credentials,
    nodes: &[Address],
) -> RedisResult<ClusterClientBuilder> {
    let nodes: RedisResult<Vec<_>> = nodes.iter().map(|node| info(settings, credentials, node)).collect();
    let mut builder = ClusterClientBuilder::new(nodes?)
        .retries(REDIRECTS)
        .max_retry_wait(20)
        .min_retry_wait(5)
        .connection_timeout(settings.connect_timeout)
        .response_timeout(settings.connect_timeout)
        .tcp_settings(tcp());
    if let Some(certificates) = certificates(settings, credentials) {
        builder = builder.tls(TlsMode::Secure).certs(certificates);
    }
    Ok(builder)
}
