//! Servers that nobody here wrote, installed and started by the scripts of the shared material.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
    sync::{Mutex, PoisonError},
};

use super::shared;

/// A running server, on ports of its own; stopped when it goes out of scope.
pub(crate) struct RealServer {
    name: &'static str,
    scripts: PathBuf,
    /// What tells its scripts which kind of it.
    env: Vec<(&'static str, &'static str)>,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
}

impl RealServer {
    pub(crate) fn start(name: &'static str) -> Self {
        Self::start_with(name, &[])
    }

    /// The same, with these variables for its scripts.
    pub(crate) fn start_with(name: &'static str, env: &[(&'static str, &'static str)]) -> Self {
        // One after the other, so that two servers do not choose one port.
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = shared("servers").expect("the scripts are in ../shared/servers, beside the checkout");
        let port = free_ports();
        let scripts = servers.join(name);
        let server = Self { name, scripts, env: env.to_vec(), port, tls_port: port + 3 };
        server.run("start.sh", &[]);
        server
    }

    /// Runs one of its scripts, with these variables as well.
    pub(crate) fn run(&self, script: &str, env: &[(&str, &str)]) {
        let output = self.output(script, env);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {script}: {said}", self.name);
    }

    fn output(&self, script: &str, env: &[(&str, &str)]) -> Output {
        let mut command = Command::new("bash");
        command.arg(self.script(script));
        command.env("PORT", self.port.to_string()).env("TLS_PORT", self.tls_port.to_string());
        command.envs(self.env.iter().copied()).envs(env.iter().copied()).output().unwrap()
    }

    /// Where one of its scripts is.
    pub(crate) fn script(&self, script: &str) -> PathBuf {
        self.scripts.join(script)
    }

    /// A file that this instance has written.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Self::home().join(format!("run/{}-{}", self.name, self.port)).join(name)
    }

    /// Where all of them are installed.
    pub(crate) fn home() -> PathBuf {
        std::env::var_os("SERVERS_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/claimgate-servers"),
            PathBuf::from,
        )
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // It may be stopped already, and a test that failed is told by what failed it.
        self.output("stop.sh", &[]);
    }
}

/// A port that is free, as are the five that follow: Consul takes two more, Vault one for itself, one for
/// TLS, and one for itself again, three nodes of Redis two each.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let is_free =
            |n: u16| port.checked_add(n).is_some_and(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        if (1..=5).all(is_free) {
            return port;
        }
    }
}
