//! A page of the browser app: it connects, identifies, opens a case, and receives the list of its viewers.
//!
//! Lives here: the packets of Socket.IO in both directions. Not here: frames (`websocket`), the times of events
//! (`workload`).

use std::{
    cell::Cell,
    net::{Ipv4Addr, SocketAddrV4},
    rc::Rc,
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::time::Instant;

use crate::{
    expectation::{User, name},
    polling,
    websocket::{self, Reader, Writer},
    workload::World,
};

/// Version of Engine.IO that a page uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    #[value(name = "3")]
    Three,
    #[value(name = "4")]
    Four,
}

/// An open page.
pub(crate) struct Page {
    number: usize,
    user: User,
    pub(crate) engine: Engine,
    writer: Writer,
    world: Rc<World>,
    has_joined: Cell<bool>,
    case: Cell<u32>,
}

/// Properties of one page.
pub(crate) struct Plan {
    pub(crate) number: u32,
    pub(crate) user: User,
    pub(crate) engine: Engine,
    /// Whether the session begins by polling.
    pub(crate) polls_first: bool,
    /// The first case.
    pub(crate) case: u32,
}

pub(crate) const JOIN: &str = "40/socket.io,";
const LIST: &[u8] = br#"42/socket.io,["peopleViewing","#;
const NOTIFICATION: &[u8] = br#"42/socket.io,["notification","#;

/// Opens a page and waits until it has joined the namespace.
pub(crate) async fn open(
    server: SocketAddrV4,
    plan: Plan,
    world: Rc<World>,
) -> Result<(Rc<Page>, Reader)> {
    let target = match plan.engine {
        Engine::Three => "/socket.io/?EIO=3&transport=websocket",
        Engine::Four => "/socket.io/?EIO=4&transport=websocket",
    };
    let client = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() | plan.number);
    let opened = if plan.polls_first {
        polling::open(server, plan.engine, client).await
    } else {
        websocket::open(server, target, client).await
    };
    let (writer, mut reader) = opened.context("connect")?;
    let page = Rc::new(Page {
        number: plan.number.try_into()?,
        user: plan.user,
        engine: plan.engine,
        writer,
        world,
        has_joined: Cell::new(plan.polls_first),
        case: Cell::new(plan.case),
    });
    while !page.has_joined.get() {
        reader
            .receive(|text| page.receives(text))
            .await
            .context("join")?;
    }
    page.identifies();
    page.opens(plan.case);
    Ok((page, reader))
}

/// Receives events of a page until its connection ends.
pub(crate) async fn listen(page: Rc<Page>, mut reader: Reader) {
    while reader.receive(|text| page.receives(text)).await.is_ok() {}
    page.world.cut_off();
}

impl Page {
    /// The current or last case.
    pub(crate) fn case(&self) -> u32 {
        self.case.get()
    }

    /// Opens a case.
    pub(crate) fn opens(&self, case: u32) {
        self.case.set(case);
        let mut expectation = self.world.expectation.borrow_mut();
        expectation.opens(self.number, self.user, case, Instant::now());
        self.sends(&format!(
            r#"42/socket.io,["startViewingCase","case{case}"]"#
        ));
    }

    /// Leaves the case.
    pub(crate) fn closes(&self) {
        let mut expectation = self.world.expectation.borrow_mut();
        expectation.closes(self.number, self.user, Instant::now());
        let case = self.case.get();
        self.sends(&format!(r#"42/socket.io,["stopViewingCase","case{case}"]"#));
    }

    /// Sends the heartbeat of Engine.IO 3. With Engine.IO 4 the client only answers it.
    pub(crate) fn sends_heartbeat(&self) {
        if self.engine == Engine::Three {
            self.sends("2");
        }
    }

    fn identifies(&self) {
        let name = name(self.user);
        self.sends(&format!(
            r#"42/socket.io,["identify",{{"username":"{name}","usertype":"operator","appVersion":"1.0"}}]"#
        ));
    }

    fn receives(&self, text: &[u8]) {
        if let Some(list) = argument(text, LIST) {
            let mut expectation = self.world.expectation.borrow_mut();
            expectation.shows(self.number, list, Instant::now());
        } else if argument(text, NOTIFICATION).is_some() {
            self.world.notified();
        } else if text.starts_with(b"40/socket.io") {
            self.has_joined.set(true);
        } else if text == b"2" {
            self.sends("3");
        } else if text == b"40" || (self.engine == Engine::Four && text.starts_with(b"0")) {
            self.sends(JOIN);
        }
    }

    fn sends(&self, text: &str) {
        // Errors show elsewhere: `listen` notices a closed connection, and the model misses an event that was not sent.
        let _ = self.writer.send(text);
    }
}

/// The argument of an event, as JSON.
fn argument<'text>(text: &'text [u8], event: &[u8]) -> Option<&'text [u8]> {
    text.strip_prefix(event)?.strip_suffix(b"]")
}
