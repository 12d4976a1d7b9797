//! The lists and notifications that tabs receive, compared with the model.

use super::*;

impl World {
    /// Gives tabs their lists and notifications.
    pub(super) fn receive(&mut self, effects: &[Effect]) {
        self.receive_before(effects, &[]);
    }

    /// Gives tabs their lists and notifications, and checks each list. The page has events that it has not yet emitted, which
    /// the daemon cannot know.
    pub(super) fn receive_before(&mut self, effects: &[Effect], not_yet_emitted: &[Emitted]) {
        for (to, message) in sends(effects) {
            for conn in to {
                let Some(tab) = self.tabs.iter().position(|tab| tab.conn == Some(*conn)) else {
                    continue;
                };
                match message {
                    Message::PeopleViewing(names) => {
                        self.check(*conn, names, not_yet_emitted);
                        self.tabs[tab].list = Some(names.clone());
                    }
                    Message::Notification(number) => {
                        self.tabs[tab].received.push(number.parse().unwrap());
                    }
                    Message::System(_) => {}
                }
            }
        }
    }

    /// Asserts that a list has every user on the case, and no user who has left it.
    fn check(&self, to: ConnectionId, names: &[Username], not_yet_emitted: &[Emitted]) {
        let people = self.stage.people();
        let connections = people.iter().flat_map(|person| &person.connections);
        let case = connections
            .filter(|(conn, _)| *conn == to)
            .find_map(|(_, connection)| connection.case.clone());
        let Some(case) = case else {
            return;
        };
        let case = case.as_str();
        for (tab, it) in self.tabs.iter().enumerate() {
            let user = USERS[tab];
            let listed = names.iter().any(|name| name.as_str() == user);
            let kept = it.unnoticed.is_some() || self.stage.now < it.kept_until;
            let there = it.open && it.case == Some(case) && it.queue.is_empty();
            if there && not_yet_emitted.is_empty() && (it.conn.is_some() || kept) {
                assert!(listed, "{user} is on {case} and missing from {names:?}");
            }
        }
        for name in names {
            let there = |(tab, it): (usize, &Tab)| {
                USERS[tab] == name.as_str()
                    && (it.open && it.case == Some(case) || it.unnoticed.is_some())
            };
            let excused = self.excused.iter().any(|((user, on), until)| {
                *user == name.as_str() && *on == case && *until > self.stage.now
            });
            assert!(
                self.tabs.iter().enumerate().any(there) || excused || !not_yet_emitted.is_empty(),
                "{name} has left {case} and is still in {names:?}"
            );
        }
    }

    /// Asserts that every open tab has the right list and the right notifications.
    pub(super) fn lists_match_the_model(&self) {
        for tab in self.tabs.iter().filter(|tab| tab.open) {
            let Some(case) = tab.case else {
                continue;
            };
            let on_case = |(at, other): (usize, &Tab)| {
                (other.open && other.case == Some(case)).then_some(USERS[at])
            };
            let truth: BTreeSet<_> = self.tabs.iter().enumerate().filter_map(on_case).collect();
            let listed = tab.list.iter().flatten().map(Username::as_str);
            assert_eq!(listed.collect::<BTreeSet<_>>(), truth, "on {case}");
        }
        let is_certain = |(_, tab): &(usize, &Tab)| tab.open && tab.certainty > Certainty::InDoubt;
        for (at, tab) in self.tabs.iter().enumerate().filter(is_certain) {
            // The daemon cannot tell the two tabs of adam apart.
            if USERS[at] != "adam" {
                let mut received = tab.received.clone();
                if tab.certainty == Certainty::AtLeastOnce {
                    received.sort_unstable();
                    received.dedup();
                }
                assert_eq!(received, tab.posted, "notifications of {}", USERS[at]);
            }
        }
    }

    /// Asserts that the census counts every user and every connection.
    pub(super) fn the_census_misses_nobody(&self) {
        let people = self.stage.people();
        let census = self.stage.registry.census();
        assert_eq!(census.people, people.len());
        let mut versions = BTreeMap::new();
        for (_, connection) in people.iter().flat_map(|it| &it.connections) {
            let version = connection.identity.app_version.clone();
            *versions.entry(version).or_default() += 1;
        }
        assert_eq!(census.versions, versions);
    }

    /// The user of this place may be listed until then.
    pub(super) fn excuse_place(&mut self, conn: ConnectionId, until: Moment) {
        let people = self.stage.people();
        for person in people {
            let mut places = person.connections.iter();
            let place = places.find(|(id, _)| *id == conn);
            if let Some(case) = place.and_then(|(_, place)| place.case.as_ref()) {
                let user = USERS.iter().find(|user| **user == person.username.as_str());
                let case = ["X", "Y"].into_iter().find(|known| *known == case.as_str());
                let entry = self.excused.entry((user.unwrap(), case.unwrap()));
                let excused = entry.or_default();
                *excused = until.max(*excused);
            }
        }
    }

    /// The user of this tab may be listed on `case` until then.
    pub(super) fn excuse(&mut self, tab: usize, case: &'static str, until: Moment) {
        let excused = self.excused.entry((USERS[tab], case)).or_default();
        *excused = until.max(*excused);
    }
}
