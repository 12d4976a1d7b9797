//! A daemon of its own for each test: the real binary, real sockets, free ports.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{
        Signal::{self, SIGHUP, SIGKILL, SIGTERM},
        kill,
    },
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use super::{
    WAIT,
    browser::{Browser, Headers},
    http, people,
    protocol::Version,
    statsd::StatsdServer,
};

const BINARY: &str = env!("CARGO_BIN_EXE_cla-socketserver");

/// The name of the configuration file in the working directory.
const FILE: &str = "config.toml";

/// The settings with which a test starts its daemon.
pub struct Settings {
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// A command of the shell that then becomes the daemon.
    shell: Option<String>,
    /// The text of the configuration file, if there is one.
    file: Option<String>,
    stdin: Option<Stdio>,
}

/// A running daemon. It is killed when it is dropped.
pub struct Daemon {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub statsd: StatsdServer,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    /// The log lines that were read so far.
    pub logged: Vec<Value>,
    /// The working directory. It holds the configuration file and nothing else.
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

    /// Has a configuration file. Variables overrule a file, so the defaults of these tests are not set then.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Lets browsers send as fast as they can.
    pub fn without_rate_limits(self) -> Self {
        self.env("CLA_LIMITS__EVENTS_PER_SECOND", 1_000_000)
            .env("CLA_LIMITS__EVENTS_BURST", 1_000_000)
            .env("CLA_LIMITS__BYTES_PER_SECOND", 100 * 1024 * 1024)
    }

    /// Gives the daemon a standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Sets the soft and the hard limit of open files.
    pub fn files(mut self, soft: usize, hard: usize) -> Self {
        self.shell = Some(format!("ulimit -S -n {soft} && ulimit -H -n {hard}"));
        self
    }

    /// Ignores the signal `SIGXFSZ`, so that writing beyond the limit of a file is an error.
    pub fn files_may_be_too_large(mut self) -> Self {
        self.shell = Some("trap '' XFSZ".to_owned());
        self
    }

    /// Starts the daemon on free ports and returns once it is ready.
    pub async fn start(self) -> Daemon {
        let statsd = StatsdServer::bind("127.0.0.1:0").await;
        let dir = TempDir::new().unwrap();
        let mut command = self.shell.map_or_else(binary, binary_after);
        if let Some(text) = &self.file {
            let path = dir.path().join(FILE);
            fs::write(&path, text).unwrap();
            command.arg("--config").arg(path);
        } else {
            command
                // Without a site there is a warning.
                .env("SITE_HOSTNAME", "chs.example")
                .env("CLA_LOG__LEVEL", "debug")
                // Longer than `WAIT`, so no place lapses during a test.
                .env("CLA_PRESENCE__GRACE_MS", "60000");
        }
        command
            .stdin(self.stdin.unwrap_or_else(Stdio::null))
            .env("CLA_PUBLIC__LISTEN", "127.0.0.1:0")
            .env("CLA_ADMIN__LISTEN", "127.0.0.1:0")
            .env("STATSD_HOST", "127.0.0.1")
            .env("STATSD_PORT", statsd.address().port().to_string())
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
    /// Replaces the configuration file, reloads it, and returns the log line of the reload.
    pub async fn reload(&mut self, text: &str) -> Value {
        fs::write(self.config(), text).unwrap();
        self.signal(SIGHUP);
        self.until_logged("reloaded").await
    }

    /// The path of the configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    pub async fn browser(&self, version: Version) -> Browser {
        Browser::connect(self.public, version).await
    }

    /// A browser that has identified and opened a case, and whose list of viewers has its own name.
    pub async fn browser_on_case(&self, version: Version, name: &str, case: &str) -> Browser {
        self.browser_on_case_with(version, name, case, &[]).await
    }

    /// The same, with more headers in the handshake.
    pub async fn browser_on_case_with(
        &self,
        version: Version,
        name: &str,
        case: &str,
        headers: Headers<'_>,
    ) -> Browser {
        let mut browser = Browser::returning(self.public, version, name, headers).await;
        browser.open_case(case).await;
        browser.until_listed(name).await;
        browser
    }

    pub async fn get(&self, path: &str) -> http::Answer {
        http::request(self.admin, "GET", path, &[], "").await
    }

    /// Posts JSON to the admin app and returns the JSON of the answer.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = http::post_json(self.admin, path, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Notifies all operators and returns the receipt.
    pub async fn notify(&self, notifications: Value) -> Value {
        let body = json!({ "notifications": notifications });
        let receipt = self.post("/admin/notifications/", &body).await;
        assert_eq!(receipt["success"], true, "{receipt}");
        receipt
    }

    pub async fn people(&self) -> Value {
        self.get("/admin/peopleMap/").await.json()
    }

    /// Waits until `is_expected` holds for the people map.
    pub async fn until_people(&self, is_expected: impl Fn(&Value) -> bool) {
        let reached = timeout(WAIT, async { while !is_expected(&self.people().await) {} });
        assert!(reached.await.is_ok(), "{}", self.people().await);
    }

    /// Waits until nobody is connected or lost.
    pub async fn until_nobody(&self) {
        self.until_people(|people| *people == json!({})).await;
    }

    /// Waits until a user has connections, and all of them are lost.
    pub async fn until_lost(&self, name: &str) {
        self.until_people(|people| people::is_lost(people, name))
            .await;
    }

    /// Waits until the metrics page has this line.
    pub async fn until_shown(&self, line: &str) {
        let reached = timeout(WAIT, async {
            while !self.get("/metrics").await.body.lines().any(|it| it == line) {}
        });
        let in_time = reached.await.is_ok();
        assert!(
            in_time,
            "{line} not in\n{}",
            self.get("/metrics").await.body
        );
    }

    /// Waits until a counter has this value.
    pub async fn until_counted(&self, family: &str, reason: &str, count: usize) {
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
        let exit = timeout(WAIT, self.child.wait()).await;
        exit.expect("the daemon should have ended").unwrap()
    }

    /// Stops the daemon (`SIGTERM`) and asserts that it ends cleanly.
    pub async fn stop(&mut self) {
        self.signal(SIGTERM);
        assert_eq!(self.exit().await.code(), Some(0));
    }

    /// Kills the daemon (`SIGKILL`).
    pub async fn crash(&mut self) {
        self.signal(SIGKILL);
        assert_eq!(self.exit().await.code(), None);
    }

    /// Reads the log until a message contains `text`.
    pub async fn until_logged(&mut self, text: &str) -> Value {
        loop {
            let line = timeout(WAIT, self.log.next_line()).await;
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

    /// All log lines of a daemon that has ended.
    pub async fn whole_log(&mut self) -> &[Value] {
        while let Some(line) = self.log.next_line().await.unwrap() {
            self.logged.push(serde_json::from_str(&line).unwrap());
        }
        &self.logged
    }

    /// All warnings and errors of a daemon that has ended.
    pub async fn problems(&mut self) -> Vec<String> {
        let log = self.whole_log().await.iter();
        let problems = log.filter(|line| line["level"] == "WARN" || line["level"] == "ERROR");
        problems
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Stops the daemon, asserts that it logged exactly one warning or error, and returns that.
    pub async fn stop_after_one_problem(&mut self) -> String {
        self.stop().await;
        let problems = self.problems().await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.concat()
    }

    /// The addresses of a listener, in the order of the configuration.
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

/// The binary, started by a shell after `command`.
fn binary_after(command: String) -> Command {
    let mut shell = Command::new("/bin/sh");
    let then = format!(r#"{command} && exec "$0" "$@""#);
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
