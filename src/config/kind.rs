//! Kinds of values: how a value of each kind is read, bounded, stored and printed.
//!
//! Invariant: [`Kind::store`] stores only values that [`Kind::accepts`] describes.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::Value;
use ipnet::IpNet;

use super::shown::shown;
use super::values::{Config, LogFormat, LogLevel};

/// Longest host name in DNS, in bytes.
const MAX_HOST_NAME_BYTES: usize = 253;

/// Longest label of a host name, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// Longest metric prefix, in bytes. A metric with its prefix must fit into one datagram.
const MAX_PREFIX_BYTES: usize = 100;

/// Access to one field of the configuration.
type Field<T> = fn(&mut Config) -> &mut T;

/// Form and bounds of a value, and the field that holds it.
#[derive(Debug)]
pub(super) enum Kind {
    Addresses(Field<Vec<SocketAddr>>),
    /// The number is the least number of items.
    Networks(usize, Field<Vec<IpNet>>),
    Directory(Field<Option<PathBuf>>),
    HostNames(Field<Vec<String>>),
    Host(Field<String>),
    Port(Field<u16>),
    Prefix(Field<String>),
    Count(RangeInclusive<usize>, Field<usize>),
    Rate(RangeInclusive<u32>, Field<NonZeroU32>),
    Millis(RangeInclusive<u64>, Field<Duration>),
    Format(Field<LogFormat>),
    Level(Field<LogLevel>),
}

impl Kind {
    /// Stores the acceptable part of a value and returns each unacceptable item as text.
    pub(super) fn store(&self, given: &Value, config: &mut Config) -> Vec<String> {
        match self {
            Self::Addresses(field) => list(given, 1, field(config), |item| item.parse().ok()),
            Self::Networks(at_least, field) => list(given, *at_least, field(config), network),
            Self::Directory(field) => one(given, field(config), |v| {
                let path = v.as_str()?;
                is_directory(path).then(|| (!path.is_empty()).then(|| path.into()))
            }),
            Self::HostNames(field) => list(given, 0, field(config), host_name),
            Self::Host(field) => one(given, field(config), host),
            Self::Port(field) => one(given, field(config), |v| number(v, &(1..=u16::MAX))),
            Self::Prefix(field) => one(given, field(config), prefix),
            Self::Count(range, field) => one(given, field(config), |v| number(v, range)),
            Self::Rate(range, field) => one(given, field(config), |v| {
                number(v, range).and_then(NonZeroU32::new)
            }),
            Self::Millis(range, field) => one(given, field(config), |v| {
                number(v, range).map(Duration::from_millis)
            }),
            Self::Format(field) => one(given, field(config), |v| {
                named(v, &LogFormat::ALL, LogFormat::name)
            }),
            Self::Level(field) => one(given, field(config), |v| {
                named(v, &LogLevel::ALL, LogLevel::name)
            }),
        }
    }

    /// The stored value in the syntax of the config file.
    pub(super) fn show(&self, config: &mut Config) -> String {
        match self {
            Self::Addresses(field) => {
                let texts: Vec<_> = field(config).iter().map(SocketAddr::to_string).collect();
                format!("{texts:?}")
            }
            Self::Networks(_, field) => {
                let texts: Vec<_> = field(config).iter().map(IpNet::to_string).collect();
                format!("{texts:?}")
            }
            Self::Directory(field) => {
                let path = field(config).as_deref().map(Path::to_string_lossy);
                quoted(&path.unwrap_or_default())
            }
            Self::HostNames(field) => format!("{:?}", field(config)),
            Self::Host(field) | Self::Prefix(field) => format!("{:?}", field(config)),
            Self::Port(field) => field(config).to_string(),
            Self::Count(_, field) => field(config).to_string(),
            Self::Rate(_, field) => field(config).to_string(),
            Self::Millis(_, field) => field(config).as_millis().to_string(),
            Self::Format(field) => format!("{:?}", field(config).name()),
            Self::Level(field) => format!("{:?}", field(config).name()),
        }
    }

    /// Copies the value from one configuration to another.
    pub(super) fn copy(&self, from: &mut Config, to: &mut Config) {
        match self {
            Self::Addresses(field) => field(to).clone_from(field(from)),
            Self::Networks(_, field) => field(to).clone_from(field(from)),
            Self::Directory(field) => field(to).clone_from(field(from)),
            Self::HostNames(field) => field(to).clone_from(field(from)),
            Self::Host(field) | Self::Prefix(field) => field(to).clone_from(field(from)),
            Self::Port(field) => *field(to) = *field(from),
            Self::Count(_, field) => *field(to) = *field(from),
            Self::Rate(_, field) => *field(to) = *field(from),
            Self::Millis(_, field) => *field(to) = *field(from),
            Self::Format(field) => *field(to) = *field(from),
            Self::Level(field) => *field(to) = *field(from),
        }
    }

