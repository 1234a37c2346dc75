//! Bodies as they arrive: whole, within the time and the bytes allowed, and unpacked.
//!
//! A body that is packed (`Content-Encoding: gzip`) is unpacked while it arrives, and no further
//! than one may be long: neither what it unpacks to nor what it was packed in may have more bytes.

use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use flate2::write::GzDecoder;
use tokio::time::{self, Instant};

use super::connections::Pace;
use super::room::{Held, NoRoom, Place};
use super::state::{AppState, ServiceOptions};

/// The ways of packing that are understood, for `Accept-Encoding`.
pub(super) const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, identity");

/// A file of gzip may consist of several, and each costs some memory to begin. Tools that pack in
/// pieces make them of 64 KiB or more.
const MEMBERS_MAX: usize = 1000;

/// Why a body did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    #[error("the body took too long to arrive")]
    Slow,
    #[error("the body has more than the {bytes_max} bytes allowed")]
    TooLarge { bytes_max: usize },
    #[error("the body has more than the {bytes_max} bytes allowed, counted after unpacking")]
    UnpackedTooLarge { bytes_max: usize },
    #[error("there is no room for the body; try again in a moment")]
    NoRoom,
    #[error("the body broke off")]
    Broken,
    #[error("the body is not the whole `gzip` that its `Content-Encoding` says it is")]
    NotGzip,
    #[error("the `Content-Encoding` of the body is none of `gzip` and `identity`")]
    UnknownEncoding,
}

/// Waits for the body of a request. Its room is held until the last clone of the bytes is dropped.
pub(super) async fn whole(state: &AppState, request: Request) -> Result<(Parts, Bytes), BodyFault> {
    let (parts, body) = request.into_parts();
    let options = state.options();
    let is_packed = is_packed(&parts.headers)?;
    let announced = announced(&body, options.body_bytes_max)?;
    let held = Place::held(&parts.extensions);
    let mut arriving = Arriving::new(body, options);
    let kept = if is_packed {
        let mut unpacking = Unpacking::new(Kept::new(options.body_bytes_max, held));
        while let Some(data) = arriving.next().await? {
            unpacking.take(&data)?;
        }
        unpacking.finish()?
    } else {
        let mut kept = Kept::new(options.body_bytes_max, held);
        kept.announced = announced;
        while let Some(data) = arriving.next().await? {
            kept.add(&data)?;
        }
        kept
    };
    Ok((parts, Bytes::from_owner(kept)))
}

/// How many bytes a body will have on the way, if it says so.
fn announced(body: &Body, bytes_max: usize) -> Result<Option<usize>, BodyFault> {
    let Some(bytes) = body.size_hint().exact() else {
        return Ok(None);
    };
    let bytes = usize::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= bytes_max);
    bytes.map(Some).ok_or(BodyFault::TooLarge { bytes_max })
}

/// A body on its way, which must not take too long.
struct Arriving {
    body: Body,
    /// When all of it must be there.
    until: Instant,
    /// When more of it must have come.
    pace: Pace,
    left: usize,
    bytes_max: usize,
}

impl Arriving {
    fn new(body: Body, options: &ServiceOptions) -> Arriving {
        let now = Instant::now();
        let (grace, speed) = (options.body_grace, options.body_bytes_per_second_min);
        Arriving {
            body,
            until: now + options.body_wait,
            pace: Pace::begin(now, grace, speed),
            left: options.body_bytes_max,
            bytes_max: options.body_bytes_max,
        }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        loop {
            let until = self.until.min(self.pace.late_at());
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            let frame = time::timeout_at(until, frame).await;
            let Some(frame) = frame.map_err(|_elapsed| BodyFault::Slow)? else {
                return Ok(None);
            };
            let frame = frame.map_err(|_cut| BodyFault::Broken)?;
            // Trailers say nothing that anybody asks for.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.pace.moved(Instant::now(), data.len());
            let bytes_max = self.bytes_max;
            let left = self.left.checked_sub(data.len());
            self.left = left.ok_or(BodyFault::TooLarge { bytes_max })?;
            return Ok(Some(data));
        }
    }
}

/// Whether a body is packed with gzip, or not at all.
fn is_packed(headers: &HeaderMap) -> Result<bool, BodyFault> {
    let mut is_packed = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value
            .to_str()
            .map_err(|_no_text| BodyFault::UnknownEncoding)?;
        for word in value.split(',').map(str::trim) {
            match word.to_ascii_lowercase().as_str() {
                // A charset is no packing, and there are clients that write it here.
                "" | "identity" | "utf-8" => {}
                "gzip" | "x-gzip" if !is_packed => is_packed = true,
                _ => return Err(BodyFault::UnknownEncoding),
            }
        }
    }
    Ok(is_packed)
}

/// The bytes of a body, which has so many at most, with the room that they take.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// How many there will be, if that is known.
    announced: Option<usize>,
    /// None is counted if there is nobody who counts.
    held: Option<Held>,
    fault: Option<BodyFault>,
}

impl Kept {
    fn new(bytes_max: usize, held: Option<Held>) -> Kept {
        Kept {
            bytes_max,
            held,
            ..Kept::default()
        }
    }

