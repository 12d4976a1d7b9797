//! A StatsD server: it reads datagrams, each of which is one line.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    net::{ToSocketAddrs, UdpSocket},
    time::timeout,
};

use super::WAIT;

/// A StatsD server.
pub struct StatsdServer {
    socket: UdpSocket,
    /// The latest value of each gauge, and the total of each counter, of the datagrams that were read.
    pub latest: BTreeMap<String, String>,
}

impl StatsdServer {
    pub async fn bind(address: impl ToSocketAddrs) -> Self {
        Self {
            socket: UdpSocket::bind(address).await.unwrap(),
            latest: BTreeMap::new(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Reads datagrams until the latest values are as expected, all at the same time.
    ///
    /// A line is `name:value|g` for a gauge, `name:total|c` for a counter, and `name:least|ms` for a measured time.
    pub async fn until(&mut self, lines: &[&str]) {
        let reading = timeout(WAIT, async {
            while !lines.iter().all(|line| self.has(line)) {
                self.read().await;
            }
        });
        let in_time = reading.await.is_ok();
        assert!(in_time, "expected {lines:?}, got {:?}", self.latest);
    }

    /// Reads datagrams until one starts with `beginning`.
    pub async fn until_line(&mut self, beginning: &str) {
        let mut lines = Vec::new();
        let reading = timeout(WAIT, async {
            while !lines
                .last()
                .is_some_and(|line: &String| line.starts_with(beginning))
            {
                lines.push(self.read().await);
            }
        });
        let in_time = reading.await.is_ok();
        assert!(in_time, "expected {beginning}, got {lines:?}");
    }

    async fn read(&mut self) -> String {
        let mut buffer = [0; 1500];
        let length = self.socket.recv(&mut buffer).await.unwrap();
        let line = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let (name, value) = line.split_once(':').unwrap();
        let before = self.latest.get(name).map_or("0|c", String::as_str);
        let value = total(before, value);
        self.latest.insert(name.to_owned(), value);
        line
    }

    fn has(&self, line: &str) -> bool {
        let (name, expected) = line.split_once(':').unwrap();
        let latest = self.latest.get(name);
        latest.is_some_and(|latest| latest == expected || is_about(latest, expected))
    }
}

/// Counts add up. A gauge or a time replaces the value before it.
fn total(before: &str, value: &str) -> String {
    let count = |value: &str| value.strip_suffix("|c")?.parse::<u64>().ok();
    match (count(before), count(value)) {
        (Some(before), Some(count)) => format!("{}|c", before + count),
        _ => value.to_owned(),
    }
}

/// A measured time is a little longer than the time that must have passed.
fn is_about(measured: &str, least: &str) -> bool {
    let millis = |value: &str| value.strip_suffix("|ms")?.parse::<u64>().ok();
    match (millis(measured), millis(least)) {
        (Some(measured), Some(least)) => (least..least + 5000).contains(&measured),
        _ => false,
    }
}
