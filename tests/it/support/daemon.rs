//! A daemon of one's own for each test.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::UdpSocket,
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::{
    http,
    wire::{Browser, Version},
};

const BINARY: &str = env!("CARGO_BIN_EXE_cla-socketserver");

/// The configuration file in its working directory.
const FILE: &str = "config.toml";

/// Nothing that a test waits for may take longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a test may want to be different about its daemon.
pub struct Settings {
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// What a shell does before it becomes the daemon.
    shell: Option<String>,
    /// What is in its configuration file, if it has one.
    file: Option<String>,
    stdin: Option<Stdio>,
}

/// A running daemon. It is killed when the test lets go of it.
pub struct Daemon {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub statsd: UdpSocket,
    /// The latest value of each gauge that a test has read, and the total of each counter.
    pub gauges: BTreeMap<String, String>,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    /// Log lines that were read while looking for another one.
    pub logged: Vec<Value>,
    /// A working directory with nothing in it but its configuration file, so that nothing of this one can matter.
    dir: TempDir,
}

pub fn settings() -> Settings {
    Settings {
        args: Vec::new(),
        env: Vec::new(),
        shell: None,
        file: None,
        stdin: None,
    }
}

impl Settings {
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Has a configuration file. What a file shall decide is not said by variables, which would overrule it.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Lets browsers send as fast as they like.
    pub fn hasty(self) -> Self {
        self.env("CLA_LIMITS__EVENTS_PER_SECOND", 1_000_000)
            .env("CLA_LIMITS__EVENTS_BURST", 1_000_000)
            .env("CLA_LIMITS__BYTES_PER_SECOND", 100 * 1024 * 1024)
    }

    /// Starts the daemon with another standard input than none.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Limits how many files may be open: at first, and at most.
    pub fn files(mut self, soft: usize, hard: usize) -> Self {
        self.shell = Some(format!("ulimit -S -n {soft} && ulimit -H -n {hard}"));
        self
    }

    /// Lets a file that grows beyond its limit be an error, and not the end.
    pub fn files_may_be_too_large(mut self) -> Self {
        self.shell = Some("trap '' XFSZ".to_owned());
        self
    }

    /// Starts the daemon on free ports and returns once it is ready.
    pub async fn start(self) -> Daemon {
        let statsd = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let dir = TempDir::new().unwrap();
        let mut command = self.shell.map_or_else(binary, binary_after);
        if let Some(text) = &self.file {
            let path = dir.path().join(FILE);
            fs::write(&path, text).unwrap();
            command.arg("--config").arg(path);
        } else {
            command
                // Without it there is a warning.
                .env("SITE_HOSTNAME", "chs.example")
                .env("CLA_LOG__LEVEL", "debug")
                // Longer than a test waits: what is seen at once is not a place that lapsed.
                .env("CLA_PRESENCE__GRACE_MS", "60000");
        }
        command
            .stdin(self.stdin.unwrap_or_else(Stdio::null))
            .env("CLA_PUBLIC__LISTEN", "127.0.0.1:0")
            .env("CLA_ADMIN__LISTEN", "127.0.0.1:0")
            .env("STATSD_HOST", "127.0.0.1")
            .env(
                "STATSD_PORT",
                statsd.local_addr().unwrap().port().to_string(),
            )
            .env("CLA_LOG__FORMAT", "json")
            .envs(self.env)
            .args(self.args)
            .current_dir(dir.path());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut daemon = Daemon {
            public: unknown,
            admin: unknown,
            statsd,
            gauges: BTreeMap::new(),
            child,
            log,
            logged: Vec::new(),
            dir,
        };
        daemon.until_logged("ready").await;
        daemon.public = daemon.addresses("public")[0];
        daemon.admin = daemon.addresses("admin")[0];
        daemon
    }
}

impl Daemon {
    /// Writes its configuration file anew and has it read that; returns the line that says what came of it.
    pub async fn reload(&mut self, text: &str) -> Value {
        fs::write(self.config(), text).unwrap();
        self.signal(Signal::SIGHUP);
        self.until_logged("reloaded").await
    }

    /// Where its configuration file is.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    pub async fn browser(&self, version: Version) -> Browser {
        Browser::connect(self.public, version).await
    }

    pub async fn get(&self, path: &str) -> http::Answer {
        http::request(self.admin, "GET", path, &[], "").await
    }

    pub async fn people(&self) -> Value {
        self.get("/admin/peopleMap/").await.json()
    }

    /// Waits until that can be said of the people who are connected.
    pub async fn until_people(&self, so: impl Fn(&Value) -> bool) {
        let reached = timeout(PATIENCE, async { while !so(&self.people().await) {} });
        assert!(reached.await.is_ok(), "{}", self.people().await);
    }

    /// Waits until the page of metrics has that line.
    pub async fn until_shown(&self, line: &str) {
        let reached = timeout(PATIENCE, async {
            while !self.get("/metrics").await.body.lines().any(|it| it == line) {}
        });
        let in_time = reached.await.is_ok();
        assert!(
            in_time,
            "{line} not in\n{}",
            self.get("/metrics").await.body
        );
    }

    /// Waits until something has been counted so often.
    pub async fn counted(&self, family: &str, reason: &str, count: usize) {
        let name = format!("cla_socketserver_{family}_total");
        self.until_shown(&format!("{name}{{reason=\"{reason}\"}} {count}"))
            .await;
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().try_into().unwrap())
    }

    pub async fn exit(&mut self) -> ExitStatus {
        let exit = timeout(PATIENCE, self.child.wait()).await;
        exit.expect("the daemon should have ended").unwrap()
    }

    /// Reads the log until a message contains `text`.
    pub async fn until_logged(&mut self, text: &str) -> Value {
        loop {
            let line = timeout(PATIENCE, self.log.next_line()).await;
            let line = line
                .unwrap_or_else(|_| panic!("not logged: {text}"))
                .unwrap();
            let line = line.unwrap_or_else(|| panic!("ended without: {text}; {:?}", self.logged));
            let line: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.logged.push(line.clone());
            if line["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
            {
                return line;
            }
        }
    }

    /// Everything that was logged until the end.
    pub async fn whole_log(&mut self) -> &[Value] {
        while let Some(line) = self.log.next_line().await.unwrap() {
            self.logged.push(serde_json::from_str(&line).unwrap());
        }
        &self.logged
    }

    /// Where a listener can be reached, in the order of the configuration.
    pub fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        let lines = self
            .logged
            .iter()
            .filter(|line| line["listen.name"] == name);
        lines
            .map(|line| line["listen.addr"].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

/// The binary with an empty environment.
pub fn binary() -> Command {
    isolated(Command::new(BINARY))
}

fn binary_after(what: String) -> Command {
    let mut shell = Command::new("/bin/sh");
    let then = format!(r#"{what} && exec "$0" "$@""#);
    shell.args(["-c", &then, BINARY]);
    isolated(shell)
}

fn isolated(mut command: Command) -> Command {
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
