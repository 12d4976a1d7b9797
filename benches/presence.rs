//! What the pure core costs, event by event. `cargo bench` prints times, `benches/instructions` what hardly varies from run
//! to run.
//!
//! Lives here: what is measured, and of what it is held to consist. Not here: delivery, which costs many times as much
//! (`tests/load`).
//!
//! The registry merges bursts: of two events in a row the second would cost next to nothing, and its list would come later.
//! So before each event that is measured, its actor goes back to where it was, and time passes until nothing is held back.
//! That is not measured, nor is the dropping of what comes out.

#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use std::{cell::RefCell, time::Duration};

use cla_socketserver::presence::{
    Browser, CaseRef, ConnectionId, Effect, Ending, Event, Identity, Message, Moment, Registry,
    Rules,
};
use divan::{Bencher, Divan};

/// How many users there may be. With 19,000 the limit of open files of one process is reached.
const USERS: [usize; 4] = [1_000, 5_000, 19_000, 100_000];

/// How many there are where the size of cases is what matters.
const SOME_USERS: usize = 5_000;

/// How many view one case, and so all others.
const VIEWERS: [usize; 3] = [1, 10, 500];

/// How many do where the number of users is what matters.
const SOME_VIEWERS: usize = 10;

const GRACE: Duration = Duration::from_secs(15);

/// Longer than any list is held back here; twice that is shorter than the grace period.
const REST: Duration = Duration::from_secs(1);

fn main() {
    // One event at a time, because the next one needs its actor back where it was.
    Divan::default()
        .sample_size(1)
        .sample_count(1000)
        .max_time(Duration::from_secs(2))
        .config_with_args()
        .main();
}

/// Somebody new comes.
#[divan::bench(args = USERS)]
fn identify(bencher: Bencher, users: usize) {
    let centre = CallCentre::new(users, SOME_VIEWERS);
    measure_event(bencher, centre, &[], |centre| {
        centre.end(Ending::CleanClose);
        centre.coming()
    });
}

/// Somebody comes back to a place, and is sent the list of its case.
#[divan::bench(args = VIEWERS)]
fn come_back(bencher: Bencher, viewers: usize) {
    let centre = CallCentre::new(SOME_USERS, viewers);
    measure_event(bencher, centre, &[viewers], |centre| {
        centre.end(lost());
        centre.coming()
    });
}

#[divan::bench(args = VIEWERS)]
fn start_viewing(bencher: Bencher, viewers: usize) {
    let centre = CallCentre::new(SOME_USERS, viewers);
    measure_event(bencher, centre, &[viewers], |centre| {
        centre.apply(Event::CaseClosed {
            conn: centre.actor,
            case: case(0),
        });
        centre.opening(0)
    });
}

#[divan::bench(args = VIEWERS)]
fn end_with_clean_close(bencher: Bencher, viewers: usize) {
    let centre = CallCentre::new(SOME_USERS, viewers);
    measure_event(bencher, centre, remaining(&[viewers - 1]), |centre| {
        centre.ending(Ending::CleanClose)
    });
}

/// The place is kept, so that nobody is told.
#[divan::bench(args = VIEWERS)]
fn end_by_loss(bencher: Bencher, viewers: usize) {
    let centre = CallCentre::new(SOME_USERS, viewers);
    measure_event(bencher, centre, &[], |centre| centre.ending(lost()));
}

/// Nobody has come back to a place.
#[divan::bench(args = VIEWERS)]
fn lapse(bencher: Bencher, viewers: usize) {
    let mut centre = CallCentre::new(SOME_USERS, viewers);
    let lose = |centre: &mut CallCentre| centre.end(lost());
    let wait = |centre: &mut CallCentre, ()| {
        centre.now += GRACE;
        centre.wake()
    };
    centre.prepare(lose);
    assert_eq!(lists(&wait(&mut centre, ())), remaining(&[viewers - 1]));
    measure(bencher, centre, lose, wait);
}

/// Somebody leaves one case for another, whose viewers are told as well.
#[divan::bench(args = USERS)]
fn switch(bencher: Bencher, users: usize) {
    let centre = CallCentre::new(users, SOME_VIEWERS);
    let told = [SOME_VIEWERS - 1, SOME_VIEWERS + 1];
    measure_event(bencher, centre, &told, |centre| centre.opening(1));
}

#[divan::bench(args = USERS)]
fn snapshot(bencher: Bencher, users: usize) {
    let centre = CallCentre::new(users, SOME_VIEWERS);
    let nothing = |_: &mut CallCentre| ();
    measure(bencher, centre, nothing, |centre, ()| {
        centre.registry.snapshot(centre.now)
    });
}

#[divan::bench(args = USERS)]
fn some_people(bencher: Bencher, users: usize) {
    /// As many as the hub looks at in one go.
    const AT_A_TIME: usize = 250;
    let centre = CallCentre::new(users, SOME_VIEWERS);
    let nothing = |_: &mut CallCentre| ();
    measure(bencher, centre, nothing, |centre, ()| {
        centre.registry.people(None, AT_A_TIME, centre.now)
    });
}