    /// A description of the acceptable values that can follow "must be".
    pub(super) fn accepts(&self) -> String {
        match self {
            Self::Addresses(_) => "one or more ADDRESS:PORT, IPv6 as [ADDRESS]:PORT".to_owned(),
            Self::Networks(0, _) => {
                "a list of IP addresses and networks, such as 10.0.1.0/24".to_owned()
            }
            Self::Networks(..) => {
                "one or more IP addresses and networks, such as 10.0.1.0/24".to_owned()
            }
            Self::Directory(_) => "an absolute path, or empty".to_owned(),
            Self::HostNames(_) => {
                "a list of host names, without scheme, path or wildcard".to_owned()
            }
            Self::Host(_) => "a host name or an IP address, without a port".to_owned(),
            Self::Port(_) => format!("a whole number from 1 to {}", u16::MAX),
            Self::Prefix(_) => {
                format!("at most {MAX_PREFIX_BYTES} letters, digits, dots, underscores and hyphens")
            }
            Self::Count(range, _) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Self::Rate(range, _) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Self::Millis(range, _) => format!(
                "a whole number of milliseconds from {} to {}",
                range.start(),
                range.end()
            ),
            Self::Format(_) => format!("one of {}", LogFormat::ALL.map(LogFormat::name).join(", ")),
            Self::Level(_) => format!("one of {}", LogLevel::ALL.map(LogLevel::name).join(", ")),
        }
    }

    /// Reads the text of a variable or flag: as a number where the key holds one.
    pub(super) fn value_of(&self, text: &str) -> Value {
        let text = text.trim();
        match self {
            Self::Port(_) | Self::Count(..) | Self::Rate(..) | Self::Millis(..) => text
                .parse::<i128>()
                .map_or_else(|_| Value::from(text), Value::from),
            Self::Addresses(_)
            | Self::Networks(..)
            | Self::Directory(_)
            | Self::HostNames(_)
            | Self::Host(_)
            | Self::Prefix(_)
            | Self::Format(_)
            | Self::Level(_) => Value::from(text),
        }
    }
}

/// A TOML string. TOML and Rust escape different characters, so `{:?}` does not do.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn one<T>(given: &Value, field: &mut T, read: impl Fn(&Value) -> Option<T>) -> Vec<String> {
    match read(given) {
        Some(value) => {
            *field = value;
            Vec::new()
        }
        None => vec![shown(given)],
    }
}

/// Stores the good items of a list and returns the bad ones, so that one mistake does not hide another.
fn list<T>(
    given: &Value,
    at_least: usize,
    field: &mut Vec<T>,
    read: impl Fn(&str) -> Option<T>,
) -> Vec<String> {
    field.clear();
    let Some(items) = items(given).filter(|items| items.len() >= at_least) else {
        return vec![shown(given)];
    };
    let mut refused = Vec::new();
    for item in &items {
        match item.as_str().map(str::trim).and_then(&read) {
            Some(value) => field.push(value),
            None => refused.push(shown(item)),
        }
    }
    refused
}

/// The items of a list, or of one text with commas.
fn items(given: &Value) -> Option<Vec<Value>> {
    let Some(text) = given.as_str() else {
        return given.as_array().map(<[Value]>::to_vec);
    };
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    Some(parts.map(Value::from).collect())
}

fn number<T>(given: &Value, range: &RangeInclusive<T>) -> Option<T>
where
    T: TryFrom<i128> + PartialOrd,
{
    let number = T::try_from(given.to_i128()?).ok()?;
    range.contains(&number).then_some(number)
}

fn named<T: Copy>(given: &Value, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
    let text = given.as_str()?;
    all.iter().copied().find(|one| name(*one) == text)
}

/// A network. A single address counts as a network.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// True for an absolute path and for an empty text. A relative path would depend on the working directory.
fn is_directory(path: &str) -> bool {
    path.is_empty() || Path::new(path).is_absolute()
}

fn host(given: &Value) -> Option<String> {
    let text = given.as_str()?;
    // A final dot tells the resolver not to try its search domains.
    let name = text.strip_suffix('.').unwrap_or(text);
    (text.parse::<IpAddr>().is_ok() || is_host_name(name)).then(|| text.to_owned())
}

/// The host of `host` or `host:port`. Only the host of an `Origin` is compared.
fn host_name(text: &str) -> Option<String> {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    (is_host_name(host) && port.parse::<u16>().is_ok()).then(|| host.to_ascii_lowercase())
}

fn is_host_name(text: &str) -> bool {
    text.len() <= MAX_HOST_NAME_BYTES && text.split('.').all(is_label)
}

/// True for one label of a host name. Underscores are accepted: the standard excludes them, but private networks use them.
fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn prefix(given: &Value) -> Option<String> {
    let text = given.as_str()?;
    let fits = text.len() <= MAX_PREFIX_BYTES
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    fits.then(|| text.to_owned())
}
