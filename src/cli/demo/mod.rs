//! `claimgate demo`: everything that a gateway needs around it, in one process.

mod folder;
mod peers;
mod requests;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    thread,
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use claimgate::{
    config::{Config, Flags},
    document::{Finding, Findings},
    node::{Node, StartError},
    telemetry::init_log,
};
use serde_json::Value;
use tokio::{sync::oneshot, task::spawn_blocking};

use self::{
    folder::{Folder, Settings},
    peers::Providers,
    requests::{Trial, trials},
};
use super::signals::Signals;

#[derive(Debug, clap::Args)]
pub(super) struct DemoFlags {
    /// Make the requests and end: with 0 if all of them were answered as they must be, else with 1.
    #[arg(long)]
    check: bool,
}

/// Why the demo cannot go on; a sentence.
type Failure = String;

pub(super) fn demo(flags: &DemoFlags) -> ExitCode {
    let _log = init_log();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let end = match wait_for_end() {
        Ok(end) => end,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(show(flags.check, end)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail("not every request was answered as it must be"),
        Err(message) => fail(&message),
    }
}

/// Hears of the wish to end, on a thread of its own.
fn wait_for_end() -> io::Result<oneshot::Receiver<()>> {
    let signals = Signals::new()?;
    // Its files are to be removed at the end.
    signals.serving();
    let (ended, end) = oneshot::channel();
    thread::spawn(move || {
        signals.wait_for_end();
        // Nobody waits when the demo ended by itself.
        let _ = ended.send(());
    });
    Ok(end)
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

/// Returns whether all requests were answered as they must be.
async fn show(only_check: bool, end: oneshot::Receiver<()>) -> Result<bool, Failure> {
    let providers = Providers::new().map_err(text)?;
    let settings = Settings {
        listen: usual_or_free(8080),
        admin: usual_or_free(8081),
        secret: random_secret()?,
        provider: providers.serve().await.map_err(text)?,
        upstream: peers::serve_upstream().await.map_err(text)?,
    };
    let folder = Folder::write(&settings).map_err(|e| format!("the demo's files cannot be written: {e}"))?;
    let flags = Flags { config: Some(folder.path().join("claimgate.yaml")), fields: Vec::new() };
    let node = spawn_blocking(move || start(&flags)).await.map_err(text)??;
    let gateway = node.listen().first().map(|address| format!("http://{address}")).unwrap_or_default();
    if settings.listen.port() == 0 {
        say!("Port 8080 is taken, so the gateway listens on {gateway}.\n");
    }
    introduce(&gateway, &folder, &settings);
    if let Some(admin) = node.admin().filter(|_| !only_check) {
        say!("\nChange the documents, then reload:");
        say!("  curl -H 'x-tyk-authorization: {}' 'http://{admin}/tyk/reload?block=true'", settings.secret);
    }
    let trials = trials(&providers, SystemTime::now()).ok_or("the demo's tokens cannot be signed")?;
    // The demo asks in the clear, and its client wants a provider all the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().map_err(text)?;
    let mut good = true;
    for trial in &trials {
        good &= make(trial, &gateway, &client).await?;
    }
    if only_check && good {
        say!("\nAll {} requests were answered as they must be.", trials.len());
    }
    if !only_check {
        say!("\nThe demo stays up for requests of your own; Ctrl-C ends it.");
        // An error means that nobody can end it but by force.
        let _ = end.await;
    }
    spawn_blocking(move || node.stop()).await.map_err(text)?;
    Ok(good)
}

fn text(error: impl std::error::Error) -> Failure {
    error.to_string()
}

/// The usual port on loopback, or port 0 for a free one if somebody has it.
fn usual_or_free(port: u16) -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], port));
    if TcpListener::bind(usual).is_ok() { usual } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
}

fn random_secret() -> Result<String, Failure> {
    let mut octets = [0; 18];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| "the system gives no randomness")?;
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

fn start(flags: &Flags) -> Result<Node, Failure> {
    let mut findings = Findings::default();
    // The environment is somebody else's configuration.
    let config = Config::load(flags, [], &mut findings);
    let config = config.ok_or_else(|| list(&findings.sorted()))?;
    Node::start(config).map_err(|error| match error {
        StartError::Findings(findings) => list(&findings),
        error => text(error),
    })
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn introduce(gateway: &str, folder: &Folder, settings: &Settings) {
    let files = folder.path().display();
    say!("Claimgate, two identity providers and an upstream, all in this process.\n");
    say!("  gateway    {gateway}");
    say!("  acme       http://{}/acme/jwks.json", settings.provider);
    say!("  globex     http://{}/globex/jwks.json", settings.provider);
    say!("  upstream   http://{} (answers with what it was asked)", settings.upstream);
    say!("  documents  {files}");
}

/// Prints a request as a command, makes it, and prints what came back. Returns whether that is what
/// must come back.
async fn make(trial: &Trial, gateway: &str, client: &reqwest::Client) -> Result<bool, Failure> {
    let url = format!("{gateway}{}", trial.target());
    say!("\n{}", trial.what);
    let mut request = client.get(&url);
    match trial.header() {
        Some((name, value)) => {
            say!("  curl -i '{url}' -H '{name}: {value}'");
            request = request.header(name, value);
        }
        None => say!("  curl -i '{url}'"),
    }
    let response = request.send().await.map_err(text)?;
    let status = response.status();
    say!("  -> {status}");
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|field| String::from_utf8_lossy(field.as_bytes()).into_owned());
    if let Some(challenge) = &challenge {
        say!("     WWW-Authenticate: {challenge}");
    }
    if let Some(seconds) = response.headers().get("retry-after").and_then(|field| field.to_str().ok()) {
        say!("     Retry-After: {seconds}");
    }
    let body = response.text().await.map_err(text)?;
    say!(
        "     {}",
        if status.is_success() { what_the_upstream_saw(&body) } else { body.trim_end().to_owned() }
    );
    let good = status == trial.expected && challenge.unwrap_or_default().contains(trial.challenge);
    if !good {
        say!("     but {} {} was expected", trial.expected, trial.challenge);
    }
    Ok(good)
}

fn what_the_upstream_saw(body: &str) -> String {
    let saw: Value = serde_json::from_str(body).unwrap_or_default();
    let of = |name: &str| saw.get(name).and_then(Value::as_str).unwrap_or_default();
    let headers = saw.get("headers").and_then(Value::as_object);
    let about = headers
        .into_iter()
        .flatten()
        .filter(|(name, _)| matches!(name.as_str(), "x-user" | "x-issuer" | "authorization" | "cookie"));
    let about: Vec<String> =
        about.map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default())).collect();
    format!("upstream saw {} {}  {}", of("method"), of("target"), about.join("  ")).trim_end().to_owned()
}
