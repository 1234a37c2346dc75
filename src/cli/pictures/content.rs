//! What a file is: by its first bytes and, where those leave it open, by its name.

use std::path::Path;

/// So many bytes decide.
pub(super) const HEAD_BYTES: usize = 64;

/// What a file is to somebody who looks for pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A picture, by its bytes or at least by its name: if it is none, whoever decodes it says why.
    Picture,
    /// A picture or movie of a kind that is not read.
    Unreadable(&'static str),
    /// Something else.
    Other,
}

const RAW: &str = "camera raw";
const MOVIE: &str = "movie";

/// How names of pictures end that are read.
const READ: [&str; 18] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "png", "bmp", "dib", "gif", "tif", "tiff",
    "webp", "pbm", "pgm", "ppm", "pnm",
];

/// How names of pictures and movies end that are not.
const NOT_READ: [(&str, &[&str]); 10] = [
    ("HEIC", &["heic", "heif", "hif", "heics", "heifs"]),
    ("AVIF", &["avif", "avifs"]),
    ("JPEG XL", &["jxl"]),
    ("JPEG 2000", &["jp2", "j2k", "jpf", "jpx", "jpm", "jpc"]),
    ("JPEG XR", &["jxr", "wdp", "hdp"]),
    ("Photoshop", &["psd", "psb"]),
    ("Targa", &["tga"]),
    ("OpenEXR", &["exr"]),
    (
        RAW,
        &[
            "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos",
            "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw",
            "x3f",
        ],
    ),
    (
        MOVIE,
        &[
            "3g2", "3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts",
            "ogv", "webm", "wmv",
        ],
    ),
];

/// What a file with these first bytes is. A picture is taken for one whatever it is called, and
/// what is called a picture goes to the decoder unless its bytes are known to be something else.
pub(super) fn content(path: &Path, head: &[u8]) -> Content {
    let end = path.extension().unwrap_or_default().to_string_lossy();
    let end = end.to_ascii_lowercase();
    let not_read = NOT_READ.iter().find(|(_, ends)| ends.contains(&&*end));
    let not_read = not_read.map(|&(kind, _)| kind);
    match unreadable(head) {
        Some(kind) => Content::Unreadable(kind),
        // Most cameras write raw pictures as TIFF, of which a decoder would read the thumbnail.
        None if is_tiff(head) && not_read == Some(RAW) => Content::Unreadable(RAW),
        None if is_picture(head) || READ.contains(&&*end) => Content::Picture,
        None => not_read.map_or(Content::Other, Content::Unreadable),
    }
}

/// Whether a file of this name would be expected to be a picture or a movie.
pub(super) fn is_called_picture(path: &Path) -> bool {
    content(path, &[]) != Content::Other
}

fn is_tiff(head: &[u8]) -> bool {
    head.starts_with(b"II*\0") || head.starts_with(b"MM\0*")
}

fn is_picture(head: &[u8]) -> bool {
    match head {
        [0xff, 0xd8, 0xff, ..]
        | [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..]
        | [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..]
        | [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..]
        // Two letters alone would make a picture of many a text.
        | [b'P', b'1'..=b'6', b' ' | b'\t' | b'\r' | b'\n', b'0'..=b'9' | b'#', ..] => true,
        // Reserved zeros, and the length of one of the headers that there are.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, _, _, _, _, length, 0, 0, 0, ..] => {
            [12, 40, 52, 56, 64, 108, 124].contains(length)
        }
        _ => is_tiff(head),
    }
}

