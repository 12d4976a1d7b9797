//! Whether a connection is used by its HTTP server or by somebody else, its holder.
//!
//! Lives here: what the server reads once the holder has given the connection back. Not here: sockets (`stream`).
//! Invariant: the server reads every byte once and in order. What it writes in answer to the first part is dropped, because
//! the holder has answered that part.

use std::task::Poll;

use tokio::io::ReadBuf;

/// Who reads and writes a connection.
#[derive(Debug)]
pub(super) enum Hold {
    /// The server.
    Free,
    /// A holder; the server waits for its service and does not write.
    Held,
    /// The server, which reads the bytes of the holder first. Boxed, because nearly every connection is free.
    GivenBack(Box<Replay>),
}

/// The bytes that the holder of a connection has read.
#[derive(Debug)]
pub(super) struct Replay {
    heard: Vec<u8>,
    /// The index at which the second part begins.
    second: usize,
    /// The number of these bytes that the server has read.
    read: usize,
}

impl Hold {
    /// Gives the server `heard` to read. Its second part begins at `second`; the holder has answered the first.
    pub(super) fn given_back(heard: Vec<u8>, second: usize) -> Self {
        let read = 0;
        Self::GivenBack(Box::new(Replay {
            heard,
            second,
            read,
        }))
    }

    /// Copies bytes of the holder into `buffer` and returns whether there were any; without them, the socket is to be read.
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

    /// Whether the server is answering the first part, which the holder has answered.
    pub(super) fn discards_writes(&self) -> bool {
        match self {
            Self::GivenBack(replay) => replay.read <= replay.second,
            Self::Free | Self::Held => false,
        }
    }
}

impl Replay {
    /// The unread bytes of the part that is being read.
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
    fn bytes_given_back_are_read_in_two_parts() {
        for room in 1..16 {
            let mut hold = Hold::given_back(b"probeupgrade".to_vec(), 5);
            let (mut read, mut ends) = (Vec::new(), Vec::new());
            while hold.discards_writes() {
                read.extend(replayed(&mut hold, room).unwrap());
                ends.push(read.len());
            }
            assert!(
                ends.contains(&5),
                "room {room}: the second part came with the first: {ends:?}"
            );
            assert!(
                read.len() > 5,
                "room {room}: the hold ended with the first part"
            );
            while let Some(bytes) = replayed(&mut hold, room) {
                read.extend(bytes);
            }
            assert_eq!(read, b"probeupgrade", "room {room}");
        }
    }

    #[test]
    fn a_connection_that_is_held_is_not_read() {
        let mut buffer = [0];
        let mut buffer = ReadBuf::new(&mut buffer);
        assert_eq!(Hold::Held.replay(&mut buffer), Poll::Pending);
        assert_eq!(Hold::Free.replay(&mut buffer), Poll::Ready(false));
    }

    /// The bytes read into a buffer of size `room`; `None` if the socket is to be read.
    fn replayed(hold: &mut Hold, room: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; room];
        let mut buffer = ReadBuf::new(&mut buffer);
        let is_replay = hold.replay(&mut buffer) == Poll::Ready(true);
        is_replay.then(|| buffer.filled().to_vec())
    }
}
