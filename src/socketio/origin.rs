//! Which web pages may connect.
//!
//! Lives here: reading `Origin` and `Sec-Fetch-Site`. A browser sends them by itself and a page cannot forge them. Programs can
//! send anything.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::ORIGIN};

use crate::config::Settings;

/// The header by which a browser tells whether a request comes from another site. Browsers before 2023 may not send it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The `Origin` that the smoke test of cla_frontend sends.
const PROBE: &str = "localhost:";

/// The origins that may connect: the hosts of `site_hostname`, and loopback names.
#[derive(Debug)]
pub(super) struct Origins {
    settings: Settings,
}

impl Origins {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Whether a request with these headers may connect.
    ///
    /// Programs send no `Origin`. Browsers send none for a page of the same site, and none for an image, a script or a link of
    /// another site, but then `Sec-Fetch-Site` tells.
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(ORIGIN) {
            let mut origins = headers.get_all(ORIGIN).iter();
            return origins.all(|origin| self.allows(origin));
        }
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
        sites.all(|site| site == "same-origin" || site == "none")
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        origin == PROBE || host(origin).is_some_and(|host| self.knows(&host))
    }

    fn knows(&self, host: &str) -> bool {
        let config = self.settings.now();
        is_loopback(host) || config.site_hostnames.iter().any(|known| known == host)
    }
}

/// The host in `Origin`, whether or not it may connect.
pub(super) fn foreign_host(headers: &HeaderMap) -> Option<String> {
    host(headers.get(ORIGIN)?.to_str().ok()?)
}

/// The host of an origin in lower case, whatever its scheme and port. An opaque origin has none.
fn host(origin: &str) -> Option<String> {
    let uri: Uri = origin.parse().ok()?;
    uri.scheme()?;
    let host = uri.host()?;
    (uri.path_and_query().is_none_or(|rest| rest == "/")).then(|| host.to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse()
            .is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || v6.is_some_and(|host| {
            host.parse()
                .is_ok_and(|address: Ipv6Addr| address.is_loopback())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn only_pages_of_the_site_and_of_this_machine_may_connect() {
        let origins = origins(&["cases.example.uk", "10.1.2.3"]);
        for (origin, allowed) in [
            ("https://cases.example.uk", true),
            ("http://CASES.example.uk:8443", true),
            ("app://cases.example.uk", true),
            ("http://10.1.2.3", true),
            ("localhost:", true),
            ("http://localhost:3000", true),
            ("http://chs.localhost", true),
            ("http://127.0.0.1:8006", true),
            ("http://[::1]:8006", true),
            ("https://evil.example", false),
            ("https://cases.example.uk.evil.example", false),
            ("https://evilcases.example.uk", false),
            ("https://evil.example/cases.example.uk", false),
            ("https://cases.example.uk@evil.example", false),
            ("http://localhost.evil.example", false),
            ("http://128.0.0.1", false),
            ("cases.example.uk", false),
            ("localhost:8005", false),
            ("null", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().unwrap());
            assert_eq!(origins.allow(&headers), allowed, "{origin}");
        }
        assert!(origins.allow(&HeaderMap::new()), "no origin");
    }

    #[test]
    fn without_an_origin_sec_fetch_site_decides() {
        let origins = origins(&["cases.example.uk"]);
        for (site, allowed) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("anything-new", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_FETCH_SITE, site.parse().unwrap());
            assert_eq!(origins.allow(&headers), allowed, "{site}");
            headers.insert(ORIGIN, HeaderValue::from_static("https://cases.example.uk"));
            assert!(origins.allow(&headers), "{site} with an origin of the site");
        }
    }

    #[test]
    fn one_foreign_origin_among_several_is_refused() {
        let origins = origins(&[]);
        let mut headers = HeaderMap::new();
        headers.append(ORIGIN, HeaderValue::from_static("http://localhost"));
        assert!(origins.allow(&headers));
        headers.append(ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(!origins.allow(&headers));
    }

    fn origins(hosts: &[&str]) -> Origins {
        Origins::new(Settings::new(Config {
            site_hostnames: hosts.iter().map(ToString::to_string).collect(),
            ..Config::default()
        }))
    }
}
