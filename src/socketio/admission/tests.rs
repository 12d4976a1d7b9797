//! Limits of sessions and handshakes, in all, by address and by network.

use std::num::NonZeroU32;

use super::*;
use crate::config::Config;

#[test]
fn sessions_are_bounded_in_all_and_by_address() {
    let admission = admission(|limits| {
        limits.sessions = 3;
        limits.sessions_per_address = 2;
        limits.handshakes_per_second = NonZeroU32::MAX;
        limits.handshakes_per_second_per_address = NonZeroU32::MAX;
    });
    let one = admission.admit(address("192.0.2.1"));
    let _two = admission.admit(address("192.0.2.1"));
    assert_eq!(refusal(&admission, "192.0.2.1"), Some(TooMany::OfAddress));
    let _three = admission.admit(address("198.51.100.1"));
    assert_eq!(refusal(&admission, "203.0.113.1"), Some(TooMany::Sessions));
    assert_eq!(admission.sessions(), 3);
    drop(one);
    assert_eq!(admission.sessions(), 2);
    assert_eq!(refusal(&admission, "192.0.2.1"), None);
    assert_eq!(
        admission.0.open.lock().by_network.len(),
        4,
        "only networks with open sessions are kept"
    );
}

#[test]
fn handshakes_are_bounded_in_all_and_by_address() {
    let admission = admission(|limits| {
        limits.sessions = 3;
        limits.sessions_per_address = 2;
        limits.handshakes_per_second = NonZeroU32::MIN;
        limits.handshakes_per_second_per_address = NonZeroU32::MIN;
    });
    for (from, outcome) in [
        ("192.0.2.1", None),
        ("192.0.2.1", None),
        ("192.0.2.1", Some(TooMany::HandshakesOfAddress)),
        ("198.51.100.1", None),
        ("203.0.113.1", Some(TooMany::Handshakes)),
    ] {
        assert_eq!(refusal(&admission, from), outcome, "{from}");
    }
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let admission = admission(|limits| {
        limits.sessions_per_address = 1;
        limits.handshakes_per_second_per_address = NonZeroU32::MAX;
    });
    let _one = admission.admit(address("2001:db8::1"));
    assert_eq!(refusal(&admission, "2001:db8::2"), Some(TooMany::OfAddress));
    assert_eq!(refusal(&admission, "2001:db8:0:1::1"), None);
}

#[test]
fn a_network_has_half_of_all_sessions_and_handshakes_at_most() {
    for (neighbours, elsewhere) in [
        (
            ["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"],
            "2001:db8:1::1",
        ),
        (["192.0.2.1", "192.0.2.2", "192.0.2.3"], "198.51.100.1"),
    ] {
        let admission = admission(|limits| {
            limits.sessions = 4;
            limits.sessions_per_address = 1;
            limits.handshakes_per_second = NonZeroU32::MAX;
            limits.handshakes_per_second_per_address = NonZeroU32::MAX;
        });
        let [one, two, three] = neighbours;
        let _one = admission.admit(address(one));
        let first = admission.admit(address(two));
        let full = Some(TooMany::OfNetwork);
        assert_eq!(refusal(&admission, three), full, "{three}");
        assert_eq!(refusal(&admission, elsewhere), None, "{elsewhere}");
        drop(first);
        assert_eq!(refusal(&admission, three), None, "{three} after an end");

        let admission = self::admission(|limits| {
            limits.sessions = 4;
            limits.sessions_per_address = 1;
            limits.handshakes_per_second = NonZeroU32::MIN;
            limits.handshakes_per_second_per_address = NonZeroU32::MIN;
        });
        let flood = Some(TooMany::HandshakesOfNetwork);
        for (from, outcome) in [(one, None), (two, None), (three, flood), (elsewhere, None)] {
            assert_eq!(refusal(&admission, from), outcome, "a handshake of {from}");
        }
    }
}

#[test]
fn a_network_may_have_as_much_as_one_address() {
    let admission = admission(|limits| {
        limits.sessions = 3;
        limits.sessions_per_address = 3;
    });
    let _all = [(); 3].map(|()| admission.admit(address("192.0.2.1")).unwrap());
    assert_eq!(refusal(&admission, "192.0.2.1"), Some(TooMany::OfAddress));
}

#[test]
fn four_ipv6_networks_of_one_site_leave_half_of_all_sessions_to_others() {
    let admission = admission(|_| ());
    let mut sessions = Vec::new();
    for network in 0..4 {
        let address = address(&format!("2001:db8:0:{network}::1"));
        sessions.extend((0..2500).map_while(|_| admission.admit(address).ok()));
    }
    assert_eq!(sessions.len(), 5000);
}

#[test]
fn addresses_without_recent_handshakes_are_forgotten() {
    let admission = admission(|limits| {
        limits.sessions = 1;
        limits.handshakes_per_second_per_address = NonZeroU32::MAX;
    });
    let _only = admission.admit(address("192.0.2.1"));
    for number in 0..5000_u16 {
        let [high, low] = number.to_be_bytes();
        let refused = admission.admit([198, 51, high, low].into());
        assert_eq!(refused.err(), Some(TooMany::Sessions));
    }
    assert!(admission.0.bounds.lock().shares[0].handshakes.len() < 2500);
}

#[test]
fn other_limits_hold_for_later_handshakes_and_close_no_session() {
    let limits = |most, rate| {
        let mut limits = Config::default().limits;
        limits.sessions = most;
        limits.handshakes_per_second_per_address = rate;
        limits.handshakes_per_second = rate;
        limits
    };
    let admission = Admission::new(&limits(2, NonZeroU32::MIN), &Counters::default());
    let _one = admission.admit(address("192.0.2.1"));
    let two = admission.admit(address("192.0.2.1"));
    assert_eq!(refusal(&admission, "192.0.2.1"), Some(TooMany::Sessions));
    admission.reload(&limits(1, NonZeroU32::MAX));
    assert_eq!(admission.sessions(), 2, "no session was closed");
    drop(two);
    assert_eq!(refusal(&admission, "192.0.2.2"), Some(TooMany::Sessions));
    admission.reload(&limits(2, NonZeroU32::MAX));
    assert_eq!(refusal(&admission, "192.0.2.2"), None);
}

fn admission(set: impl Fn(&mut Limits)) -> Admission {
    let mut limits = Config::default().limits;
    set(&mut limits);
    Admission::new(&limits, &Counters::default())
}

fn refusal(admission: &Admission, from: &str) -> Option<TooMany> {
    admission.admit(address(from)).err()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
