//! One session under random orders of sends, polls, probes and its upgrade.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use engineioxide_core::Str;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;

/// The packets that may wait in these tests.
const MOST: usize = 5;

/// What can happen to a session.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The handler sends messages, each in a place of its own.
    Send(usize),
    /// The handler sends a message and bytes that belong to it.
    SendMany,
    /// The handler takes a place and does not use it.
    ReserveOnly,
    /// The handler sends a message that may be dropped.
    Volatile,
    /// The client polls, if it is not polling.
    BeginPoll,
    /// The poll that waits is looked at.
    Look,
    BeginProbe,
    ReleasePoll,
    EndProbe,
    Upgrade,
    /// The websocket takes a packet.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4usize).prop_map(Step::Send),
        1 => Just(Step::SendMany),
        1 => Just(Step::ReserveOnly),
        1 => Just(Step::Volatile),
        4 => Just(Step::BeginPoll),
        4 => Just(Step::Look),
        1 => Just(Step::BeginProbe),
        2 => Just(Step::ReleasePoll),
        1 => Just(Step::EndProbe),
        1 => Just(Step::Upgrade),
        4 => Just(Step::Take),
    ]
}

/// Counts the ends that are reported.
#[derive(Default)]
struct Ends(Mutex<HashMap<Sid, Vec<Ended>>>);

impl Report for Ends {
    fn report(&self, session: Sid, ended: Ended) {
        self.0.lock().entry(session).or_default().push(ended);
    }
}

impl Ends {
    fn of(&self, session: &Session) -> Vec<Ended> {
        self.0.lock().get(&session.id).cloned().unwrap_or_default()
    }
}

fn session(ends: &Arc<Ends>) -> Session {
    let config = EngineIoConfig {
        max_buffer_size: MOST,
        ..EngineIoConfig::default()
    };
    let ends: Weak<dyn Report> = Arc::downgrade(&(ends.clone() as Arc<dyn Report>));
    let query = Query {
        version: ProtocolVersion::V4,
        transport: TransportType::Polling,
        session: None,
        base64: false,
    };
    Session::new(query, &config, None, ends)
}

/// A session, and what it was given and has given away.
struct Model {
    session: Session,
    next: usize,
    sent: Vec<Packet>,
    received: Vec<Packet>,
    polls: bool,
}

impl Model {
    fn message(&mut self) -> Packet {
        self.next += 1;
        Packet::Message(Str::from(self.next.to_string()))
    }

    /// Sends, and tells whether there was a place.
    fn send(&mut self, packets: Vec<Packet>) -> bool {
        let Ok(permit) = self.session.reserve() else {
            return false;
        };
        self.session.push(packets.clone());
        drop(permit);
        self.sent.extend(packets);
        true
    }

    fn look(&mut self) -> Option<VecDeque<Packet>> {
        let mut cx = Context::from_waker(Waker::noop());
        match self.session.poll_answer(&mut cx) {
            Poll::Ready(packets) => {
                self.polls = false;
                Some(packets)
            }
            Poll::Pending => None,
        }
    }

    fn receive(&mut self, packets: impl IntoIterator<Item = Packet>) {
        let noops = |packet: &Packet| *packet != Packet::Noop;
        self.received.extend(packets.into_iter().filter(noops));
    }

