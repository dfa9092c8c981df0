//! `claimgate token`

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use claimgate::{
    definition::parse_duration,
    jwt::{
        Algorithm,
        jwe::{
            ContentEncryption, DecryptionKey, KeyManagement,
            encrypt::{self, EncryptionKey},
            import_decryption_keys,
        },
        sign::SigningKey,
    },
};
use clap::Subcommand;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::BAD_CONFIGURATION;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Print a new key: PKCS#8 in PEM, or base64 for a shared secret.
    Key {
        /// What it signs with: RS256, PS256, ES256, ES384, ES512, EdDSA, HS256, …; or what it decrypts:
        /// RSA-OAEP-256, ECDH-ES+A256KW, A256KW, dir, …
        #[arg(long, default_value = "RS256")]
        alg: String,
    },
    /// Print the JWKS of the public keys of key files.
    Jwks {
        /// Key files; `file:kid` names the key, else its thumbprint does (RFC 7638).
        #[arg(required = true, value_name = "KEY[:KID]")]
        keys: Vec<String>,
        /// What all of them sign with, if not the usual algorithm of their kind; or what they decrypt.
        #[arg(long)]
        alg: Option<String>,
    },
    /// Print a token signed with a key file.
    Mint {
        /// The key file, `-` for standard input; `file:kid` names the key.
        #[arg(long, value_name = "KEY[:KID]", allow_hyphen_values = true)]
        key: String,
        /// What to sign with, if not the usual algorithm of the key's kind.
        #[arg(long)]
        alg: Option<String>,
        /// Claims as a JSON object.
        #[arg(long, value_name = "JSON", default_value = "{}")]
        claims: String,
        /// One more claim; the value is JSON, or a text if it is not.
        #[arg(long, value_name = "NAME=VALUE")]
        claim: Vec<String>,
        /// How long the token is good; sets `exp`.
        #[arg(long, value_name = "TIME", default_value = "1h")]
        expires_in: String,
        /// Encrypt it as well, for the owner of this key file: a private key in PEM, a JWK, the first of
        /// a JWK set, or a shared key.
        #[arg(long, value_name = "KEY[:KID]")]
        encrypt_to: Option<String>,
        /// `alg` of the encryption, if not the usual one of the key's kind.
        #[arg(long, value_name = "ALG", requires = "encrypt_to")]
        encrypt_alg: Option<String>,
        /// `enc` of the encryption.
        #[arg(long, value_name = "ENC", default_value = "A256GCM", requires = "encrypt_to")]
        encrypt_enc: String,
        /// How many tokens, one a line. Several tokens have a `jti` each, from 1 on.
        #[arg(long, value_name = "N", default_value_t = 1)]
        count: u32,
    },
}

