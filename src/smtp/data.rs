//! Reads what follows DATA: finds its true end, takes off the stuffed dots, keeps every other octet.
//!
//! Does not know what a message is; NUL, 8-bit octets, bare CR and bare LF are data like any other (RFC 5321 4.1.1.4: only
//! CR LF `.` CR LF ends it, and treating less as the end is how mails are smuggled). What always holds: the result does not
//! depend on how the octets were cut into pieces, and no more than the limit is kept.

/// Takes the octets after DATA in pieces of any size.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    message: Vec<u8>,
    limit: usize,
    dropped: Option<Dropped>,
}

/// Where the reader stands. A CR behind the dot is not yet part of the message, every other CR is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind CR LF, or at the very start: the CR LF of the command line counts.
    LineStart,
    /// Behind a dot at the start of a line.
    Dot,
    /// Behind that and a CR.
    DotCr,
    /// Behind a CR within a line.
    Cr,
    /// Within a line.
    Text,
}

/// Why there is no message although its end was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It is larger than the limit.
    #[error("the message is larger than the limit")]
    TooLarge,
    /// [`Reader::shed`] was called.
    #[error("there was no room for the message")]
    NoRoom,
}

/// What an announced size may reserve before a single octet came.
const RESERVED_MAX: u64 = 16 * 1024;

impl Reader {
    /// Starts behind the CR LF of the DATA command. `limit` is in octets, dots unstuffed; `announced` is what SIZE said.
    #[must_use]
    pub fn new(limit: usize, announced: Option<u64>) -> Self {
        let reserved = usize::try_from(announced.unwrap_or(0).min(RESERVED_MAX)).unwrap_or(0).min(limit);
        Self { place: Place::LineStart, message: Vec::with_capacity(reserved), limit, dropped: None }
    }

    /// Takes the next piece. Gives how much of it belongs to the message if the end was in it, else `None`: all of it did.
    pub fn read(&mut self, piece: &[u8]) -> Option<usize> {
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            if self.place == Place::Text {
                // The long stretches: up to and with the next CR in one go.
                let stretch = rest.iter().position(|byte| *byte == b'\r').map_or(rest.len(), |at| at + 1);
                let (text, after) = rest.split_at(stretch);
                self.keep(text);
                if text.ends_with(b"\r") {
                    self.place = Place::Cr;
                }
                rest = after;
                continue;
            }
            rest = after;
            if self.place == Place::DotCr && *byte == b'\n' {
                return Some(piece.len() - rest.len());
            }
            self.step(*byte);
        }
        None
    }

    fn step(&mut self, byte: u8) {
        let next = match (self.place, byte) {
            (Place::LineStart, b'.') => Place::Dot,
            (Place::Dot, b'\r') => Place::DotCr,
            (Place::Cr, b'\n') => Place::LineStart,
            (_, b'\r') => Place::Cr,
            _ => Place::Text,
        };
        match (self.place, next) {
            (_, Place::Dot | Place::DotCr) => {}
            // Not the end after all: the CR that was held back is part of the line, the dot before it was stuffed.
            (Place::DotCr, _) => self.keep(&[b'\r', byte]),
            _ => self.keep(&[byte]),
        }
        self.place = next;
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.dropped.is_some() {
            return;
        }
        if octets.len() > self.limit - self.message.len() {
            self.drop_message(Dropped::TooLarge);
        } else {
            self.message.extend_from_slice(octets);
        }
    }

    fn drop_message(&mut self, why: Dropped) {
        self.dropped = Some(why);
        self.message = Vec::new();
    }

    /// Lets go of what was kept, and of what follows up to the end.
    pub fn shed(&mut self) {
        if self.dropped.is_none() {
            self.drop_message(Dropped::NoRoom);
        }
    }

    /// Gives the memory in use, in octets.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.message.capacity()
    }

    /// Hands over the message, once its end was read.
    ///
    /// # Errors
    /// It was not kept; see [`Dropped`].
    pub fn finish(self) -> Result<Vec<u8>, Dropped> {
        self.dropped.map_or(Ok(self.message), Err)
    }
}

#[cfg(test)]
mod tests;