    fn add(&mut self, data: &[u8]) -> Result<(), BodyFault> {
        let bytes_max = self.bytes_max;
        if data.len() > bytes_max - self.bytes.len() {
            return Err(BodyFault::UnpackedTooLarge { bytes_max });
        }
        let needed = self.bytes.len() + data.len();
        let capacity = self.bytes.capacity();
        if needed > capacity {
            // No more than twice of what has come, and no more than will come.
            let most = self.announced.unwrap_or(bytes_max).max(needed);
            let room = (2 * capacity).clamp(needed, most);
            if let Some(held) = &self.held {
                held.take(room - capacity)
                    .map_err(|NoRoom| BodyFault::NoRoom)?;
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body that is unpacked as it arrives.
struct Unpacking {
    member: GzDecoder<Kept>,
    members: usize,
    is_empty: bool,
}

impl Unpacking {
    fn new(kept: Kept) -> Unpacking {
        Unpacking {
            member: GzDecoder::new(kept),
            members: 1,
            is_empty: true,
        }
    }

    fn take(&mut self, mut data: &[u8]) -> Result<(), BodyFault> {
        self.is_empty &= data.is_empty();
        while !data.is_empty() {
            let written = self.member.write(data);
            let written = written.map_err(|_error| self.fault())?;
            data = &data[written..];
            if written == 0 {
                self.begin_next()?;
            }
        }
        Ok(())
    }

    /// The member is at its end, and there is more behind it.
    fn begin_next(&mut self) -> Result<(), BodyFault> {
        self.members += 1;
        if self.members > MEMBERS_MAX {
            return Err(BodyFault::NotGzip);
        }
        self.member.try_finish().map_err(|_error| self.fault())?;
        let out = std::mem::take(self.member.get_mut());
        self.member = GzDecoder::new(out);
        Ok(())
    }

    fn finish(mut self) -> Result<Kept, BodyFault> {
        // Some clients say how they pack before they know that there is nothing to send.
        if !self.is_empty {
            self.member.try_finish().map_err(|_error| self.fault())?;
        }
        Ok(std::mem::take(self.member.get_mut()))
    }

    fn fault(&self) -> BodyFault {
        self.member.get_ref().fault.unwrap_or(BodyFault::NotGzip)
    }
}

impl Write for Kept {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Err(fault) = self.add(data) {
            self.fault = Some(fault);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Unpacks what arrives in parts of this length.
    fn unpack(data: &[u8], part: usize, bytes_max: usize) -> Result<Vec<u8>, BodyFault> {
        let mut unpacking = Unpacking::new(Kept::new(bytes_max, None));
        for part in data.chunks(part) {
            unpacking.take(part)?;
        }
        Ok(unpacking.finish()?.bytes)
    }

    #[test]
    fn what_was_packed_comes_out_however_it_arrives() {
        let text: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        let whole = packed(&text);
        let halves = [packed(&text[..7]), packed(&[]), packed(&text[7..])].concat();
        for data in [whole, halves] {
            for part in [1, 7, 4096, usize::MAX] {
                assert_eq!(unpack(&data, part, text.len()).as_deref(), Ok(&text[..]));
            }
        }
        assert_eq!(unpack(&packed(&[]), 3, 0), Ok(Vec::new()));
        assert_eq!(unpack(&[], 1, 0), Ok(Vec::new()));
    }

    #[test]
    fn no_more_is_unpacked_than_a_body_may_have() {
        let bomb = packed(&vec![0; 5_000_000]);
        assert!(bomb.len() < 50_000);
        let full = Err(BodyFault::UnpackedTooLarge { bytes_max: 1000 });
        assert_eq!(unpack(&bomb, usize::MAX, 1000), full);
        let text = [packed(&[1; 600]), packed(&[1; 401])].concat();
        assert_eq!(unpack(&text, 10, 1000), full);
        assert_eq!(unpack(&text, 10, 1001).unwrap().len(), 1001);
        let mut unpacking = Unpacking::new(Kept::new(1_000_000, None));
        assert!(unpacking.take(&bomb).is_err());
        assert!(unpacking.member.get_ref().bytes.capacity() <= 1_000_000);
        // A body of nothing but beginnings.
        let empty = packed(&[]).repeat(MEMBERS_MAX + 1);
        assert_eq!(unpack(&empty, 4096, 1000), Err(BodyFault::NotGzip));
        let empty = packed(&[]).repeat(MEMBERS_MAX);
        assert_eq!(unpack(&empty, 4096, 1000), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_whole_gzip_is_refused() {
        let text = b"some text that is longer than a few bytes, so that it can be cut";
        let whole = packed(text);
        for end in 1..whole.len() {
            let found = unpack(&whole[..end], 5, 1000);
            assert_eq!(found, Err(BodyFault::NotGzip), "{end} of {}", whole.len());
        }
        let mut wrong = whole.clone();
        let last = wrong.len() - 5;
        wrong[last] ^= 1;
        for data in [
            &text[..],
            &wrong,
            &[&whole[..], b"more"].concat(),
            &[&whole[..], &[0]].concat(),
        ] {
            assert_eq!(unpack(data, 5, 1000), Err(BodyFault::NotGzip));
        }
    }

    #[test]
    fn an_encoding_is_a_word_in_any_letter_case() {
        for (values, expected) in [
            (&[][..], Ok(false)),
            (&["identity"], Ok(false)),
            (&["gzip"], Ok(true)),
            (&["GZip"], Ok(true)),
            (&["UTF-8"], Ok(false)),
            (&["x-gzip"], Ok(true)),
            (&["identity, gzip"], Ok(true)),
            (&["identity", "gzip"], Ok(true)),
            (&["gzip, gzip"], Err(BodyFault::UnknownEncoding)),
            (&["gzip", "gzip"], Err(BodyFault::UnknownEncoding)),
            (&["deflate"], Err(BodyFault::UnknownEncoding)),
            (&["br"], Err(BodyFault::UnknownEncoding)),
            (&["zstd, identity"], Err(BodyFault::UnknownEncoding)),
            (&["aws-chunked"], Err(BodyFault::UnknownEncoding)),
            (&["g\u{fc}"], Err(BodyFault::UnknownEncoding)),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(header::CONTENT_ENCODING, value);
            }
            assert_eq!(is_packed(&headers), expected, "{values:?}");
        }
    }
}
