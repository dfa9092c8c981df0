//! The files of the demo: a real configuration in a folder of its own, removed at the end.

use std::{
    env, fs, io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// The files, by their place in the folder.
const FILES: &[(&str, &str)] = &[
    ("claimgate.yaml", include_str!("files/claimgate.yaml")),
    ("policies.yaml", include_str!("files/policies.yaml")),
    ("api-definitions/orders.yaml", include_str!("files/orders.yaml")),
    ("api-definitions/reports.yaml", include_str!("files/reports.yaml")),
    ("api-definitions/status.yaml", include_str!("files/status.yaml")),
];

/// What differs from one demo to the next.
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) secret: String,
    pub(super) provider: SocketAddr,
    pub(super) upstream: SocketAddr,
}

/// A folder that lives as long as this.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn write(settings: &Settings) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("claimgate-demo-{}", std::process::id()));
        // Fails if it is there already, and nobody else may look in: the control API's secret is inside.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self(path);
        fs::create_dir(folder.0.join("api-definitions"))?;
        for (name, text) in FILES {
            fs::write(folder.0.join(name), settings.fill(text))?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: {} cannot be removed: {error}", self.0.display());
        }
    }
}

impl Settings {
    fn fill(&self, text: &str) -> String {
        text.replace("{listen}", &self.listen.to_string())
            .replace("{admin}", &self.admin.to_string())
            .replace("{secret}", &self.secret)
            .replace("{provider}", &format!("http://{}", self.provider))
            .replace("{upstream}", &format!("http://{}", self.upstream))
    }
}
