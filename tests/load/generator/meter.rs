//! What the server costs, read off the kernel, and what its staff are told.
//!
//! Lives here: /proc, requests to the admin listener, percentiles. Not here: pages.

use std::{fs, io, net::SocketAddrV4, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// A process to be measured.
#[derive(Clone, Copy)]
pub(crate) enum Process {
    /// The server.
    Server(u32),
    /// The generator.
    Own,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The kernel counts the time of a process in hundredths of a second, whatever the hardware does.
const TICK: Duration = Duration::from_millis(10);

impl Process {
    /// The time that all its threads have spent on a processor.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The name before the last bracket may contain anything.
        let fields = stat
            .rsplit_once(')')
            .context("no name in /proc/PID/stat")?
            .1;
        let ticks = fields
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u32>);
        let ticks: u32 = ticks.sum::<Result<_, _>>()?;
        Ok(TICK * ticks)
    }

    /// The memory that it has in use, in bytes.
    pub(crate) fn resident(self) -> Result<u32> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: u32 = kibibytes.context("no VmRSS in /proc/PID/status")?.parse()?;
        Ok(kibibytes * 1024)
    }

    fn read(self, file: &str) -> io::Result<String> {
        match self {
            Self::Server(pid) => fs::read_to_string(format!("/proc/{pid}/{file}")),
            Self::Own => fs::read_to_string(format!("/proc/self/{file}")),
        }
    }
}

/// The time of processors that was used until a moment.
pub(crate) struct Used {
    at: Instant,
    server: Duration,
    own: Duration,
}

/// What was used between two moments.
pub(crate) struct Spent {
    time: Duration,
    server: Duration,
    own: Duration,
}

impl Used {
    /// All that has been used so far.
    pub(crate) fn so_far(server: u32) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            server: Process::Server(server).cpu()?,
            own: Process::Own.cpu()?,
        })
    }

    /// What has been used since.
    pub(crate) fn until_now(&self, server: u32) -> Result<Spent> {
        let now = Self::so_far(server)?;
        Ok(Spent {
            time: now.at - self.at,
            server: now.server.saturating_sub(self.server),
            own: now.own.saturating_sub(self.own),
        })
    }
}

impl Spent {
    /// So many a second. Nothing is made of nothing, here and below.
    pub(crate) fn pace(&self, count: u32) -> Option<f64> {
        (count > 0).then(|| round(f64::from(count) / self.time.as_secs_f64()))
    }

    /// Microseconds of the server for each of so many.
    pub(crate) fn server_us_per(&self, count: u32) -> Option<f64> {
        micros_per(self.server, count)
    }

    /// How much of its one processor the generator used: near 1, what is measured is its own limit.
    pub(crate) fn own_share(&self) -> f64 {
        round(self.own.as_secs_f64() / self.time.as_secs_f64())
    }

    /// Those of the generator.
    pub(crate) fn own_us_per(&self, count: u32) -> Option<f64> {
        micros_per(self.own, count)
    }
}

/// Asks the admin listener, and returns the body of the answer.
pub(crate) async fn ask(
    admin: SocketAddrV4,
    method: &str,
    path: &str,
    body: &str,
) -> Result<String> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    });
    let answer = answer.await??;
    let Some(("HTTP/1.1 200 OK", rest)) = answer.split_once("\r\n") else {
        bail!(
            "{method} {path}: {}",
            answer.lines().next().unwrap_or_default()
        );
    };
    let (_, body) = rest
        .split_once("\r\n\r\n")
        .context("an answer without a body")?;
    Ok(body.to_owned())
}

/// How often the hub was how fast, by the upper bound in seconds, counted with all that was faster. Peers do not say.
pub(crate) async fn hub_latencies(admin: SocketAddrV4) -> Vec<(f64, u64)> {
    let metrics = ask(admin, "GET", "/metrics", "").await.unwrap_or_default();
    let bucket = |line: &str| {
        let line = line.strip_prefix(r#"cla_socketserver_hub_latency_seconds_bucket{le=""#)?;
        let (bound, count) = line.split_once(r#""} "#)?;
        Some((bound.parse().ok()?, count.parse().ok()?))
    };
    metrics.lines().filter_map(bucket).collect()
}

/// A bound that 99 of 100 events kept to in the meantime, in milliseconds.
pub(crate) fn p99_at_most_ms(before: &[(f64, u64)], after: &[(f64, u64)]) -> Option<f64> {
    let counts = before
        .iter()
        .zip(after)
        .map(|((bound, before), (_, after))| (bound, after - before));
    let all = counts.clone().next_back()?.1;
    if all == 0 {
        return None;
    }
    let (bound, _) = counts.clone().find(|(_, count)| count * 100 >= all * 99)?;
    Some(bound * 1000.0)
}

/// Percentiles, in milliseconds.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |thousandths: usize| {
        let index = (times.len() * thousandths / 1000).min(times.len().saturating_sub(1));
        times
            .get(index)
            .map(|time| round(time.as_secs_f64() * 1000.0))
    };
    json!({ "p50": at(500), "p99": at(990), "p99.9": at(999), "max": at(1000) })
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn micros_per(time: Duration, count: u32) -> Option<f64> {
    (count > 0).then(|| round(time.as_secs_f64() * 1_000_000.0 / f64::from(count)))
}
