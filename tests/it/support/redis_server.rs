//! A real Redis of a test's own, where one is installed.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

/// A running server without persistence; killed when it goes out of scope.
pub(crate) struct RedisServer {
    child: Child,
    stopped: StoppedRedis,
}

/// One that was killed, and can be started where it was.
pub(crate) struct StoppedRedis {
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Nothing where there is no `redis-server`, which is told.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with these arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            tell_that_there_is_none();
            return None;
        }
        // Another process may take the port before Redis does: then it ends, and another one is tried.
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let arguments = arguments.iter().map(ToString::to_string).collect();
            let stopped = StoppedRedis { port, folder: TempDir::new().unwrap(), arguments };
            if let Ok(server) = stopped.spawn() {
                return Some(server);
            }
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.stopped.port
    }

    pub(crate) fn url(&self) -> String {
        self.url_with("")
    }

    /// With what stands before the host.
    pub(crate) fn url_with(&self, credentials: &str) -> String {
        format!("redis://{credentials}127.0.0.1:{}/0", self.port())
    }

    /// Kills it at once, as `kill -9` does.
    pub(crate) fn kill(mut self) -> StoppedRedis {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let empty = StoppedRedis { port: 0, folder: TempDir::new().unwrap(), arguments: Vec::new() };
        std::mem::replace(&mut self.stopped, empty)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command, whose words have no spaces; gives what is answered, as it comes.
    pub(crate) fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "{command}\r\nQUIT\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[expect(clippy::print_stderr, reason = "who runs the tests is to know what did not run")]
fn tell_that_there_is_none() {
    eprintln!("skipped: there is no redis-server on the PATH; apt-get install redis-server");
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl StoppedRedis {
    /// Where it was.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts it where it was; what it had counted is forgotten.
    pub(crate) fn start_again(self) -> RedisServer {
        self.spawn().unwrap_or_else(|_| panic!("another process has taken the port"))
    }

    fn spawn(self) -> Result<RedisServer, Self> {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(self.folder.path()).args(&self.arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        loop {
            line.clear();
            if said.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                return Err(self);
            }
            if line.contains("Ready to accept connections") {
                break;
            }
        }
        // It must not wait for somebody to read what it says.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Ok(RedisServer { child, stopped: self })
    }
}
