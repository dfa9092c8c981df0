//! The real binary on free ports.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    os::unix::{fs::lchown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Answer, Request};

pub(crate) const ADMIN_SECRET: &str = "a-secret-of-this-test";
/// How long the gateway may take to say something before a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimgate"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A folder of the material beside the checkout, if it is there.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder);
    path.is_dir().then_some(path)
}

/// Files for a gateway, not started yet.
#[derive(Clone)]
pub(crate) struct Setup {
    folder: Arc<TempDir>,
    env: Vec<(String, String)>,
    is_unprivileged: bool,
}

impl Setup {
    /// An empty folder with a policy `all` that grants the APIs of [`Setup::api`].
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["api-definitions", "policies"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let folder = Arc::new(folder);
        let setup = Self { folder, env: Vec::new(), is_unprivileged: false };
        setup.config(&json!({}))
    }

    /// Writes the gateway's own configuration, with changes to what tests need.
    pub(crate) fn config(self, changes: &Value) -> Self {
        let mut config = json!({
            "listen": "127.0.0.1:0",
            "workers": 1,
            "admin": { "listen": "127.0.0.1:0", "secret": ADMIN_SECRET },
            "definitions": "api-definitions",
            "policies": "policies",
            // Tests say when something is read again.
            "watch": "off",
        });
        super::merge(&mut config, changes.clone());
        self.file("claimgate.yaml", &config.to_string())
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds an API that the policy `all` grants.
    pub(crate) fn api(self, document: &Value) -> Self {
        let id = document["x-tyk-api-gateway"]["info"]["id"].as_str().unwrap().to_owned();
        let path = self.path("policies/all.json");
        let mut policy: Value = fs::read(&path)
            .map_or_else(|_| json!({ "id": "all" }), |text| serde_json::from_slice(&text).unwrap());
        super::merge(&mut policy, json!({ "access_rights": { id.clone(): { "api_id": id } } }));
        self.file("policies/all.json", &policy.to_string())
            .file(&format!("api-definitions/{id}.json"), &document.to_string())
    }

    pub(crate) fn policy(self, policy: &Value) -> Self {
        let id = policy["id"].as_str().unwrap().to_owned();
        self.file(&format!("policies/{id}.json"), &policy.to_string())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = binary();
        command.arg(subcommand).current_dir(self.folder.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(nobody) = self.nobody() {
            give(self.folder.path(), nobody);
            command.uid(nobody);
        }
        command
    }

    /// The gateway runs without the rights of root, for whom no folder is closed.
    pub(crate) fn unprivileged(mut self) -> Self {
        self.is_unprivileged = true;
        self
    }

    /// Somebody other than root, if that is who runs the tests.
    fn nobody(&self) -> Option<u32> {
        const NOBODY: u32 = 65534;
        (self.is_unprivileged && geteuid().is_root()).then_some(NOBODY)
    }

    /// `claimgate check`.
    pub(crate) fn check(&self) -> Output {
        self.command("check").output().unwrap()
    }

    #[track_caller]
    pub(crate) fn start(self) -> Gateway {
        Gateway::start(self)
    }
}

/// Gives a folder to somebody, with all that is in it.
fn give(path: &Path, owner: u32) {
    lchown(path, Some(owner), None).unwrap();
    for entry in fs::read_dir(path).into_iter().flatten() {
        give(&entry.unwrap().path(), owner);
    }
}

/// What a stream of the process has said so far.
#[derive(Default)]
struct Said {
    text: Mutex<(String, bool)>,
    more: Condvar,
}

impl Said {
    fn listen(stream: impl Read + Send + 'static) -> Arc<Self> {
        let said = Arc::new(Self::default());
        let own = Arc::clone(&said);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = own.text.lock().unwrap();
                text.0.push_str(&line);
                text.0.push('\n');
                own.more.notify_all();
            }
            own.text.lock().unwrap().1 = true;
            own.more.notify_all();
        });
        said
    }

    /// Waits until what was said contains `part`.
    #[track_caller]
    fn wait_for(&self, part: &str) -> String {
        let text = self.wait_until(|text| text.contains(part));
        assert!(text.contains(part), "{part:?} was not said, but:\n{text}");
        text
    }

    fn wait_until(&self, enough: impl Fn(&str) -> bool) -> String {
        let text = self.text.lock().unwrap();
        let waiting = |(text, ended): &mut (String, bool)| !enough(text) && !*ended;
        self.more.wait_timeout_while(text, PATIENCE, waiting).unwrap().0.0.clone()
    }

    fn wait_for_end(&self) -> String {
        let text = self.text.lock().unwrap();
        self.more.wait_timeout_while(text, PATIENCE, |(_, ended)| !*ended).unwrap().0.0.clone()
    }
}

