//! The short codes by which rules of `errorOverrides` name kinds of errors.

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A kind of error, as Tyk classifies them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Flag { $($(#[$doc])* $name,)* }

        impl Flag {
            /// Every flag.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its code: three capitals.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

flags! {
    /// The certificate of the upstream has expired.
    TlsExpired = "TLE",
    /// The certificate of the upstream is not valid.
    TlsInvalid = "TLI",
    /// The certificate of the upstream has another name.
    TlsMismatch = "TLM",
    /// TLS is not configured.
    TlsNotConfigured = "TLN",
    /// The TLS handshake with the upstream failed.
    TlsHandshake = "TLH",
    /// TLS was not spoken as it must be.
    TlsProtocol = "TLP",
    /// The upstream sent a TLS alert.
    TlsAlert = "TLA",
    /// The chain of the upstream's certificate is incomplete.
    TlsChain = "TLC",
    /// The upstream cannot be connected to.
    ConnectionFailed = "UCF",
    /// The upstream did not accept a connection in time.
    ConnectionTimeout = "UCT",
    /// The upstream reset the connection.
    ConnectionReset = "URR",
    /// The upstream did not answer in time.
    UpstreamTimeout = "URT",
    /// The pipe to the upstream broke.
    BrokenPipe = "EPI",
    /// The connection was aborted.
    ConnectionAborted = "CAB",
    /// The network was reset.
    NetworkReset = "NRS",
    /// The upstream's name cannot be resolved.
    Lookup = "DNS",
    /// There is no route to the upstream.
    NoRoute = "NRH",
    /// No upstream is healthy.
    NoHealthyUpstream = "NHU",
    /// The circuit breaker is open.
    CircuitOpen = "CBO",
    /// The client left.
    ClientClosed = "CDC",
    /// The upstream itself answered with 5xx.
    UpstreamStatus = "URS",
    /// The upstream did not answer as HTTP wants.
    UpstreamProtocol = "UPE",
    /// A rate limit was exceeded.
    RateLimited = "RLT",
    /// A quota is used up.
    QuotaExceeded = "QEX",
    /// There is no credential.
    AuthMissing = "AMF",
    /// An API key is not valid.
    KeyInvalid = "AKI",
    /// A token or certificate has expired.
    TokenExpired = "TKE",
    /// A token is not valid.
    TokenInvalid = "TKI",
    /// The claims of a token are not those that are wanted.
    ClaimsInvalid = "TCV",
    /// Somebody else's authentication said no.
    ExternalAuthDenied = "EAD",
    /// A body is too large.
    BodyTooLarge = "BTL",
    /// `Content-Length` is missing.
    LengthMissing = "CLM",
    /// A body is not valid.
    BodyInvalid = "BIV",
    /// A header is not valid.
    HeaderInvalid = "IHD",
    /// A client certificate is needed.
    CertificateRequired = "CRQ",
    /// The client certificate is another one.
    CertificateMismatch = "CMM",
}

impl Flag {
    /// The flag with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|flag| flag.code() == code)
    }

    /// Whether anything here ever carries it.
    #[must_use]
    pub fn is_raised(self) -> bool {
        self == Self::UpstreamStatus
            || super::Reason::ALL.iter().any(|reason| reason.row().flag == Some(self))
    }
}
