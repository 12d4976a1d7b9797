//! A page of the browser app: it connects, says whose it is, shows a case, and hears who else does.
//!
//! Lives here: the packets of Socket.IO in both directions. Not here: frames (`websocket`), when a page does what
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
    websocket::{self, Ear, Mouth},
    workload::World,
};

/// The version of Engine.IO that a page speaks.
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
    mouth: Mouth,
    world: Rc<World>,
    is_in: Cell<bool>,
    case: Cell<u32>,
}

/// What makes one page differ from the others.
pub(crate) struct Plan {
    pub(crate) number: u32,
    pub(crate) user: User,
    pub(crate) engine: Engine,
    /// The case that it shows at first.
    pub(crate) case: u32,
}

const JOIN: &str = "40/socket.io,";
const LIST: &[u8] = br#"42/socket.io,["peopleViewing","#;
const NOTIFICATION: &[u8] = br#"42/socket.io,["notification","#;

/// Opens a page and waits until it has been let in.
pub(crate) async fn open(
    server: SocketAddrV4,
    plan: Plan,
    world: Rc<World>,
) -> Result<(Rc<Page>, Ear)> {
    let target = match plan.engine {
        Engine::Three => "/socket.io/?EIO=3&transport=websocket",
        Engine::Four => "/socket.io/?EIO=4&transport=websocket",
    };
    let visitor = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() | plan.number);
    let (mouth, mut ear) = websocket::open(server, target, visitor)
        .await
        .context("connect")?;
    let page = Rc::new(Page {
        number: plan.number.try_into()?,
        user: plan.user,
        engine: plan.engine,
        mouth,
        world,
        is_in: Cell::new(false),
        case: Cell::new(plan.case),
    });
    while !page.is_in.get() {
        ear.hear(|text| page.hears(text)).await.context("join")?;
    }
    page.identifies();
    page.opens(plan.case);
    Ok((page, ear))
}

/// Hears what a page is told for as long as it is open.
pub(crate) async fn listen(page: Rc<Page>, mut ear: Ear) {
    while ear.hear(|text| page.hears(text)).await.is_ok() {}
    page.world.cut_off();
}

impl Page {
    /// The case that it shows, or showed last.
    pub(crate) fn case(&self) -> u32 {
        self.case.get()
    }

    /// Turns to a case.
    pub(crate) fn opens(&self, case: u32) {
        self.case.set(case);
        let mut expectation = self.world.expectation.borrow_mut();
        expectation.opens(self.number, self.user, case, Instant::now());
        self.says(&format!(
            r#"42/socket.io,["startViewingCase","case{case}"]"#
        ));
    }

    /// Leaves its case.
    pub(crate) fn closes(&self) {
        let mut expectation = self.world.expectation.borrow_mut();
        expectation.closes(self.number, self.user, Instant::now());
        let case = self.case.get();
        self.says(&format!(r#"42/socket.io,["stopViewingCase","case{case}"]"#));
    }

    /// Clients of Engine.IO 3 send the heartbeat, those of 4 answer it.
    pub(crate) fn beats(&self) {
        if self.engine == Engine::Three {
            self.says("2");
        }
    }

    fn identifies(&self) {
        let name = name(self.user);
        self.says(&format!(
            r#"42/socket.io,["identify",{{"username":"{name}","usertype":"operator","appVersion":"1.0"}}]"#
        ));
    }

    fn hears(&self, text: &[u8]) {
        if let Some(list) = argument(text, LIST) {
            let mut expectation = self.world.expectation.borrow_mut();
            expectation.shows(self.number, list, Instant::now());
        } else if argument(text, NOTIFICATION).is_some() {
            self.world.notified();
        } else if text.starts_with(b"40/socket.io") {
            self.is_in.set(true);
        } else if text == b"2" {
            self.says("3");
        } else if text == b"40" || (self.engine == Engine::Four && text.starts_with(b"0")) {
            self.says(JOIN);
        }
    }

    fn says(&self, text: &str) {
        // Otherwise the connection is over, which is noticed where it is read, or the server does not read, and what it has
        // not heard will be missed.
        let _ = self.mouth.say(text);
    }
}

/// The one argument of an event, as JSON.
fn argument<'text>(text: &'text [u8], event: &[u8]) -> Option<&'text [u8]> {
    text.strip_prefix(event)?.strip_suffix(b"]")
}
