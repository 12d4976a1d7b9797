//! CPU time and memory of the server, and requests to its admin listener.
//!
//! Lives here: /proc, admin requests, percentiles. Not here: pages.

use std::{fs, io, net::SocketAddrV4, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// A process that is measured.
#[derive(Clone, Copy)]
pub(crate) enum Process {
    /// The server.
    Server(u32),
    /// The generator.
    Own,
}

/// Time-out for an answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Unit in which the kernel reports CPU time: a hundredth of a second on all hardware.
const TICK: Duration = Duration::from_millis(10);

impl Process {
    /// CPU time of all threads.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The fields follow the name, which is in parentheses and may contain any character.
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

    /// Resident memory in bytes.
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

/// CPU time used until a moment.
pub(crate) struct Used {
    at: Instant,
    server: Duration,
    own: Duration,
}

/// CPU time used between two moments.
pub(crate) struct Spent {
    time: Duration,
    server: Duration,
    own: Duration,
}

impl Used {
    /// CPU time used so far.
    pub(crate) fn so_far(server: u32) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            server: Process::Server(server).cpu()?,
            own: Process::Own.cpu()?,
        })
    }

    /// CPU time used since this moment.
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
    /// Number of events per second. `None` without events, here and below.
    pub(crate) fn rate(&self, count: u32) -> Option<f64> {
        (count > 0).then(|| round(f64::from(count) / self.time.as_secs_f64()))
    }

    /// CPU time of the server per event, in microseconds.
    pub(crate) fn server_us_per(&self, count: u32) -> Option<f64> {
        micros_per(self.server, count)
    }

    /// Share of one processor that the generator used. Near 1, the generator itself is the limit.
    pub(crate) fn own_share(&self) -> f64 {
        round(self.own.as_secs_f64() / self.time.as_secs_f64())
    }

    /// CPU time of the generator per event, in microseconds.
    pub(crate) fn own_us_per(&self, count: u32) -> Option<f64> {
        micros_per(self.own, count)
    }
}

/// Sends a request to the admin listener and returns the body of the answer.
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
    let answer = timeout(TIMEOUT, async {
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

/// The buckets of the daemon's histogram of hub latencies: upper bound in seconds, cumulative count. Empty for peers.
pub(crate) async fn hub_latencies(admin: SocketAddrV4) -> Vec<(f64, u64)> {
    let metrics = ask(admin, "GET", "/metrics", "").await.unwrap_or_default();
    let bucket = |line: &str| {
        let line = line.strip_prefix(r#"cla_socketserver_hub_latency_seconds_bucket{le=""#)?;
        let (bound, count) = line.split_once(r#""} "#)?;
        Some((bound.parse().ok()?, count.parse().ok()?))
    };
    metrics.lines().filter_map(bucket).collect()
}

/// Upper bound of the 99th percentile of the latencies between two readings, in milliseconds.
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