/// Measures what one event costs, after making sure that it causes lists of these lengths.
fn measure_event(
    bencher: Bencher,
    mut centre: CallCentre,
    told: &[usize],
    event: impl Fn(&mut CallCentre) -> Event,
) {
    let first = centre.prepare(&event);
    assert_eq!(lists(&centre.apply(first)), told);
    measure(bencher, centre, event, CallCentre::apply);
}

fn measure<Input, Output>(
    bencher: Bencher,
    centre: CallCentre,
    before: impl Fn(&mut CallCentre) -> Input,
    act: impl Fn(&mut CallCentre, Input) -> Output,
) {
    let centre = RefCell::new(centre);
    bencher
        .with_inputs(|| centre.borrow_mut().prepare(&before))
        .bench_local_values(|input| measured(&mut centre.borrow_mut(), input, &act));
}

/// All that is measured goes through here: `benches/instructions` counts from when this is entered until it is left.
#[inline(never)]
fn measured<Input, Output>(
    centre: &mut CallCentre,
    input: Input,
    act: impl Fn(&mut CallCentre, Input) -> Output,
) -> Output {
    act(centre, input)
}

/// Everybody is on a case, and all cases have the same number of viewers. One of them acts; its own case is the first.
struct CallCentre {
    registry: Registry,
    now: Moment,
    actor: ConnectionId,
    /// Whether the actor is connected.
    is_here: bool,
    /// How many connections there have been.
    connections: usize,
}

impl CallCentre {
    fn new(users: usize, viewers: usize) -> Self {
        let mut centre = Self {
            registry: Registry::new(Rules {
                merge_interval: Duration::from_millis(50),
                grace: GRACE,
                lost_places: users,
                tabs_per_browser: 100,
            }),
            now: Moment::ZERO,
            actor: conn(0),
            is_here: false,
            connections: 0,
        };
        for user in (0..users).rev() {
            let arrival = centre.arrival(user);
            centre.apply(arrival);
            centre.apply(centre.opening(user / viewers));
        }
        centre
    }

    /// Puts the actor back on its case, takes the step that leads to what is measured, and lets time pass.
    fn prepare<Input>(&mut self, step: impl FnOnce(&mut Self) -> Input) -> Input {
        if !self.is_here {
            let event = self.coming();
            self.apply(event);
        }
        self.apply(self.opening(0));
        let input = step(self);
        // Once for what is held back to be said, and once more for that to be over.
        for _ in 0..2 {
            self.now += REST;
            self.wake();
        }
        input
    }

    fn apply(&mut self, event: Event) -> Vec<Effect> {
        self.registry.apply(event, self.now)
    }

    fn wake(&mut self) -> Vec<Effect> {
        self.registry.wake(self.now)
    }

    fn end(&mut self, ending: Ending) {
        let event = self.ending(ending);
        self.apply(event);
    }

    fn ending(&mut self, ending: Ending) -> Event {
        self.is_here = false;
        let conn = self.actor;
        Event::Ended { conn, ending }
    }

    fn opening(&self, number: usize) -> Event {
        Event::CaseOpened {
            conn: self.actor,
            case: case(number),
        }
    }

    /// The actor comes from the page of its case.
    fn coming(&mut self) -> Event {
        self.arrival(0)
    }

    fn arrival(&mut self, user: usize) -> Event {
        self.connections += 1;
        self.actor = conn(self.connections);
        self.is_here = true;
        let username = format!("adviser-{user:05}");
        let page = format!("/call_centre/{}/diagnosis/", case(0));
        Event::Identified {
            conn: self.actor,
            identity: Identity {
                username: username.as_str().try_into().unwrap(),
                user_type: "operator".try_into().unwrap(),
                app_version: "1.0.0".try_into().unwrap(),
            },
            browser: Browser {
                address: [192, 0, 2, 1].into(),
                agent: Some("Mozilla/5.0".try_into().unwrap()),
            },
            page: Some(page.as_str().try_into().unwrap()),
        }
    }
}

fn lost() -> Ending {
    Ending::Lost {
        silence: Duration::ZERO,
    }
}

fn case(number: usize) -> CaseRef {
    let reference = format!("ZE-8674-{number:05}");
    reference.as_str().try_into().unwrap()
}

/// Ids are drawn at random, so they must not be in order here.
fn conn(number: usize) -> ConnectionId {
    let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = format!("{scattered:016x}");
    id.as_str().try_into().unwrap()
}

/// A case that nobody is left on has nobody to tell.
fn remaining(viewers: &[usize; 1]) -> &[usize] {
    if *viewers == [0] { &[] } else { viewers }
}

/// How many are named in each list.
fn lists(effects: &[Effect]) -> Vec<usize> {
    let named = |effect: &Effect| match effect {
        Effect::Send {
            message: Message::PeopleViewing(names),
            ..
        } => Some(names.len()),
        Effect::Send { .. } | Effect::Changed(_) => None,
    };
    effects.iter().filter_map(named).collect()
}
