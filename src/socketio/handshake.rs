//! Which browser a handshake comes from, and which page that browser shows.
//!
//! Lives here: reading both off the headers. Not here: what follows from them (`presence`).
//! Invariants: `X-Real-IP` is honoured only in requests from a trusted proxy; a header that cannot be read counts as absent; of a
//! long `User-Agent` only the start counts, and a long `Referer` counts as `/`.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, Uri,
    header::{REFERER, USER_AGENT},
};
use ipnet::IpNet;

use crate::presence::{Browser, PagePath, UserAgent};

/// The header in which nginx gives the address of the browser.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The browser of a handshake, and the page that it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) browser: Browser,
    pub(crate) page: Option<PagePath>,
}

impl Handshake {
    /// Reads the headers of a handshake that came from `peer`.
    pub(crate) fn new(headers: &HeaderMap, peer: IpAddr, trusted_proxies: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let forwarded = || text(headers, X_REAL_IP)?.parse().ok();
        let is_proxy = trusts(trusted_proxies, peer);
        let address = is_proxy.then(forwarded).flatten().unwrap_or(peer);
        Self {
            browser: Browser {
                address: address.to_canonical(),
                agent: text(headers, USER_AGENT).and_then(agent),
            },
            page: text(headers, REFERER).and_then(page),
        }
    }
}

/// Whether the request has an `X-Real-IP` that is ignored, because `peer` is not a trusted proxy.
pub(super) fn has_untrusted_address(
    headers: &HeaderMap,
    peer: IpAddr,
    trusted_proxies: &[IpNet],
) -> bool {
    headers.contains_key(X_REAL_IP) && !trusts(trusted_proxies, peer.to_canonical())
}

fn trusts(trusted_proxies: &[IpNet], peer: IpAddr) -> bool {
    trusted_proxies.iter().any(|proxy| proxy.contains(&peer))
}

/// The start of a `User-Agent`, which is enough to tell browsers apart.
fn agent(text: &str) -> Option<UserAgent> {
    let start = text.get(..UserAgent::MAX_BYTES).unwrap_or(text);
    start.try_into().ok()
}

/// The path of a `Referer`. A path that is too long is taken for `/`, which is no page of a case.
fn page(referrer: &str) -> Option<PagePath> {
    let path = referrer.parse::<Uri>().ok()?.path().to_owned();
    let known = PagePath::try_from(path.as_str());
    known.or_else(|_| PagePath::try_from("/")).ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_its_address_and_its_user_agent() {
        for (peer, header, address) in [
            ("127.0.0.1", Some("192.0.2.7"), "192.0.2.7"),
            ("127.0.0.1", Some("2001:db8::7"), "2001:db8::7"),
            ("::ffff:127.0.0.1", Some("192.0.2.7"), "192.0.2.7"),
            ("127.0.0.1", Some("::ffff:192.0.2.7"), "192.0.2.7"),
            ("127.0.0.1", Some("unknown"), "127.0.0.1"),
            ("127.0.0.1", None, "127.0.0.1"),
            ("198.51.100.1", Some("192.0.2.7"), "198.51.100.1"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(X_REAL_IP, header.parse().unwrap());
            }
            let handshake = handshake(&headers, peer);
            let expected: IpAddr = address.parse().unwrap();
            assert_eq!(
                handshake.browser.address, expected,
                "{header:?} from {peer}"
            );
        }
        let long = "x".repeat(600);
        for (header, agent) in [("Firefox", "Firefox"), (long.as_str(), &long[..512])] {
            let headers = HeaderMap::from_iter([(USER_AGENT, header.parse().unwrap())]);
            let known = handshake(&headers, "::1").browser.agent.unwrap();
            assert_eq!(known.as_str(), agent, "{header}");
        }
        assert_eq!(handshake(&HeaderMap::new(), "::1").browser.agent, None);
    }

    #[test]
    fn a_page_is_the_path_of_the_referrer() {
        let case = "AB-1234-5678".try_into().unwrap();
        let long = format!("https://chs.example.org/{}/AB-1234-5678/", "x".repeat(512));
        for (referrer, names_the_case) in [
            (
                "https://chs.example.org/call_centre/AB-1234-5678/diagnosis?x=1",
                Some(true),
            ),
            ("http://localhost:8000/provider/AB-1234-5678", Some(true)),
            (
                "https://chs.example.org/call_centre/?case=AB-1234-5678",
                Some(false),
            ),
            ("https://AB-1234-5678/", Some(false)),
            ("https://chs.example.org", Some(false)),
            (&long, Some(false)),
            ("not an address", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(REFERER, referrer.parse().unwrap())]);
            let page = handshake(&headers, "::1").page;
            assert_eq!(
                page.map(|page| page.names(&case)),
                names_the_case,
                "{referrer}"
            );
        }
        assert_eq!(handshake(&HeaderMap::new(), "::1").page, None);
    }

    fn handshake(headers: &HeaderMap, peer: &str) -> Handshake {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        Handshake::new(headers, peer.parse().unwrap(), &loopback)
    }
}
