//! Sessions of an attacker: the daemon survives them, releases them, and serves other users.
#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

use cla_socketserver_fuzz::{attacker::Attacker, bystanders::Pair};
use libfuzzer_sys::fuzz_target;

static PAIR: LazyLock<Mutex<(Pair, u32)>> = LazyLock::new(|| Mutex::new((Pair::new(), 0)));

fuzz_target!(|script: &[u8]| {
    let mut guard = PAIR.lock().unwrap_or_else(PoisonError::into_inner);
    let (pair, count) = &mut *guard;
    *count += 1;
    // A new client address for each input.
    let [_, a, b, c] = count.to_be_bytes();
    Attacker::new(format!("10.{a}.{b}.{c}")).follow(script);
    pair.are_the_only_users();
    pair.see_each_other();
});
