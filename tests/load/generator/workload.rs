//! The workloads: pages connect, produce load for a while, and the cost is computed.
//!
//! Lives here: phases and rates. Not here: the events of a page (`page`), the expected lists (`expectation`).

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use anyhow::{Result, ensure};
use fastrand::Rng;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    task::spawn_local,
    time::{Instant, interval, sleep, sleep_until, timeout},
};

use crate::{
    Options, Workload,
    expectation::Expectation,
    meter::{self, Process, Used, percentiles},
    page::{self, Page, Plan},
};

/// Time-out of every wait.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Interval between two checks whether everything has arrived.
const POLL: Duration = Duration::from_millis(5);

/// Pause before the memory of an idle server is measured.
const REST: Duration = Duration::from_secs(5);

/// Interval of the heartbeat, as in the clients.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// Number of pages that connect at a time, except where connecting is measured.
const CONNECTING: usize = 100;

/// Number of pages that have left the hot case at a time, so that no page leaves it and returns within one list.
const AWAY: usize = 20;

/// Pause of the staff between two requests.
const READING: Duration = Duration::from_millis(100);

/// Body of the back-end's post.
const NOTIFICATION: &str = concat!(
    r#"{"usertype":"operator","notifications":[{"id":7,"type":"warning","#,
    r#""notification":"CHS will be down for maintenance from 18:00 to 19:00 today","#,
    r#""description":"Please save what you are working on and close the case before then.","#,
    r#""start_time":"2026-11-26T17:00:00Z","end_time":"2026-11-26T19:00:00Z"}]}"#
);

/// State shared by all pages.
pub(crate) struct World {
    pub(crate) expectation: RefCell<Expectation>,
    /// Number of notifications received, and the time of the last one.
    arrived: Cell<(usize, Instant)>,
    cut_off: Cell<usize>,
}

impl World {
    /// A page has received a notification.
    pub(crate) fn notified(&self) {
        self.arrived
            .update(|(count, _)| (count + 1, Instant::now()));
    }

    /// The connection of a page has ended.
    pub(crate) fn cut_off(&self) {
        self.cut_off.update(|count| count + 1);
    }

    /// Waits until all changes have arrived. Returns the number of missed ones after the time-out.
    async fn settle(&self) -> usize {
        let begun = Instant::now();
        loop {
            let awaited = self.expectation.borrow().awaited();
            if awaited == 0 || begun.elapsed() > TIMEOUT {
                return awaited;
            }
            sleep(POLL).await;
        }
    }
}

/// Runs the chosen workload and returns its cost.
pub(crate) async fn run(options: Options) -> Result<Value> {
    let count = options.users * options.tabs;
    let server = Process::Server(options.pid);
    let empty = server.resident()?;
    let world = Rc::new(World {
        expectation: Expectation::new(options.cases.try_into()?, count.try_into()?).into(),
        arrived: Cell::new((0, Instant::now())),
        cut_off: Cell::default(),
    });

    let start = Used::so_far(options.pid)?;
    let pages = options.join(&world).await?;
    let missed_by_newcomers = world.settle().await;
    let joining = start.until_now(options.pid)?;
    if options.workload == Workload::Idle {
        sleep(REST).await;
    }
    let resident = server.resident()?;
    let at_first = world.expectation.borrow_mut().tally();

    let start = Used::so_far(options.pid)?;
    let found = options.act(&world, &pages).await?;
    let missed = world.settle().await;
    let acting = start.until_now(options.pid)?;
    let tally = world.expectation.borrow_mut().tally();
    let cut_off = world.cut_off.get();
    ensure!(cut_off == 0, "the server has closed {cut_off} connections");
    let busy = match options.workload {
        Workload::Idle | Workload::Storm => joining.own_share(),
        Workload::Switch | Workload::Hot | Workload::Notify | Workload::Staff => acting.own_share(),
    };
    Ok(json!({
        "users": options.users, "tabs": options.tabs, "cases": options.cases,
        "connects_per_s": joining.rate(count),
        "cpu_us_per_connect": joining.server_us_per(count),
        "generator_cpu_us_per_connect": joining.own_us_per(count),
        "resident_bytes": resident,
        "bytes_per_connection": resident.saturating_sub(empty) / count,
        "changes": tally.changes, "lists": tally.lists, "seen": tally.delays.len(),
        "missed": missed + missed_by_newcomers, "left_unseen": tally.left_unseen, "wrong": tally.wrong + at_first.wrong,
        "generator_busy": busy,
        "lists_per_s": acting.rate(tally.lists),
        "cpu_us_per_list": acting.server_us_per(tally.lists),
        "cpu_us_per_change": acting.server_us_per(tally.changes),
        "generator_cpu_us_per_list": acting.own_us_per(tally.lists),
        "delay_ms": percentiles(tally.delays),
        "cpu_us_per_post": found.get("posts").and_then(Value::as_u64).and_then(|posts| acting.server_us_per(posts.try_into().ok()?)),
        "found": found,
    }))
}

