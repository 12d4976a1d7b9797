//! A configuration is either refused with a readable message, or loads to the same values from the output of `check`.
//!
//! An input is lines `NAME=value` for variables and `--public-listen=…` or `--admin-listen=…` for flags, a line `---`, and
//! the file. Lines `public.socket=…` and `admin.socket=…` are addresses of sockets that systemd has opened.
#![no_main]

use std::{
    env,
    fs::{self, File},
    net::{IpAddr, SocketAddr},
    os::fd::IntoRawFd,
    path::PathBuf,
    process,
    sync::LazyLock,
};

use cla_socketserver::config::{self, Flags, Loaded, Sockets};
use libfuzzer_sys::fuzz_target;

/// The configuration file: in memory where possible, and already deleted, so that nothing is left behind.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        env::temp_dir()
    };
    let path = folder.join(format!("cla-socketserver-fuzz-{}", process::id()));
    let file = File::create(&path).expect("a file");
    fs::remove_file(&path).expect("the same file");
    format!("/proc/self/fd/{}", file.into_raw_fd()).into()
});

/// Everything except the file.
#[derive(Default)]
struct Surroundings {
    variables: Vec<(String, String)>,
    flags: Flags,
    public: Vec<SocketAddr>,
    admin: Vec<SocketAddr>,
}

fuzz_target!(|input: &[u8]| {
    let separator = b"\n---\n";
    let at = input
        .windows(separator.len())
        .position(|window| window == separator);
    let (head, file) = at.map_or((&b""[..], input), |at| {
        (&input[..at], &input[at + separator.len()..])
    });
    let surroundings = Surroundings::read(&String::from_utf8_lossy(head));
    fs::write(&*FILE, file).expect("a file that can be written");
    let outcome = surroundings.load(surroundings.variables.clone());
    match outcome {
        Ok(loaded) => {
            keeps_its_bounds(&loaded);
            loads_again_from_check(&loaded, &surroundings);
        }
        Err(refusal) => is_readable(&refusal),
    }
});

impl Surroundings {
    fn read(text: &str) -> Self {
        let mut read = Self::default();
        read.flags.config = Some(FILE.clone());
        for line in text.lines() {
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            match name {
                "--public-listen" => read.flags.public_listen.push(value.to_owned()),
                "--admin-listen" => read.flags.admin_listen.push(value.to_owned()),
                "public.socket" => read.public.extend(value.parse::<SocketAddr>()),
                "admin.socket" => read.admin.extend(value.parse::<SocketAddr>()),
                name => read.variables.push((name.to_owned(), value.to_owned())),
            }
        }
        read
    }

    fn load(&self, variables: Vec<(String, String)>) -> Result<Loaded, String> {
        let sockets = Sockets::passed(&self.public, &self.admin);
        config::load(&self.flags, variables, &sockets).map_err(|errors| errors.to_string())
    }
}

/// Checks the properties that the rest of the daemon relies on.
fn keeps_its_bounds(Loaded { config, .. }: &Loaded) {
    assert!(!config.public.listen.is_empty() && !config.admin.listen.is_empty());
    assert!(
        config
            .admin
            .listen
            .iter()
            .all(|address| is_private(address.ip()))
    );
    assert!(
        config
            .presence
            .state_dir
            .iter()
            .all(|path| path.is_absolute())
    );
    assert!((1..=1_000_000).contains(&config.limits.sessions));
    assert!(config.statsd.host.is_ascii() && config.statsd.prefix.is_ascii());
    let names = [&config.site_hostnames, &config.admin.hostnames];
    let lower = |name: &String| name.is_ascii() && name.to_ascii_lowercase() == *name;
    assert!(names.into_iter().flatten().all(lower));
}

/// Whether an address is loopback or private. An IPv4-mapped IPv6 address counts as IPv4.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// Checks that the output of `check`, used as a file, loads to the same configuration.
fn loads_again_from_check(loaded: &Loaded, surroundings: &Surroundings) {
    let text = loaded.effective.to_string();
    fs::write(&*FILE, &text).expect("a file that can be written");
    let alone = Surroundings {
        flags: Flags {
            config: Some(FILE.clone()),
            ..Flags::default()
        },
        public: surroundings.public.clone(),
        admin: surroundings.admin.clone(),
        variables: Vec::new(),
    };
    match alone.load(Vec::new()) {
        Ok(again) => assert_eq!(again.config, loaded.config, "{text}"),
        Err(refusal) => panic!("{refusal}\n{text}"),
    }
}

/// Checks that each line of a refusal names its source and is printable.
fn is_readable(refusal: &str) {
    assert!(!refusal.is_empty());
    for line in refusal.lines() {
        let names = line.starts_with("config file ") || line.contains(" = ");
        assert!(names && !line.contains(char::is_control), "{line:?}");
    }
}