pub(super) fn token(command: TokenCommand) -> ExitCode {
    let result = match command {
        TokenCommand::Key { alg } => key(&alg),
        TokenCommand::Jwks { keys, alg } => jwks(&keys, alg.as_deref()),
        TokenCommand::Mint {
            key,
            alg,
            claims,
            claim,
            expires_in,
            encrypt_to,
            encrypt_alg,
            encrypt_enc,
            count,
        } => claims_of(&claims, &claim, &expires_in).and_then(|claims| {
            let envelope = encrypt_to
                .map(|key| Envelope::new(&key, encrypt_alg.as_deref(), &encrypt_enc))
                .transpose()?;
            mint(&key, alg.as_deref(), claims, envelope.as_ref(), count)
        }),
    };
    match result {
        Ok(text) => {
            say!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn key(alg: &str) -> Result<String, String> {
    let text = match KeyManagement::from_name(alg) {
        Some(algorithm) => encrypt::generate(algorithm),
        None => SigningKey::generate(algorithm(alg)?).and_then(|key| key.to_text()),
    };
    text.map_err(|e| e.to_string())
}

fn jwks(files: &[String], alg: Option<&str>) -> Result<String, String> {
    let mut keys = Vec::with_capacity(files.len());
    for file in files {
        let (path, kid) = named(file);
        let jwk = match alg.and_then(KeyManagement::from_name) {
            Some(algorithm) if algorithm.is_shared() => None,
            Some(algorithm) => {
                let keys = import_decryption_keys(text(path)?.as_bytes(), kid, Some(algorithm));
                keys.map_err(|e| format!("{path}: {e}"))?.first().and_then(DecryptionKey::public_jwk)
            }
            None => read(path, alg)?.public_jwk(kid),
        };
        keys.push(jwk.ok_or_else(|| format!("{path} holds a shared secret, which has no public key"))?);
    }
    serde_json::to_string_pretty(&json!({ "keys": keys })).map_err(|e| e.to_string())
}

fn mint(
    key: &str,
    alg: Option<&str>,
    claims: Map<String, Value>,
    envelope: Option<&Envelope>,
    count: u32,
) -> Result<String, String> {
    let mut claims = Value::Object(claims);
    let (path, kid) = named(key);
    let key = read(path, alg)?;
    let kid = match kid {
        Some(kid) => Some(Value::from(kid)),
        None => key.public_jwk(None).and_then(|jwk| jwk.get("kid").cloned()),
    };
    let header = kid.map_or_else(|| json!({}), |kid| json!({ "kid": kid }));
    let mut tokens = Vec::new();
    for n in 1..=count {
        if let (Some(claims), true) = (claims.as_object_mut(), count > 1) {
            claims.insert("jti".into(), n.to_string().into());
        }
        let signed = key.sign(&header, &claims).map_err(|e| e.to_string())?;
        tokens.push(match envelope {
            Some(envelope) => envelope.around(&signed)?,
            None => signed,
        });
    }
    Ok(tokens.join("\n"))
}

/// What tokens are encrypted with.
struct Envelope {
    key: EncryptionKey,
    encryption: ContentEncryption,
}

impl Envelope {
    fn new(file: &str, alg: Option<&str>, enc: &str) -> Result<Self, String> {
        let unknown = |name: &str, known: Vec<&str>| {
            format!("{name} is not an algorithm for encryption; the known ones are {}", known.join(", "))
        };
        let algorithm = alg.map(|name| {
            let known = || KeyManagement::ALL.iter().map(|algorithm| algorithm.name()).collect();
            KeyManagement::from_name(name).ok_or_else(|| unknown(name, known()))
        });
        let encryption = ContentEncryption::from_name(enc).ok_or_else(|| {
            unknown(enc, ContentEncryption::ALL.iter().map(|encryption| encryption.name()).collect())
        })?;
        let (path, kid) = named(file);
        let key = EncryptionKey::from_text(&text(path)?, kid, algorithm.transpose()?)
            .map_err(|e| format!("{path}: {e}"))?;
        Ok(Self { key, encryption })
    }

    fn around(&self, signed: &str) -> Result<String, String> {
        self.key.encrypt(self.encryption, &json!({}), signed).map_err(|e| e.to_string())
    }
}

/// The claims that were asked for, in three ways.
fn claims_of(object: &str, more: &[String], expires_in: &str) -> Result<Map<String, Value>, String> {
    let Ok(Value::Object(given)) = serde_json::from_str(object) else {
        return Err("--claims is a JSON object such as '{\"sub\":\"alice\"}'".into());
    };
    let lifetime = parse_duration(expires_in).ok_or("--expires-in is a time such as 1h or 5m")?;
    let mut claims = times(lifetime);
    claims.extend(given);
    for claim in more {
        let (name, value) = claim.split_once('=').ok_or("--claim is NAME=VALUE")?;
        claims.insert(name.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
    }
    Ok(claims)
}

fn times(lifetime: Duration) -> Map<String, Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires = now.saturating_add(lifetime).as_secs();
    [("iat".into(), now.as_secs().into()), ("exp".into(), expires.into())].into_iter().collect()
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        format!("{name} is not an algorithm; the known ones are {}", known.join(", "))
    })
}

/// A key file and its `kid`.
fn named(file: &str) -> (&str, Option<&str>) {
    match file.rsplit_once(':') {
        Some((path, kid)) if !Path::new(file).exists() => (path, Some(kid)),
        _ => (file, None),
    }
}

fn text(path: &str) -> Result<Zeroizing<String>, String> {
    let text = if path == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(PathBuf::from(path))
    };
    text.map(Zeroizing::new).map_err(|e| format!("{path} cannot be read: {e}"))
}

fn read(path: &str, alg: Option<&str>) -> Result<SigningKey, String> {
    let text = text(path)?;
    let algorithm = alg.map(algorithm).transpose()?;
    SigningKey::from_text(&text, algorithm).map_err(|e| format!("{path}: {e}"))
}
