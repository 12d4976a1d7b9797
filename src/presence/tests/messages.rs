//! The audience of a message.

use super::*;

#[test]
fn a_message_reaches_its_audience_and_nobody_else() {
    let events = "a=adam b=adam c=eve d=operator d>operator";
    let mut registry = registry_after(rules(INTERVAL), events);
    let _ = registry.apply(provider("e", "pam"), Duration::ZERO);

    let mut recipients = |to: Audience| {
        let message = Message::System(SystemMessage::OutOfDate);
        let posting = registry.post(&to, &message, INTERVAL * 9);
        assert_eq!(posting.kept, 0);
        assert_eq!(posting.change, Change::Posted { to, text: Bytes(0) });
        posting.to
    };
    let these = |ids: &str| Recipients::These(conns(ids).into_iter().collect());
    let chosen = |users: &[&str], ids: &str| Audience::Chosen {
        users: users
            .iter()
            .map(|user| (*user).try_into().unwrap())
            .collect(),
        connections: conns(ids),
    };

    let user_type = |name: &str| Audience::UserType(name.try_into().unwrap());
    for (to, expected, claim) in [
        (Audience::Everyone, Recipients::Everyone, "everyone"),
        (user_type("provider"), these("e"), "the only provider"),
        (user_type("operator"), these("abcd"), "all operators"),
        (user_type("robot"), these(""), "a user type of nobody"),
        (chosen(&["adam"], ""), these("ab"), "all tabs of a user"),
        (chosen(&[], "b"), these("b"), "one tab"),
        (
            chosen(&["adam", "nobody"], "bc"),
            these("abc"),
            "each connection once",
        ),
    ] {
        assert_eq!(recipients(to), expected, "{claim}");
    }
}

#[test]
fn a_message_may_be_for_a_connection_that_has_not_identified() {
    let mut registry = Registry::new(rules(INTERVAL));
    let message = Message::System(SystemMessage::OutOfDate);
    let to = Audience::Chosen {
        users: BTreeSet::new(),
        connections: conns("z"),
    };
    let posting = registry.post(&to, &message, INTERVAL);
    assert_eq!(posting.to, Recipients::These(vec![conn("z")]));
}

/// A provider identifies. All other users of these tests are operators.
fn provider(id: &str, user: &str) -> Event {
    Event::Identified {
        conn: conn(id),
        identity: Identity {
            user_type: "provider".try_into().unwrap(),
            ..identity(user)
        },
        browser: browser("one"),
        page: None,
    }
}
