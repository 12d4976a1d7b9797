//! The shorthand in which tables write events and effects, and a registry with a clock of its own.

use std::collections::BTreeMap;

use super::*;

/// The interval at which lists are merged, where a test merges any.
pub(super) const INTERVAL: Duration = Duration::from_millis(50);
pub(super) const GRACE: Duration = Duration::from_secs(15);
pub(super) const RESTART_GRACE: Duration = Duration::from_mins(1);

/// A loss that was noticed at once.
pub(super) const LOST: Ending = Ending::Lost {
    silence: Duration::ZERO,
};

/// A poll that was aborted just now.
pub(super) const ABORTED: Ending = Ending::PollAborted {
    silence: Duration::ZERO,
};

/// A registry that merges no lists, its clock, and a subscriber of its changes.
pub(super) struct Stage {
    pub(super) registry: Registry,
    pub(super) now: Moment,
    /// The facts that the subscriber knows.
    facts: BTreeMap<ConnectionId, Facts>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            registry: Registry::new(rules(Duration::ZERO)),
            now: Duration::from_secs(100),
            facts: BTreeMap::new(),
        }
    }
}

impl Stage {
    /// The stage after a script.
    pub(super) fn after(script: &str) -> Self {
        let mut stage = Self::default();
        stage.play_all(script);
        stage
    }

    pub(super) fn people(&self) -> Vec<Person> {
        self.registry.people(None, usize::MAX, self.now).people
    }

    /// Plays the steps of a script, separated by spaces, and returns the effects of the last one.
    pub(super) fn play_all(&mut self, script: &str) -> Vec<Effect> {
        let mut last = Vec::new();
        for step in script.split(' ') {
            last = self.play(step);
        }
        last
    }

    /// Plays one step.
    ///
    /// | step | meaning |
    /// |---|---|
    /// | `+15` | 15 seconds pass |
    /// | `.` and `,` | 100 and 50 milliseconds pass |
    /// | `$` | the daemon restarts |
    /// | `*1` and `^1` | all operators and all providers are notified of 1 |
    /// | any other | an event, see [`parse`] |
    pub(super) fn play(&mut self, step: &str) -> Vec<Effect> {
        if step == "$" {
            let snapshot = self.registry.snapshot(self.now);
            self.registry = Registry::restored(rules(Duration::ZERO), snapshot, RESTART_GRACE);
            self.now = Duration::ZERO;
            self.facts = self.saved_facts();
            return Vec::new();
        }
        if let "," | "." = step {
            let milliseconds = if step == "." { 100 } else { 50 };
            return self.pass(Duration::from_millis(milliseconds));
        }
        if let Some(seconds) = step.strip_prefix('+') {
            return self.pass(Duration::from_secs(seconds.parse().unwrap()));
        }
        for (sign, audience) in [('*', "operator"), ('^', "provider")] {
            if let Some(json) = step.strip_prefix(sign) {
                return effects_of(self.post(audience, json), json);
            }
        }
        self.apply(parse(step))
    }

    pub(super) fn apply(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.registry.apply(event, self.now);
        self.follow(&effects);
        effects
    }

    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        let effects = self.registry.wake(self.now);
        self.follow(&effects);
        effects
    }

    /// Tells the subscriber, who must then know the facts that a new snapshot would tell.
    fn follow(&mut self, effects: &[Effect]) {
        for change in changes(effects) {
            follow(&mut self.facts, change);
        }
        let is_complete = self.facts == self.saved_facts();
        assert!(
            is_complete,
            "a snapshot tells more than the changes in {effects:?}"
        );
    }

    fn saved_facts(&self) -> BTreeMap<ConnectionId, Facts> {
        let places = self.registry.snapshot(self.now).places.into_iter();
        places.map(|place| (place.conn, place.facts)).collect()
    }

    /// Notifies all users of a type.
    pub(super) fn post(&mut self, user_type: &str, json: &str) -> Posting {
        let to = Audience::UserType(user_type.try_into().unwrap());
        let message = Message::Notification(json.into());
        let posting = self.registry.post(&to, &message, self.now);
        self.follow(&posting.due);
        posting
    }
}

