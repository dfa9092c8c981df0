//! Which settings are secrets of the gateway itself.

use std::path::Path;

use super::{Config, KeyStore};
use crate::{
    redis::Servers,
    secrets::{OwnSecret, OwnSecretKind, Secret},
};

impl Config {
    /// What opens the gateway, and what it opens others with: nothing of it is for documents.
    #[must_use]
    pub fn own_secrets(&self) -> Vec<OwnSecret> {
        let text = |setting: &str, secret: &Secret| OwnSecret {
            setting: setting.to_owned(),
            kind: OwnSecretKind::Text(secret.clone()),
        };
        let file = |setting: &str, path: &Path| OwnSecret {
            setting: setting.to_owned(),
            kind: OwnSecretKind::File(path.to_owned()),
        };
        let mut own: Vec<OwnSecret> =
            self.admin_keys.iter().map(|key| text(&key.place(), &key.secret)).collect();
        own.push(file("claimgate.yaml", self.file()));
        own.extend(self.admin_tls.key.iter().map(|path| file("admin.tls.key", path)));
        own.extend(self.fetching.key().map(|key| text("jwks.clientKey", key)));
        match &self.keys {
            KeyStore::File(path) => own.extend(path.iter().map(|path| file("keys.file", path))),
            KeyStore::Redis { secret, .. } => own.push(text("keys.secret", secret)),
        }
        own.extend(self.redis_tls.key.iter().map(|path| file("redis.tls.clientKey", path)));
        if let Some(redis) = &self.redis {
            own.extend(redis.password.iter().map(|password| text("redis.password", password)));
            if let Servers::Sentinel(sentinel) = &redis.servers {
                let password = sentinel.password.iter();
                own.extend(password.map(|password| text("redis.sentinel.password", password)));
            }
        }
        own.extend(self.secrets.own_secrets());
        own
    }
}
