//! The packets that wait for one client.
//!
//! Lives here: their order, their number and size, and the bound. Not here: who takes them (`session`).
//! Invariant: an empty queue holds no memory.

use std::{collections::VecDeque, mem};

use crate::packet::Packet;

/// Packets in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// The size of the packet that a websocket is writing.
    begun: Option<usize>,
    /// Places that were promised.
    reserved: usize,
}

/// What waits for a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Packets, those of the engine included.
    pub packets: usize,
    /// Bytes that the packets carry.
    pub bytes: usize,
}

impl Queue {
    /// Promises a place among `most`, if there is one.
    pub(crate) fn reserve(&mut self, most: usize) -> bool {
        let is_free = self.waiting().packets + self.reserved < most;
        self.reserved += usize::from(is_free);
        is_free
    }

    /// Takes a promise back, or makes room for the packet that it was for.
    pub(crate) fn release(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Adds a packet, whatever waits.
    pub(crate) fn push(&mut self, packet: Packet) {
        self.bytes += packet.size();
        self.packets.push_back(packet);
    }

    /// Removes the oldest packet for a websocket, which has written the one before.
    pub(crate) fn pop(&mut self) -> Option<Packet> {
        self.begun = None;
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.size();
        self.begun = Some(packet.size());
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
        Some(packet)
    }

    /// Removes all packets.
    pub(crate) fn take(&mut self) -> VecDeque<Packet> {
        self.bytes = 0;
        mem::take(&mut self.packets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.begun.is_none()
    }

    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            packets: self.packets.len() + usize::from(self.begun.is_some()),
            bytes: self.bytes + self.begun.unwrap_or_default(),
        }
    }
}