/// Changes facts as a subscriber does.
fn follow(facts: &mut BTreeMap<ConnectionId, Facts>, change: &Change) {
    let mut set = |conn: &ConnectionId, update: &dyn Fn(&mut Facts)| {
        update(facts.get_mut(conn).expect("a place that is known"));
    };
    match change {
        Change::Arrived { conn, facts: of } => {
            facts.insert(*conn, of.clone());
        }
        Change::Identified { conn, identity } => set(conn, &|of| of.identity = identity.clone()),
        Change::Opened { conn, case, at } => set(conn, &|of| {
            of.case = Some(case.clone());
            of.opened_at = Some(*at);
        }),
        Change::Closed { conn, .. } => set(conn, &|of| {
            of.case = None;
            of.opened_at = None;
        }),
        Change::Resumed { conn, old, .. } => {
            let of = facts.remove(old).expect("a place that is known");
            facts.insert(*conn, of);
        }
        Change::Lapsed { conn, .. } | Change::Left { conn, .. } => {
            facts.remove(conn).expect("a place that is known");
        }
        Change::Lost { .. } | Change::Reconnected { .. } | Change::Posted { .. } => {}
    }
}

/// The lists and messages that the last step of a script causes, in the shorthand of [`sent`].
pub(super) fn sent_by(script: &str) -> String {
    sent(&Stage::default().play_all(script))
}

/// A registry to which events have been applied at time zero.
pub(super) fn registry_after(rules: Rules, events: &str) -> Registry {
    let mut registry = Registry::new(rules);
    for event in events.split(' ') {
        let _ = registry.apply(parse(event), Duration::ZERO);
    }
    registry
}

/// The effects of posting a notification, in order.
pub(super) fn effects_of(posting: Posting, json: &str) -> Vec<Effect> {
    let mut effects = posting.due;
    effects.push(Effect::Send {
        to: posting.to,
        message: Message::Notification(json.into()),
    });
    effects.push(Effect::Changed(posting.change));
    effects
}

/// The changes among effects.
pub(super) fn changes(effects: &[Effect]) -> impl Iterator<Item = &Change> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Changed(change) => Some(change),
        Effect::Send { .. } => None,
    })
}

/// The lists and messages among effects, each with the connections that it is sent to.
pub(super) fn sends(effects: &[Effect]) -> impl Iterator<Item = (&[ConnectionId], &Message)> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Send {
            to: Recipients::These(to),
            message,
        } => Some((to.as_slice(), message)),
        Effect::Send { .. } | Effect::Changed(_) => None,
    })
}

/// An event in shorthand. The first letter is the connection.
///
/// | event | meaning |
/// |---|---|
/// | `a=adam` | connection a identifies as adam |
/// | `a=adam@X` | on the page of case X |
/// | `a=adam@` | on a page of no case |
/// | `a=adam/two` | in another browser |
/// | `a=adam/two\|10.1.2.3` | in a browser at that address |
/// | `a=adam:2` | with another version |
/// | `a>X` | opens case X |
/// | `a<` and `a<X` | stops viewing, without and with the case |
/// | `a!` | closes cleanly |
/// | `a~` and `a~70` | is lost, at once and after 70 seconds of silence |
/// | `a%` and `a%1` | aborts its poll, now and a second ago |
/// | `a#` | its place is ended by hand |
pub(super) fn parse(event: &str) -> Event {
    let (id, rest) = event.split_at(1);
    let conn = conn(id);
    match rest.split_at(1) {
        ("=", rest) => {
            let (rest, agent) = rest.split_once('/').unwrap_or((rest, "one"));
            let (user, page) = match rest.split_once('@') {
                Some((user, case)) => (user, Some(page(case))),
                None => (rest, None),
            };
            identified(conn, user, agent, page)
        }
        (">", case) => opened(conn, case),
        ("<", "") => closed(conn, "?"),
        ("<", case) => closed(conn, case),
        ("!", "") => ended(conn, Ending::CleanClose),
        ("~", seconds) => {
            let silence = Duration::from_secs(seconds.parse().unwrap_or_default());
            ended(conn, Ending::Lost { silence })
        }
        ("%", seconds) => {
            let silence = Duration::from_secs(seconds.parse().unwrap_or_default());
            ended(conn, Ending::PollAborted { silence })
        }
        ("#", "") => Event::Dismissed { conn },
        _ => panic!("no such event: {event}"),
    }
}

