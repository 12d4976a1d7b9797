//! Who reads and writes a connection for the moment.
//!
//! Lives here: what its server meets after somebody else has held it. Not here: sockets (`line`).
//! Invariant: the server reads every byte once, in order, and whatever it writes in answer to the first part is dropped.

use std::task::Poll;

use tokio::io::ReadBuf;

/// Whether somebody but its server reads and writes a connection.
#[derive(Debug)]
pub(super) enum Hold {
    /// Nobody does.
    Free,
    /// Somebody does; the server waits.
    Held,
    /// Somebody did, and the server is to read that first. Boxed, because nearly every connection is free.
    GivenBack(Box<Replay>),
}

/// What the holder of a connection has read of it.
#[derive(Debug)]
pub(super) struct Replay {
    heard: Vec<u8>,
    /// Where its second part begins.
    second: usize,
    /// How much of it the server has read.
    read: usize,
}

impl Hold {
    /// The holder has read `heard`, whose second part begins at `second`, and has answered the first.
    pub(super) fn given_back(heard: Vec<u8>, second: usize) -> Self {
        let read = 0;
        Self::GivenBack(Box::new(Replay {
            heard,
            second,
            read,
        }))
    }

    /// Gives the server what it is to read before anything else, if there is such a thing.
    pub(super) fn replay(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<bool> {
        let Self::GivenBack(replay) = self else {
            return match self {
                Self::Held => Poll::Pending,
                Self::Free | Self::GivenBack(_) => Poll::Ready(false),
            };
        };
        let unread = replay.unread();
        let (now, _) = unread.split_at(unread.len().min(buffer.remaining()));
        buffer.put_slice(now);
        replay.read += now.len();
        if replay.read == replay.heard.len() {
            *self = Self::Free;
        }
        Poll::Ready(true)
    }

    /// Whether what the server writes has been written by the holder.
    pub(super) fn is_written(&self) -> bool {
        match self {
            Self::GivenBack(replay) => replay.read <= replay.second,
            Self::Free | Self::Held => false,
        }
    }
}

impl Replay {
    /// The rest of the part that is being read.
    fn unread(&self) -> &[u8] {
        let end = if self.read < self.second {
            self.second
        } else {
            self.heard.len()
        };
        self.heard.get(self.read..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_read_part_by_part_and_the_first_answer_dropped() {
        for room in 1..16 {
            let mut hold = Hold::given_back(b"probeupgrade".to_vec(), 5);
            let (mut read, mut ends) = (Vec::new(), Vec::new());
            while hold.is_written() {
                read.extend(replayed(&mut hold, room).unwrap());
                ends.push(read.len());
            }
            assert!(
                ends.contains(&5),
                "the second part came with the first: {ends:?}"
            );
            assert!(read.len() > 5, "what was written before it counts");
            while let Some(bytes) = replayed(&mut hold, room) {
                read.extend(bytes);
            }
            assert_eq!(read, b"probeupgrade");
        }
    }

    #[test]
    fn a_connection_that_is_held_is_not_read() {
        let mut buffer = [0];
        let mut buffer = ReadBuf::new(&mut buffer);
        assert_eq!(Hold::Held.replay(&mut buffer), Poll::Pending);
        assert_eq!(Hold::Free.replay(&mut buffer), Poll::Ready(false));
    }

    /// What is read next into a buffer of that size; none when the socket is to be read.
    fn replayed(hold: &mut Hold, room: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; room];
        let mut buffer = ReadBuf::new(&mut buffer);
        let is_replay = hold.replay(&mut buffer) == Poll::Ready(true);
        is_replay.then(|| buffer.filled().to_vec())
    }
}