/// A running gateway; killed when it goes out of scope.
pub(crate) struct Gateway {
    setup: Setup,
    child: Child,
    log: Arc<Said>,
    requests: Arc<Said>,
    address: SocketAddr,
    admin: SocketAddr,
    sent: AtomicUsize,
}

impl Gateway {
    #[track_caller]
    fn start(setup: Setup) -> Self {
        let mut child = setup.command("run").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Said::listen(child.stderr.take().unwrap());
        let requests = Said::listen(child.stdout.take().unwrap());
        let text = log.wait_for("control API on http");
        let after = |mark: &str| text.split(mark).nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let address = after("listening on http://").unwrap();
        let admin = after("control API on http://").or_else(|| after("control API on https://")).unwrap();
        Self { setup, child, log, requests, address, admin, sent: AtomicUsize::new(0) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Another one that starts now, with the same files.
    #[track_caller]
    pub(crate) fn twin(&self) -> Self {
        self.setup.clone().start()
    }

    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.sent.fetch_add(1, Ordering::SeqCst);
        request.send(self.address)
    }

    /// A request to the control API, with its secret.
    #[track_caller]
    pub(crate) fn admin(&self, request: Request) -> Answer {
        request.header("x-tyk-authorization", ADMIN_SECRET).send(self.admin)
    }

    #[track_caller]
    pub(crate) fn admin_without_secret(&self, request: &Request) -> Answer {
        request.send(self.admin)
    }

    /// What the control API tells Prometheus.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.admin_without_secret(&Request::get("/metrics")).text()
    }

    /// What the gateway says would become of a request, or whatever else is asked.
    #[track_caller]
    pub(crate) fn explain(&self, question: &Value) -> Value {
        let answer =
            self.admin(Request::new("POST", "/tyk/jwt/explain").body(question.to_string().as_bytes()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn reload(&self) -> Answer {
        self.admin(Request::get("/tyk/reload?block=true"))
    }

    /// The log, once `part` is in it.
    #[track_caller]
    pub(crate) fn log_with(&self, part: &str) -> String {
        self.log.wait_for(part)
    }

    /// The access log, once `part` is in it.
    #[track_caller]
    pub(crate) fn requests_with(&self, part: &str) -> String {
        self.requests.wait_for(part)
    }

    /// The access log, once it has so many lines and no more.
    #[track_caller]
    pub(crate) fn requests_until(&self, count: usize) -> String {
        let text = self.requests.wait_until(|text| text.lines().count() >= count);
        assert_eq!(text.lines().count(), count, "{text}");
        text
    }

    /// The line of the request that was sent last, where all were sent by [`Gateway::send`].
    #[track_caller]
    pub(crate) fn last_line(&self) -> String {
        let text = self.requests_until(self.sent.load(Ordering::SeqCst));
        text.lines().last().unwrap_or_default().to_owned()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Tells the gateway to stop; returns how it ended, and both logs.
    pub(crate) fn stop(self) -> (ExitStatus, String, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until the gateway that was told to stop has ended; its files are still there.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// How the gateway ended that was told to stop, and both logs.
    pub(crate) fn wait(mut self) -> (ExitStatus, String, String) {
        let status = self.ended();
        (status, self.log.wait_for_end(), self.requests.wait_for_end())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
