//! Where in the bytes of a connection one request ends and the next begins.
//!
//! hyper reads ahead as far as its buffer reaches, so nobody could tell from outside whether a
//! connection is idle or in the middle of a head. Here the bytes are counted: no more of them are
//! passed on than belong to what is being read. The grammar is that of hyper, byte by byte; what
//! hyper would refuse counts as broken, and nothing is passed on behind it.

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// So many bytes.
    Bytes(u64),
    /// Chunks, the last of which is empty.
    Chunks,
}

/// What is being read.
#[derive(Debug)]
pub(super) enum Framing {
    /// A head, or nothing yet.
    Head(Head),
    /// A head was read, and it is not known yet what follows.
    Whole(Head),
    /// A body that has so many bytes more.
    Body(u64),
    /// A body in chunks.
    Chunks(Chunks),
    /// What no request looks like.
    Broken,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing::Head(Head::default())
    }
}

impl Framing {
    /// How many of `bytes`, which were received next, may be passed on now.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        match self {
            Framing::Head(head) => {
                let passed = head.read(bytes);
                if head.is_whole {
                    *self = Framing::Whole(std::mem::take(head));
                }
                passed
            }
            Framing::Whole(_) | Framing::Broken => 0,
            Framing::Body(left) => {
                let passed =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.pass_body(passed);
                passed
            }
            Framing::Chunks(chunks) => {
                let passed = chunks.read(bytes);
                match chunks.at {
                    At::End => *self = Framing::default(),
                    At::Broken => *self = Framing::Broken,
                    _ => {}
                }
                passed
            }
        }
    }

    /// So many bytes of a body were passed on, which has at least as many.
    pub(super) fn pass_body(&mut self, bytes: usize) {
        if let Framing::Body(left) = self {
            *left = left.saturating_sub(bytes as u64);
            if *left == 0 {
                *self = Framing::default();
            }
        }
    }

    /// How many bytes may be passed on without a look at them.
    pub(super) fn body_left(&self) -> u64 {
        match self {
            Framing::Body(left) => *left,
            _ => 0,
        }
    }

    /// A head was understood, and this follows it. Returns what was seen in it; `None` if no head
    /// had been passed on.
    pub(super) fn follow(&mut self, following: Following) -> Option<Head> {
        let next = match following {
            Following::Bytes(0) => Framing::default(),
            Following::Bytes(left) => Framing::Body(left),
            Following::Chunks => Framing::Chunks(Chunks::default()),
        };
        match std::mem::replace(self, Framing::Broken) {
            Framing::Whole(head) => {
                *self = next;
                Some(head)
            }
            _ => None,
        }
    }

    /// How the head began that is being read, or that nobody has asked for yet.
    pub(super) fn beginning(&self) -> &[u8] {
        match self {
            Framing::Head(head) | Framing::Whole(head) => &head.beginning,
            _ => b"",
        }
    }

    /// Whether everything that was passed on were whole requests.
    pub(super) fn is_between(&self) -> bool {
        matches!(self, Framing::Head(head) if !head.is_begun)
    }

    /// Whether a body is under way.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self, Framing::Body(_) | Framing::Chunks(_))
    }
}

/// The longest name that is of interest.
const NAME_BYTES_MAX: usize = b"transfer-encoding".len();

/// So much of a head is kept: what it is for, and most of what clients say of themselves.
const BEGINNING_BYTES_MAX: usize = 1 << 10;

/// A head as it is read: where it ends, and which lengths of the body it gives.
#[derive(Debug, Default)]
pub(super) struct Head {
    is_begun: bool,
    is_whole: bool,
    /// Whether this line has a name that is still being read.
    is_in_name: bool,
    /// The beginning of the line in lower case.
    name: [u8; NAME_BYTES_MAX],
    /// How long the name is, cut where it is longer than any of interest.
    name_bytes: usize,
    has_content_length: bool,
    has_transfer_encoding: bool,
    /// Its first bytes, to refuse it by if it never becomes a request.
    beginning: Vec<u8>,
}

impl Head {
    /// Whether the length of the body is given twice, in ways that can contradict each other.
    pub(super) fn has_two_lengths(&self) -> bool {
        self.has_content_length && self.has_transfer_encoding
    }

    /// Reads to the end of the head. Returns how many bytes belong to it.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let mut read = 0;
        while read < bytes.len() && !self.is_whole {
            self.read_byte(bytes[read]);
            read += 1;
        }
        if self.is_begun {
            let room = BEGINNING_BYTES_MAX.saturating_sub(self.beginning.len());
            self.beginning.extend(&bytes[..read.min(room)]);
        }
        read
    }

    fn read_byte(&mut self, byte: u8) {
        match byte {
            // Empty lines before a request are passed over.
            b'\r' | b'\n' if !self.is_begun => {}
            b'\n' => {
                let line = &self.name[..self.name_bytes];
                self.is_whole = self.is_in_name && matches!(line, b"" | b"\r");
                self.is_in_name = true;
                self.name_bytes = 0;
            }
            b':' if self.is_in_name => {
                self.is_in_name = false;
                match &self.name[..self.name_bytes] {
                    b"content-length" => self.has_content_length = true,
                    b"transfer-encoding" => self.has_transfer_encoding = true,
                    _ => {}
                }
            }
            _ => {
                self.is_begun = true;
                if !self.is_in_name {
                    return;
                }
                match self.name.get_mut(self.name_bytes) {
                    Some(place) => {
                        *place = byte.to_ascii_lowercase();
                        self.name_bytes += 1;
                    }
                    // Longer than any name of interest.
                    None => self.is_in_name = false,
                }
            }
        }
    }
}

