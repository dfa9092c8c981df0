//! What is a map, and so in the file only: `secrets`, and the named stores of `kv.stores`.

use std::path::Path;

use serde_json::{Map, Value};

use super::{
    fields::{KV_CONSUL, KV_FILE, KV_INLINE, KV_VARIABLES, KV_VAULT},
    kv::{Kv, consul_of, vault_of},
};
use crate::{
    document::{Document, FieldPath, Findings},
    secrets::{LocalStore, Secret, Store},
};

/// The names of stores that are there, or are configured elsewhere.
const BUILT_IN: [&str; 5] = ["env", "file", "secrets", "consul", "vault"];

/// Reads them; paths are relative to the folder.
pub(super) fn read(
    document: &Document,
    root: &mut Value,
    folder: &Path,
    kv: &mut Kv,
    findings: &mut Findings,
) {
    if let Some(secrets) = root.get("secrets") {
        kv.add("secrets", inline(secrets));
    }
    let Some(stores) = root.pointer_mut("/kv/stores").and_then(Value::as_object_mut) else { return };
    for (name, store) in stores {
        let at = FieldPath::top().members(&["kv", "stores", name]);
        match (Reader { document, at: &at, folder }).store(name, store, findings) {
            Ok(Some(store)) => kv.add(name, store),
            Ok(None) => {}
            Err((field, message)) => {
                let names: Vec<&str> = field.split('.').filter(|name| !name.is_empty()).collect();
                findings.error(document, &at.members(&names), message);
            }
        }
    }
}

/// Reads one of `kv.stores`.
struct Reader<'r> {
    document: &'r Document,
    at: &'r FieldPath,
    folder: &'r Path,
}

impl Reader<'_> {
    /// The store; nothing if `findings` says why not.
    fn store(
        &self,
        name: &str,
        store: &mut Value,
        findings: &mut Findings,
    ) -> Result<Option<Store>, (String, String)> {
        let whole = |message: &str| (String::new(), message.to_owned());
        if BUILT_IN.contains(&name) {
            return Err(whole("this name is that of a store that is there already; choose another one"));
        }
        if name.is_empty() || name.contains(['/', ':', '#', '}']) {
            return Err(whole("the name of a store has no / : # or }; change it"));
        }
        let kind = store.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let section = match kind.as_str() {
            "env" => &KV_VARIABLES,
            "inline" => &KV_INLINE,
            "file" => &KV_FILE,
            "hashicorp_vault" => &KV_VAULT,
            "hashicorp_consul" => &KV_CONSUL,
            "aws_secrets_manager" | "azure_key_vault" | "gcp_secret_manager" => {
                return Err(("type".into(), "stores of this type are not supported; use hashicorp_vault, hashicorp_consul, file, env or inline".into()));
            }
            _ => {
                return Err(("type".into(), "a store is of the type env, inline, file, hashicorp_vault or hashicorp_consul; write one of these".into()));
            }
        };
        let mut config =
            store.get_mut("config").map(Value::take).unwrap_or_else(|| Value::Object(Map::new()));
        let mut found = Findings::default();
        section.check(self.document, &self.at.member("config"), &mut config, &mut found);
        let is_good = !found.has_errors();
        findings.append(found);
        if !is_good {
            return Ok(None);
        }
        let in_config = |(field, message): (String, String)| (format!("config.{field}"), message);
        self.of_kind(&kind, &config).map(Some).map_err(in_config)
    }

    fn of_kind(&self, kind: &str, config: &Value) -> Result<Store, (String, String)> {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        let is_on = |name: &str| config.get(name) == Some(&Value::Bool(true));
        Ok(match kind {
            "env" => {
                let prefix = text("prefix").unwrap_or_default();
                if prefix.is_empty() && !is_on("allow_no_prefix") {
                    return Err(("prefix".into(), "without a prefix a reference reaches every variable; write one, or set allow_no_prefix".into()));
                }
                Store::Local(LocalStore::Variables { prefix: prefix.into(), uppercase: is_on("uppercase") })
            }
            "file" => {
                let base = text("base_path").filter(|path| !path.is_empty());
                let Some(base) = base else {
                    return Err(("base_path".into(), "a store of files needs its folder; write one".into()));
                };
                Store::Local(LocalStore::Files(self.folder.join(base)))
            }
            "hashicorp_consul" => consul_of(config, self.folder)?,
            "hashicorp_vault" => vault_of(config, self.folder)?,
            _ => inline(config.get("data").unwrap_or(&Value::Null)),
        })
    }
}

fn inline(values: &Value) -> Store {
    let values = values.as_object().into_iter().flatten();
    let values = values.filter_map(|(name, value)| Some((name.clone(), Secret::from(value.as_str()?))));
    Store::Local(LocalStore::Inline(values.collect()))
}
