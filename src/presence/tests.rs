//! The registry and what it answers to events, without a clock and without sockets.
//!
//! | module | what is tested there |
//! |---|---|
//! | `lists` | the lists of viewers that an event causes, and how bursts are merged |
//! | `losses` | lost connections, returns, messages that are kept, restarts |
//! | `people` | the census and the people map |
//! | `messages` | the audience of a message |
//! | `ids` | the bounds of names from outside |
//! | `reload` | new rules for a registry in use |
//! | `attackers` | connections that claim the name of another user or abort polls |
//! | `world` | tabs that do anything in any order, compared with a model |
//! | `support` | the shorthand of the tables, and a subscriber that must always know what a snapshot would tell |

mod attackers;
mod ids;
mod lists;
mod losses;
mod messages;
mod people;
mod reload;
mod support;
mod world;

use std::{collections::BTreeSet, time::Duration};

use super::*;
use support::*;