/// A body in chunks as it is read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    /// The size of a chunk, and then how much of it is left.
    left: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    Size,
    /// Behind the size: blanks and extensions.
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// The beginning of a line behind the last chunk.
    Line,
    Trailer,
    TrailerEnd,
    LastEnd,
    End,
    Broken,
}

impl Chunks {
    /// Reads to the end of the body. Returns how many bytes belong to it.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let mut read = 0;
        while read < bytes.len() && !matches!(self.at, At::End | At::Broken) {
            if self.at == At::Data {
                let rest = (bytes.len() - read) as u64;
                let some = rest.min(self.left);
                self.left -= some;
                read += some as usize;
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
            } else {
                self.at = self.step(bytes[read]);
                read += 1;
            }
        }
        read
    }

    fn step(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (At::Start | At::Size, _) if byte.is_ascii_hexdigit() => self.grow(byte),
            (At::Size, b'\t' | b' ' | b';') => At::Extension,
            (At::Size | At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, b'\n') => At::Broken,
            (At::Extension, _) => At::Extension,
            (At::SizeEnd, b'\n') if self.left == 0 => At::Line,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Start,
            (At::Line, b'\r') => At::LastEnd,
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::Line | At::Trailer, _) => At::Trailer,
            (At::TrailerEnd, b'\n') => At::Line,
            (At::LastEnd, b'\n') => At::End,
            _ => At::Broken,
        }
    }

    fn grow(&mut self, digit: u8) -> At {
        let digit = char::from(digit).to_digit(16).unwrap_or_default();
        let grown = self.left.checked_mul(16);
        match grown.and_then(|grown| grown.checked_add(u64::from(digit))) {
            Some(grown) => {
                self.left = grown;
                At::Size
            }
            None => At::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the requests are that `bytes` consist of, received in parts of this length. `following`
    /// says what follows each head.
    fn heads(bytes: &[u8], part: usize, following: &[Following]) -> (Vec<bool>, Framing) {
        let (mut framing, mut seen) = (Framing::default(), Vec::new());
        for mut part in bytes.chunks(part) {
            while !part.is_empty() {
                let passed = framing.pass(part);
                part = &part[passed..];
                if let Framing::Whole(_) = framing {
                    let head = framing.follow(following[seen.len()]).unwrap();
                    seen.push(head.has_two_lengths());
                } else if passed == 0 {
                    return (seen, framing);
                }
            }
        }
        (seen, framing)
    }

    #[test]
    fn requests_are_told_apart_however_they_arrive() {
        use Following::{Bytes, Chunks};
        let bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\
            \r\nPOST /a HTTP/1.1\nContent-Length: 30\n\nGET / HTTP/1.1\r\n\r\n0\r\n\r\nabcdefg\
            POST /b HTTP/1.1\r\nTRANSFER-encoding: chunked\r\ncontent-Length: 5\r\n\r\n\
            5 ;a=b\r\n\r\n0\r\n\r\n1e\r\nGET / HTTP/1.1\r\n\r\n0\r\n\r\nabcdefg\r\n\
            00\r\nA: b\r\n: \n\r\n\r\n\
            GET /long-content-length: HTTP/1.1\r\nX: Content-Length: 7\r\n\
            X-Transfer-Encoding: x\r\nTransfer-Encodings: x\r\nContent-Length: 0\r\n\r\n";
        let following = [Bytes(0), Bytes(30), Chunks, Bytes(0)];
        for part in [1, 2, 3, 7, 64, usize::MAX] {
            let (seen, framing) = heads(bytes, part, &following);
            assert_eq!(seen, [false, false, true, false], "{part}");
            assert!(framing.is_between(), "{part}: {framing:?}");
        }
    }

    #[test]
    fn nothing_is_passed_on_behind_what_is_broken() {
        for broken in [
            &b"x"[..],
            b"\r\n",
            b"5\n12345",
            b"5\r\n123456",
            b"5\r\n12345\n",
            b"5;\n",
            b"-1\r\n",
            b"10000000000000000\r\n",
            b"0\r\n\rx",
            b"0\r\nA\rx",
            b"0\n",
        ] {
            let mut framing = Framing::Whole(Head::default());
            framing.follow(Following::Chunks).unwrap();
            let bytes = [broken, b"\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"].concat();
            framing.pass(&bytes);
            let is_broken = matches!(framing, Framing::Broken);
            assert!(is_broken, "{broken:?}: {framing:?}");
            assert_eq!(framing.pass(b"GET"), 0);
        }
    }

    #[test]
    fn the_beginning_of_a_head_is_kept_until_it_is_a_request() {
        let mut framing = Framing::default();
        framing.pass(b"\r\n");
        assert_eq!(framing.beginning(), b"");
        framing.pass(b"GET /v1");
        framing.pass(b" HTTP/1.1\r\n");
        assert_eq!(framing.beginning(), b"GET /v1 HTTP/1.1\r\n");
        framing.pass(&b"A: b\r\n".repeat(1_000));
        assert_eq!(framing.beginning().len(), BEGINNING_BYTES_MAX);
        framing.pass(b"\r\nnext");
        assert!(
            framing
                .beginning()
                .starts_with(b"GET /v1 HTTP/1.1\r\nA: b\r\n")
        );
        framing.follow(Following::Bytes(0)).unwrap();
        assert_eq!(framing.beginning(), b"");
    }

    #[test]
    fn a_head_that_nobody_saw_is_none() {
        let mut framing = Framing::default();
        framing.pass(b"GET / HTTP/1.1\r\nHost");
        assert!(!framing.is_between() && !framing.is_in_body());
        assert!(framing.follow(Following::Bytes(3)).is_none());
        assert_eq!(framing.pass(b": x\r\n\r\n"), 0);
    }
}