/// The kind of a picture or movie that is not read.
fn unreadable(head: &[u8]) -> Option<&'static str> {
    let at_4 = head.get(4..8).unwrap_or_default();
    if at_4 == b"ftyp" {
        return Some(of_brands(&head[8..]));
    }
    if [b"moov", b"mdat", b"wide", b"pnot"].contains(&at_4.first_chunk().unwrap_or(&[0; 4])) {
        return Some(MOVIE);
    }
    let begins: [(&[u8], &str); 18] = [
        (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"II\xbc\x01", "JPEG XR"),
        (b"8BPS", "Photoshop"),
        (b"II*\0\x10\0\0\0CR", RAW),
        (b"IIU\0", RAW),
        (b"IIRO", RAW),
        (b"IIRS", RAW),
        (b"MMOR", RAW),
        (b"FUJIFILMCCD-RAW", RAW),
        (b"\x1a\x45\xdf\xa3", MOVIE),
        (b"\x00\x00\x01\xba", MOVIE),
        (b"\x00\x00\x01\xb3", MOVIE),
        (b"FLV\x01", MOVIE),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", MOVIE),
        (b"\x00\x00\x00\x18JXL ", "JPEG XL"),
    ];
    let found = begins.iter().find(|(begin, _)| head.starts_with(begin));
    let riff_avi = head.starts_with(b"RIFF") && head.get(8..11) == Some(b"AVI");
    found.map(|&(_, kind)| kind).or(riff_avi.then_some(MOVIE))
}

/// The kind of an ISO media file: its first brand decides, or, where that says "pictures" alone,
/// the others.
fn of_brands(brands: &[u8]) -> &'static str {
    let (brands, _) = brands.as_chunks::<4>();
    let kind = |brand: &[u8; 4]| match brand {
        b"avif" | b"avis" => Some("AVIF"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            Some("HEIC")
        }
        b"jxl " => Some("JPEG XL"),
        b"crx " => Some(RAW),
        _ => None,
    };
    match brands.first() {
        Some(b"mif1" | b"msf1" | b"mif2" | b"miaf") => {
            brands.iter().find_map(kind).unwrap_or("HEIC")
        }
        first => first.and_then(kind).unwrap_or(MOVIE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, head: &[u8]) -> Content {
        content(Path::new(name), head)
    }

    #[test]
    fn bytes_decide_and_names_where_bytes_say_nothing() {
        let jpeg: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF";
        for name in [
            "a.jpg",
            "a.JFIF",
            "a.jpe",
            "a",
            "a.jpg_large",
            "a.heic",
            "a.txt",
        ] {
            assert_eq!(of(name, jpeg), Content::Picture, "{name}");
        }
        let bmp = b"BM\x36\x30\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0";
        let heads: [&[u8]; 6] = [
            b"GIF89a",
            b"P5\n92 112",
            b"P6 # x",
            b"MM\0*",
            bmp,
            b"RIFF....WEBPVP8 ",
        ];
        for head in heads {
            assert_eq!(of("a", head), Content::Picture, "{head:?}");
        }
        // What is called a picture and is none known: the decoder has the word.
        assert_eq!(of("a.JPG", b"no picture"), Content::Picture);
        assert_eq!(of("a.png", b""), Content::Picture);
        for (name, text) in [
            ("a", &b""[..]),
            ("BMW.txt", b"BMW drives"),
            ("a.md", b"P1 is the first"),
            ("a.json", b"{}"),
            ("a.zip", b"PK\x03\x04"),
        ] {
            assert_eq!(of(name, text), Content::Other, "{name}");
        }
    }

    #[test]
    fn kinds_that_are_not_read_have_their_names() {
        let heic: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
        for (name, head, kind) in [
            ("a.jpg", heic, "HEIC"),
            ("a", b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
            ("a.heif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1", "HEIC"),
            ("a.jpg", b"\0\0\0\x20ftypavif", "AVIF"),
            ("a.mov", b"\0\0\0\x14ftypqt  ", "movie"),
            ("a.jpg", b"\0\0\0\x14ftypisom", "movie"),
            ("a", b"RIFF....AVI LIST", "movie"),
            ("b.HEIC", b"", "HEIC"),
            ("b.AvIf", b"", "AVIF"),
            ("b.dng", b"II*\0\x08\0\0\0", "camera raw"),
            ("b.tif", b"II*\0\x10\0\0\0CR\x02\0", "camera raw"),
            ("b.nef", b"", "camera raw"),
            ("b.jxl", b"\xff\x0a", "JPEG XL"),
            ("b.psd", b"8BPS", "Photoshop"),
        ] {
            assert_eq!(of(name, head), Content::Unreadable(kind), "{name}");
        }
        assert_eq!(of("b.tif", b"II*\0\x08\0\0\0"), Content::Picture);
    }
}