impl Options {
    /// Opens all pages.
    async fn join(&self, world: &Rc<World>) -> Result<Vec<Rc<Page>>> {
        let begun = Instant::now();
        let count = self.users * self.tabs;
        let limit = match (self.workload, self.join_rate) {
            (Workload::Storm, _) | (_, Some(_)) => count.try_into()?,
            _ => CONNECTING,
        };
        let opening = stream::iter(0..count).map(async |number| {
            if let Some(rate) = self.join_rate {
                sleep_until(begun + Duration::from_secs_f64(f64::from(number) / rate)).await;
            }
            let opening = page::open(self.public, self.plan(number)?, world.clone());
            let (page, reader) = timeout(TIMEOUT, opening).await??;
            spawn_local(page::listen(page.clone(), reader));
            anyhow::Ok((number, page))
        });
        let mut pages: Vec<_> = opening.buffer_unordered(limit).try_collect().await?;
        pages.sort_unstable_by_key(|(number, _)| *number);
        let pages: Vec<_> = pages.into_iter().map(|(_, page)| page).collect();
        spawn_local(send_heartbeats(pages.clone()));
        Ok(pages)
    }

    fn plan(&self, number: u32) -> Result<Plan> {
        let mut engines = self.engine.iter().cycle();
        let engine = engines.nth(number.try_into()?);
        let cases = if self.workload == Workload::Hot {
            1
        } else {
            self.cases
        };
        Ok(Plan {
            number,
            user: number / self.tabs,
            engine: *engine.unwrap_or(&page::Engine::Four),
            polls_first: self.polls_first,
            case: number % cases,
        })
    }

    /// Produces the load of the workload. Returns the figures that only this workload has.
    async fn act(&self, world: &World, pages: &[Rc<Page>]) -> Result<Value> {
        match self.workload {
            Workload::Idle | Workload::Storm => {}
            Workload::Switch => self.switch(pages).await,
            Workload::Hot => self.leave_and_return(pages).await,
            Workload::Notify => return self.notify(world, pages.len()).await,
            Workload::Staff => {
                let (found, ()) = tokio::join!(self.request_pages(), self.switch(pages));
                return found;
            }
        }
        Ok(json!({}))
    }

    async fn switch(&self, pages: &[Rc<Page>]) {
        let mut chance = Rng::with_seed(1);
        let mut order: Vec<_> = pages.iter().collect();
        chance.shuffle(&mut order);
        // One after another, so that no page leaves a case and returns within one list.
        let mut order = order.into_iter().cycle();
        self.at_rate(|| {
            if let Some(page) = order.next() {
                // A different case, if there is more than one.
                let step = chance.u32(1..self.cases.max(2));
                page.opens((page.case() + step) % self.cases);
            }
        })
        .await;
    }

    async fn leave_and_return(&self, pages: &[Rc<Page>]) {
        let mut present: VecDeque<_> = pages.iter().collect();
        let mut away: VecDeque<&Rc<Page>> = VecDeque::new();
        self.at_rate(|| {
            if away.len() >= AWAY
                && let Some(page) = away.pop_front()
            {
                page.opens(0);
                present.push_back(page);
            } else if let Some(page) = present.pop_front() {
                page.closes();
                away.push_back(page);
            }
        })
        .await;
    }

    async fn notify(&self, world: &World, pages: usize) -> Result<Value> {
        let (mut took, mut missed) = (Vec::new(), 0);
        let begun = Instant::now();
        let mut due = interval(Duration::from_secs_f64(1.0 / self.rate));
        while begun.elapsed().as_secs_f64() < self.seconds {
            due.tick().await;
            let posted = Instant::now();
            world.arrived.set((0, posted));
            meter::ask(self.admin, "POST", "/admin/notifications/", NOTIFICATION).await?;
            while world.arrived.get().0 < pages && posted.elapsed() < TIMEOUT {
                sleep(POLL).await;
            }
            let (count, last) = world.arrived.get();
            took.push(last - posted);
            missed += pages.abs_diff(count);
        }
        Ok(json!({
            "posts": took.len(), "missed": missed, "until_the_last_has_it_ms": percentiles(took),
        }))
    }

    /// Staff request one page after another.
    async fn request_pages(&self) -> Result<Value> {
        let (mut page, mut people) = (Vec::new(), Vec::new());
        let before = meter::hub_latencies(self.admin).await;
        let begun = Instant::now();
        while begun.elapsed().as_secs_f64() < self.seconds {
            for (path, took) in [
                ("/admin/broadcast/", &mut page),
                ("/admin/peopleMap/", &mut people),
            ] {
                let asked = Instant::now();
                meter::ask(self.admin, "GET", path, "").await?;
                took.push(asked.elapsed());
                sleep(READING).await;
            }
        }
        let after = meter::hub_latencies(self.admin).await;
        Ok(json!({
            "page_ms": percentiles(page), "people_map_ms": percentiles(people),
            "hub_p99_at_most_ms": meter::p99_at_most_ms(&before, &after),
        }))
    }

    /// Calls `act` at the chosen rate for the chosen time.
    async fn at_rate(&self, mut act: impl FnMut()) {
        let begun = Instant::now();
        let mut due = Duration::ZERO;
        while due.as_secs_f64() < self.seconds {
            sleep_until(begun + due).await;
            act();
            due += Duration::from_secs_f64(1.0 / self.rate);
        }
    }
}

/// Sends the heartbeat of all pages.
async fn send_heartbeats(pages: Vec<Rc<Page>>) {
    let mut due = interval(HEARTBEAT);
    loop {
        due.tick().await;
        for page in &pages {
            page.sends_heartbeat();
        }
    }
}
