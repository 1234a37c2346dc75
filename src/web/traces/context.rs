//! Which trace a request belongs to: the header `traceparent` (W3C Trace Context, section 3.2).

use axum::http::HeaderMap;

/// What a caller says of the trace that its request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    /// Whether the caller keeps it.
    pub(super) is_sampled: bool,
}

const HEADER: &str = "traceparent";

impl Parent {
    /// Of a request; `None` where it says nothing, or nothing that can be read: a trace begins here then.
    pub(super) fn of(headers: &HeaderMap) -> Option<Parent> {
        let mut all = headers.get_all(HEADER).iter();
        let (first, None) = (all.next()?, all.next()) else {
            return None;
        };
        Parent::parse(first.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Parent> {
        let mut parts = text.split('-');
        let [version, trace, span, flags] = [(); 4].map(|()| parts.next().unwrap_or_default());
        let [version] = bytes(version)?;
        let (trace, span, [flags]) = (bytes(trace)?, bytes(span)?, bytes(flags)?);
        // Later versions may have more behind it, the first has not, and 255 is none.
        let is_whole = version > 0 || parts.next().is_none();
        let is_named = trace != [0; 16] && span != [0; 8];
        (is_whole && version < 255 && is_named).then_some(Parent {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }
}

/// Bytes in hexadecimal digits, in lower case.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = digit(&pair[0])? << 4 | digit(&pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn what_is_no_context_begins_a_trace() {
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        let parent = Parent::parse(&good).unwrap();
        assert_eq!(parent.trace[..2], [0x0a, 0xf7]);
        assert_eq!(parent.span[7], 0x31);
        assert!(parent.is_sampled);
        let off = Parent::parse(&format!("00-{TRACE}-b7ad6b7169203331-00")).unwrap();
        assert!(!off.is_sampled);
        let later = format!("cc-{TRACE}-b7ad6b7169203331-09-what-comes");
        assert_eq!(Parent::parse(&later), Some(parent));
        for bad in [
            String::new(),
            good.to_uppercase(),
            format!("{good}-more"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b7169203331"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}0-b7ad6b7169203331-01"),
            format!("0-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b716920333\u{e9}-01"),
        ] {
            assert_eq!(Parent::parse(&bad), None, "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.append(HEADER, good.parse().unwrap());
        assert_eq!(Parent::of(&headers), Some(parent));
        // Of two nobody knows which one holds.
        headers.append(HEADER, good.parse().unwrap());
        assert_eq!(Parent::of(&headers), None);
    }
}