    fn take(&mut self, step: Step) {
        let before = self.session.waiting();
        let is_websocket = self.session.transport() == TransportType::Websocket;
        match step {
            Step::Send(count) => {
                for _ in 0..count {
                    let has_room = self.session.waiting().packets < MOST;
                    let message = self.message();
                    assert_eq!(self.send(vec![message]), has_room);
                }
            }
            Step::SendMany => {
                let many = vec![self.message(), Packet::Binary(vec![7; 9].into())];
                self.send(many);
            }
            Step::ReserveOnly => drop(self.session.reserve()),
            Step::Volatile => {
                let message = self.message();
                let was_sent = self.session.push_volatile([message.clone()]);
                assert_eq!(
                    was_sent,
                    before.packets == 0 && (self.polls || is_websocket)
                );
                self.sent.extend(was_sent.then_some(message));
            }
            Step::BeginPoll if !is_websocket => {
                assert_ne!(self.session.begin_poll(), self.polls);
                self.polls = true;
            }
            Step::Look if self.polls => {
                let answer = self.look();
                assert_eq!(answer.is_some(), is_websocket || before.packets > 0);
                self.receive(answer.unwrap_or_default());
            }
            Step::BeginProbe => _ = self.session.begin_probe(),
            Step::ReleasePoll if !is_websocket => {
                self.session.release_poll();
                let is_released = self.polls && before.packets == 0;
                let grown = self.session.waiting().packets - before.packets;
                assert_eq!(grown, usize::from(is_released));
            }
            Step::EndProbe => self.session.end_probe(),
            Step::Upgrade => assert!(self.session.upgrade()),
            Step::Take if is_websocket => {
                let packet = self.session.next_packet();
                self.receive(packet);
            }
            Step::BeginPoll | Step::Look | Step::ReleasePoll | Step::Take => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn nothing_is_lost_doubled_or_reordered(steps in prop::collection::vec(step(), 0..60)) {
        let ends = Arc::default();
        let mut model = Model {
            session: session(&ends),
            next: 0,
            sent: Vec::new(),
            received: Vec::new(),
            polls: false,
        };
        for step in steps {
            model.take(step);
            // A message with bytes takes one place.
            prop_assert!(model.session.waiting().packets <= MOST + 1);
        }
        model.session.upgrade();
        while let Some(packet) = model.session.next_packet() {
            model.receive([packet]);
        }
        prop_assert_eq!(model.received, model.sent);
        prop_assert_eq!(model.session.waiting(), Waiting::default());
        prop_assert_eq!(ends.of(&model.session), vec![]);
    }

    #[test]
    fn an_end_is_reported_once_and_stops_everything(
        ends_by in prop::collection::vec(0..4u8, 1..6), waits: bool, queued: bool
    ) {
        let ends = Arc::default();
        let session = session(&ends);
        if queued {
            session.push([Packet::Message(Str::from("last"))]);
        }
        if waits {
            assert!(session.begin_poll());
        }
        for end in ends_by {
            match end {
                0 => session.end(Ended::Heartbeat),
                1 => session.close(DisconnectReason::ClosingServer),
                2 => session.end(Ended::BadPacket),
                _ => session.abort_poll(),
            }
        }
        let reported = ends.of(&session);
        prop_assert_eq!(reported.len(), 1);
        prop_assert_eq!(session.ended(), reported.first().copied());
        prop_assert!(session.reserve().is_err());
        prop_assert!(!session.upgrade() && !session.begin_probe());
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(last) = session.poll_answer(&mut cx) else {
            return Err(TestCaseError::fail("the poll still waits"));
        };
        prop_assert_eq!(last.back(), Some(&Packet::Close));
        prop_assert_eq!(last.len(), 1 + usize::from(queued));
    }
}

#[test]
fn a_session_has_one_probe_at_a_time() {
    let ends = Arc::default();
    let session = session(&ends);
    assert!(session.begin_probe());
    assert!(!session.begin_probe());
    session.end_probe();
    assert!(session.begin_probe());
    session.upgrade();
    session.end_probe();
    assert!(!session.begin_probe(), "it is a websocket");
}

#[test]
fn a_poll_that_waits_during_the_upgrade_is_answered_with_nothing_that_is_for_the_websocket() {
    let ends = Arc::default();
    let session = session(&ends);
    assert!(session.begin_poll());
    session.push([Packet::Message(Str::from("late"))]);
    session.upgrade();
    let mut cx = Context::from_waker(Waker::noop());
    let noop = VecDeque::from([Packet::Noop]);
    assert_eq!(session.poll_answer(&mut cx), Poll::Ready(noop));
    assert_eq!(
        session.next_packet(),
        Some(Packet::Message(Str::from("late")))
    );
}

#[test]
fn a_client_that_takes_nothing_is_not_owed_any_number_of_pongs() {
    let ends = Arc::default();
    let session = session(&ends);
    for _ in 0..100 {
        session.pong();
    }
    assert_eq!(session.waiting().packets, MOST);
}
