//! Text in UTF-16, as some programs of Windows write it, read as UTF-8.

use std::io::{self, BufRead, Read};

/// What a file begins with that is in UTF-16: the mark of the order of its bytes.
const LITTLE: [u8; 2] = [0xff, 0xfe];
const BIG: [u8; 2] = [0xfe, 0xff];

/// Reads UTF-16 as UTF-8, from behind the mark on. What is no text becomes U+FFFD.
#[derive(Debug)]
pub(super) struct Utf16<R> {
    inner: R,
    is_big_endian: bool,
    /// Half of a letter that takes two units.
    half: Option<u16>,
    /// Text that was not asked for yet, the next last.
    ready: Vec<u8>,
}

impl<R: BufRead> Utf16<R> {
    /// The text of a file, if it begins with the mark of UTF-16; else the file, of which nothing is
    /// read.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn new(mut inner: R) -> io::Result<Result<Utf16<R>, R>> {
        let start = inner.fill_buf()?;
        let is_big_endian = match start.first_chunk::<2>() {
            Some(&LITTLE) => false,
            Some(&BIG) => true,
            _ => return Ok(Err(inner)),
        };
        inner.consume(LITTLE.len());
        Ok(Ok(Utf16 {
            inner,
            is_big_endian,
            half: None,
            ready: Vec::new(),
        }))
    }

    /// What it reads from.
    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    /// The next unit; `None` at the end, where half a one counts as one that is no text.
    fn unit(&mut self) -> io::Result<Option<u16>> {
        let mut bytes = [0; 2];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.inner.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Ok(Some(NO_LETTER)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let unit = u16::from_le_bytes(bytes);
        Ok(Some(match self.is_big_endian {
            true => unit.swap_bytes(),
            false => unit,
        }))
    }

    /// The next letter; `None` at the end.
    fn letter(&mut self) -> io::Result<Option<char>> {
        let first = match self.half.take() {
            Some(unit) => Some(unit),
            None => self.unit()?,
        };
        let Some(first) = first else { return Ok(None) };
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(Some(
                char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
            ));
        }
        let second = self.unit()?;
        let pair = [first, second.unwrap_or(NO_LETTER)];
        match char::decode_utf16(pair).next() {
            Some(Ok(letter)) => Ok(Some(letter)),
            _ => {
                // What follows half a letter may be one by itself.
                self.half = second;
                Ok(Some(char::REPLACEMENT_CHARACTER))
            }
        }
    }
}

/// What stands for something that is no text.
const NO_LETTER: u16 = 0xfffd;

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < out.len() {
            if let Some(byte) = self.ready.pop() {
                out[written] = byte;
                written += 1;
                continue;
            }
            let Some(letter) = self.letter()? else { break };
            let mut bytes = [0; 4];
            let text = letter.encode_utf8(&mut bytes);
            self.ready.extend(text.bytes().rev());
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<String> {
        let mut text = String::new();
        let mut reader = Utf16::new(bytes).unwrap().ok()?;
        // In bits, so that letters are cut.
        let mut bit = [0; 3];
        let mut all = Vec::new();
        loop {
            match reader.read(&mut bit).unwrap() {
                0 => break,
                count => all.extend_from_slice(&bit[..count]),
            }
        }
        text.push_str(std::str::from_utf8(&all).unwrap());
        Some(text)
    }

    fn encoded(text: &str, is_big_endian: bool) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        let bytes = units.flat_map(|unit| match is_big_endian {
            true => unit.swap_bytes().to_le_bytes(),
            false => unit.to_le_bytes(),
        });
        bytes.collect()
    }

    #[test]
    fn both_orders_are_read_whatever_the_letters() {
        let text = "picture,class\r\nJosé/Ж𝄞 b.jpg,17\n";
        for is_big_endian in [false, true] {
            assert_eq!(read(&encoded(text, is_big_endian)).unwrap(), text);
        }
        assert_eq!(read(&encoded("", false)).unwrap(), "");
        assert_eq!(read(text.as_bytes()), None);
        assert_eq!(read(b"\xff"), None);
        assert_eq!(read(b"\xef\xbb\xbfa"), None);
    }

    #[test]
    fn what_is_no_text_is_replaced_and_the_rest_is_read() {
        let mut cut = encoded("ab", false);
        cut.pop();
        assert_eq!(read(&cut).unwrap(), "a\u{fffd}");
        let half = [
            &LITTLE[..],
            &[0x34, 0xd8, b'a', 0, 0x1e, 0xdd, b'b', 0, 0x34, 0xd8],
        ]
        .concat();
        assert_eq!(read(&half).unwrap(), "\u{fffd}a\u{fffd}b\u{fffd}");
    }
}