pub(super) fn identified(
    conn: ConnectionId,
    user: &str,
    agent: &str,
    page: Option<PagePath>,
) -> Event {
    Event::Identified {
        conn,
        identity: identity(user),
        browser: browser(agent),
        page,
    }
}

pub(super) fn opened(conn: ConnectionId, case: &str) -> Event {
    let case = case.try_into().unwrap();
    Event::CaseOpened { conn, case }
}

pub(super) fn closed(conn: ConnectionId, case: &str) -> Event {
    let case = case.try_into().unwrap();
    Event::CaseClosed { conn, case }
}

pub(super) fn ended(conn: ConnectionId, ending: Ending) -> Event {
    Event::Ended { conn, ending }
}

/// The sends among effects in shorthand: `ab: adam eve` is that list to connections a and b, `a: *1` is notification 1 to a.
pub(super) fn sent(effects: &[Effect]) -> String {
    let lines = sends(effects).map(|(to, message)| {
        let initials = to.iter().filter_map(|conn| conn.as_str().chars().next());
        let to = String::from_iter(initials.collect::<BTreeSet<_>>());
        let text = match message {
            Message::PeopleViewing(names) => {
                let names: Vec<_> = names.iter().map(Username::as_str).collect();
                names.join(" ")
            }
            Message::Notification(json) => format!("*{json}"),
            Message::System(message) => format!("*system {}", message.id()),
        };
        format!("{to}: {text}")
    });
    lines.collect::<Vec<_>>().join(" | ")
}

pub(super) fn rules(merge_interval: Duration) -> Rules {
    Rules {
        merge_interval,
        grace: GRACE,
        lost_places: 100,
        tabs_per_browser: 64,
    }
}

/// An operator. `adam:2` is adam with version 2.
pub(super) fn identity(user: &str) -> Identity {
    let (user, version) = user.split_once(':').unwrap_or((user, "1"));
    Identity {
        username: user.try_into().unwrap(),
        user_type: "operator".try_into().unwrap(),
        app_version: version.try_into().unwrap(),
    }
}

/// A browser with this user agent. `two|10.1.2.3` is at that address.
pub(super) fn browser(agent: &str) -> Browser {
    let (agent, address) = agent.split_once('|').unwrap_or((agent, "192.0.2.1"));
    Browser {
        address: address.parse().unwrap(),
        agent: Some(agent.try_into().unwrap()),
    }
}

/// The page of a case, or of no case if `case` is empty.
pub(super) fn page(case: &str) -> PagePath {
    let path = format!("/call_centre/{case}/diagnosis");
    path.as_str().try_into().unwrap()
}

/// The connection whose id is this letter sixteen times.
pub(super) fn conn(id: &str) -> ConnectionId {
    id.repeat(16).as_str().try_into().unwrap()
}

/// The connections whose ids are these letters.
pub(super) fn conns(ids: &str) -> BTreeSet<ConnectionId> {
    ids.chars().map(|id| conn(&id.to_string())).collect()
}

/// The connection with this number as its id.
pub(super) fn numbered(number: usize) -> ConnectionId {
    format!("{number:016}").as_str().try_into().unwrap()
}
