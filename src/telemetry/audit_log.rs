//! Who changed what, and who was refused: one line for each, of the control API.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::SystemTime,
};

use serde::Serialize;
use tracing::error;

use super::access_log::write_time;

/// Where the lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditLog {
    /// Nowhere.
    Off,
    /// To standard error, among the log.
    #[default]
    Stderr,
    /// To the end of this file, which is made with the first line, and may be moved away at any time.
    File(PathBuf),
}

/// What a line says. Nothing in it is a secret: of a path that holds a key only the form.
#[derive(Debug, Serialize)]
pub struct AuditEntry<'e> {
    /// The name of the key that was shown; nothing if it is unknown.
    pub who: Option<&'e str>,
    /// Who sent it.
    pub client: IpAddr,
    /// The request's method.
    pub method: &'e str,
    /// The route.
    pub path: &'e str,
    /// What sort of thing is meant: `api`, `policy`, `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'e str>,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'e str>,
    /// The answer.
    pub status: u16,
    /// What became of it.
    pub outcome: &'e str,
    /// The SHA-256 of what was written before, as compact JSON; nothing if there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<&'e str>,
    /// The SHA-256 of what is written now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<&'e str>,
}

#[derive(Serialize)]
struct Line<'e> {
    audit: String,
    #[serde(flatten)]
    entry: &'e AuditEntry<'e>,
}

impl AuditLog {
    /// Writes a line of JSON. That it could not be written is told in the log.
    pub fn write(&self, time: SystemTime, entry: &AuditEntry<'_>) {
        let mut audit = String::new();
        write_time(time, &mut audit);
        let Ok(mut line) = serde_json::to_string(&Line { audit, entry }) else { return };
        line.push('\n');
        if let Err(error) = self.append(line.as_bytes()) {
            error!(%error, "the audit log cannot be written");
        }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Off => Ok(()),
            Self::Stderr => io::stderr().lock().write_all(line),
            // Opened anew each time, so that it can be rotated. One write, so that lines stay whole.
            Self::File(path) => {
                OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(line)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AuditLog::File(path.clone());
        let entry = AuditEntry {
            who: Some("deploy"),
            client: [127, 0, 0, 1].into(),
            method: "PUT",
            path: "/tyk/apis/oas/{id}",
            kind: Some("api"),
            id: Some("orders"),
            status: 200,
            outcome: "modified",
            before: None,
            after: Some("ab"),
        };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        log.write(time, &entry);
        log.write(time, &entry);
        let line = r#"{"audit":"2026-01-01T00:00:00.000Z","who":"deploy","client":"127.0.0.1","method":"PUT","path":"/tyk/apis/oas/{id}","kind":"api","id":"orders","status":200,"outcome":"modified","after":"ab"}"#;
        assert_eq!(fs::read_to_string(path).unwrap(), format!("{line}\n{line}\n"));
    }
}
