//! The hub with a recorder in place of sockets.

use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{Delivery, HubHandle, Recorder, registry};
use crate::presence::{
    Audience, Browser, Bytes, Change, ConnectionId, Ending, Event, Identity, Message, Moment,
    Registry, SystemMessage,
};

#[tokio::test]
async fn a_user_whose_connections_are_on_several_pages_is_one_person() {
    let mut registry = registry();
    for number in 0..600 {
        let user = if number == 1 { "eve" } else { "adam" };
        let _ = registry.apply(identified(number, user), Moment::ZERO);
    }
    let everybody = registry.people(None, usize::MAX, Moment::ZERO).people;
    let people = with_hub(Recorder::default(), registry, async |hub| {
        hub.people().await
    });
    assert_eq!(people.await.unwrap(), everybody);
}

#[tokio::test]
async fn a_post_is_answered_with_its_receipt() {
    let recorder = Recorder::answering(Delivery {
        reached: 3,
        kept: 1,
    });
    let mut registry = registry();
    let _ = registry.apply(identified(0, "adam"), Moment::ZERO);
    let _ = registry.apply(identified(1, "eve"), Moment::ZERO);
    let ending = Ending::Lost {
        silence: Duration::ZERO,
    };
    let conn = connection(1);
    let _ = registry.apply(Event::Ended { conn, ending }, Moment::ZERO);
    let message = Message::System(SystemMessage::OutOfDate);
    let posted = with_hub(recorder.clone(), registry, async |hub| {
        let (_, mut changes) = hub.snapshot().await.unwrap();
        let delivery = hub.post(Audience::Everyone, message.clone()).await.unwrap();
        (delivery, changes.try_recv())
    });
    let (delivery, change) = posted.await;
    let expected = Delivery {
        reached: 3,
        kept: 2,
    };
    assert_eq!(delivery, expected, "one lost place, and one failed send");
    assert_eq!(
        change.unwrap(),
        Change::Posted {
            to: Audience::Everyone,
            text: Bytes(0),
        }
    );
    assert_eq!(recorder.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_posted_while_a_loss_waits_for_the_hub_is_kept() {
    let recorder = Recorder::default();
    let mut registry = registry();
    let _ = registry.apply(identified(0, "adam"), Moment::ZERO);
    let (handle, hub, inbox) = recorder.hub(registry);
    let message = Message::System(SystemMessage::OutOfDate);
    let work = async {
        let posted = handle.post(Audience::Everyone, message.clone());
        let silence = Duration::ZERO;
        let permit = handle.end_permit().unwrap();
        tokio::join!(posted, async {
            permit.send(connection(0), Ending::Lost { silence });
        })
        .0
        .unwrap();
        apply(&handle, identified(1, "adam")).await;
        handle.finish().await.unwrap();
    };
    // Both requests wait while the hub is busy: the post comes first, but the connection was lost before the hub sent anything.
    let busy = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        hub.run(inbox).await;
    };
    tokio::join!(work, busy);
    let sent: Vec<_> = recorder
        .take()
        .into_iter()
        .map(|(_, message)| message)
        .collect();
    assert_eq!(
        sent,
        [message.clone(), message],
        "once to the lost connection, once to the next"
    );
}

#[tokio::test]
async fn a_subscriber_receives_a_snapshot_and_every_later_change() {
    let followed = with_hub(Recorder::default(), registry(), async |hub| {
        apply(&hub, identified(0, "adam")).await;
        let (snapshot, mut changes) = hub.snapshot().await.unwrap();
        apply(&hub, identified(1, "eve")).await;
        let next = changes.recv().await.unwrap();
        (snapshot.places.len(), next, changes.try_recv())
    });
    let (places, next, end) = followed.await;
    assert_eq!(places, 1, "places in the snapshot, which has adam only");
    let Change::Arrived { conn, .. } = next else {
        panic!("the arrival of eve expected, got {next:?}");
    };
    assert_eq!((conn, end), (connection(1), Err(TryRecvError::Empty)));
}

#[tokio::test]
async fn a_subscriber_that_lags_receives_the_number_of_missed_changes() {
    let behind = with_hub(Recorder::default(), registry(), async |hub| {
        let (_, mut changes) = hub.snapshot().await.unwrap();
        for number in 0..1500 {
            apply(&hub, identified(number, "adam")).await;
        }
        let missed = changes.recv().await;
        let mut rest = 0;
        while changes.try_recv().is_ok() {
            rest += 1;
        }
        (missed, rest)
    });
    assert_eq!(behind.await, (Err(RecvError::Lagged(1500 - 1024)), 1024));
}

/// Runs `work` beside a hub that sends to `recorder`.
async fn with_hub<T>(
    recorder: Recorder,
    registry: Registry,
    work: impl AsyncFnOnce(HubHandle) -> T,
) -> T {
    let (handle, hub, inbox) = recorder.hub(registry);
    tokio::join!(work(handle), hub.run(inbox)).0
}

/// Hands the hub an event, and waits until it is applied.
async fn apply(hub: &HubHandle, event: Event) {
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let turn = turns.acquire_owned().await.unwrap();
    hub.frame(event, turn).unwrap();
    hub.ping().await.unwrap();
}

fn identified(number: usize, user: &str) -> Event {
    Event::Identified {
        conn: connection(number),
        identity: Identity {
            username: user.try_into().unwrap(),
            user_type: "operator".try_into().unwrap(),
            app_version: "1.0".try_into().unwrap(),
        },
        browser: Browser {
            address: [192, 0, 2, 1].into(),
            agent: None,
        },
        page: None,
    }
}

fn connection(number: usize) -> ConnectionId {
    format!("{number:016}").as_str().try_into().unwrap()
}
