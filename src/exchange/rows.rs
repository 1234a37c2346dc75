//! Answers as rows, on their way to a table or to arrays: probe (8 bytes), rank (4), class (8) and
//! similarity (8), little-endian; where probes have names, the length of the name (4) and the name.

use std::io::{self, BufReader, Read};
use std::path::Path;

use super::{ExchangeError, IdKind};
use crate::types::Match;

/// One match. A rank of 0 stands for a probe without any.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) probe: i64,
    pub(super) rank: i32,
    pub(super) class: i64,
    pub(super) similarity: f64,
    pub(super) id: String,
}

/// Appends the rows of an answer. A probe without matches has one with `keeps_all`, else none. All
/// probes have names, or none has.
pub(super) fn encode(
    probe: usize,
    id: Option<&str>,
    matches: &[Match],
    keeps_all: bool,
    bytes: &mut Vec<u8>,
) {
    let mut row = |rank: i32, class: i64, similarity: f64| {
        bytes.extend_from_slice(&(probe as i64).to_le_bytes());
        bytes.extend_from_slice(&rank.to_le_bytes());
        bytes.extend_from_slice(&class.to_le_bytes());
        bytes.extend_from_slice(&similarity.to_le_bytes());
        if let Some(id) = id {
            bytes.extend_from_slice(&(id.len() as u32).to_le_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
    };
    if matches.is_empty() && keeps_all {
        row(0, 0, 0.0);
    }
    for (found, rank) in matches.iter().zip(1..) {
        row(rank, found.class.0, found.similarity);
    }
}

/// Rows as they were encoded.
pub(super) struct Rows<R> {
    reader: BufReader<io::Take<R>>,
    have_ids: bool,
}

impl<R: Read> Rows<R> {
    /// The first `bytes` of a file.
    pub(super) fn new(reader: R, bytes: u64, ids: IdKind) -> Rows<R> {
        Rows {
            reader: BufReader::with_capacity(1 << 18, reader.take(bytes)),
            have_ids: ids != IdKind::None,
        }
    }

    /// The next row, or `None` after the last.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        let mut probe = [0; 8];
        if self.reader.read(&mut probe[..1])? == 0 {
            return Ok(None);
        }
        self.reader.read_exact(&mut probe[1..])?;
        let mut rank = [0; 4];
        self.reader.read_exact(&mut rank)?;
        let (mut class, mut similarity) = ([0; 8], [0; 8]);
        self.reader.read_exact(&mut class)?;
        self.reader.read_exact(&mut similarity)?;
        let mut id = String::new();
        if self.have_ids {
            let mut length = [0; 4];
            self.reader.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            if (&mut self.reader).take(length).read_to_string(&mut id)? as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(Row {
            probe: i64::from_le_bytes(probe),
            rank: i32::from_le_bytes(rank),
            class: i64::from_le_bytes(class),
            similarity: f64::from_le_bytes(similarity),
            id,
        }))
    }
}

/// Writes rows as a table; `facts` are kept in it.
#[cfg(feature = "parquet")]
pub(super) fn write_table<R: Read>(
    path: &Path,
    facts: impl IntoIterator<Item = (String, String)>,
    rows: &mut Rows<R>,
    ids: IdKind,
    failed: impl Fn(io::Error) -> ExchangeError,
) -> Result<(), ExchangeError> {
    use super::table::{Kind, ROWS_PER_GROUP, Values, write};

    let [probe, rank, class, similarity] = [
        ("probe", Kind::Int64),
        ("rank", Kind::Int32),
        ("class", Kind::Int64),
        ("similarity", Kind::Double),
    ];
    let mut next_group = || {
        let mut group = Vec::new();
        while group.len() < ROWS_PER_GROUP
            && let Some(row) = rows.next().map_err(&failed)?
        {
            group.push(row);
        }
        let columns = [
            Values::Int64(group.iter().map(|row| row.probe).collect()),
            Values::Int32(group.iter().map(|row| row.rank).collect()),
            Values::Int64(group.iter().map(|row| row.class).collect()),
            Values::Double(group.iter().map(|row| row.similarity).collect()),
        ];
        let names: Vec<String> = group.into_iter().map(|row| row.id).collect();
        Ok::<_, ExchangeError>((!names.is_empty()).then_some((columns, names)))
    };
    let number = |name: &String| name.parse().unwrap_or(0);
    let kind = match ids {
        IdKind::None => {
            let columns = [probe, rank, class, similarity];
            return write(path, columns, facts, || {
                Ok(next_group()?.map(|(columns, _)| columns))
            });
        }
        IdKind::Numbers => Kind::Int64,
        IdKind::Texts => Kind::Text,
    };
    let columns = [probe, ("id", kind), rank, class, similarity];
    write(path, columns, facts, || {
        Ok(
            next_group()?.map(|([probe, rank, class, similarity], names)| {
                let ids = match kind {
                    Kind::Int64 => Values::Int64(names.iter().map(number).collect()),
                    _ => Values::Text(names),
                };
                [probe, ids, rank, class, similarity]
            }),
        )
    })
}

/// Writes rows as the arrays `classes` and `similarities`, a row for each probe, and `ids` where
/// probes have names. What a row has too few of is -1, and NaN. `open` gives the rows once more.
#[cfg(feature = "npz")]
pub(super) fn write_arrays<R: Read>(
    path: &Path,
    probes: u64,
    ids: IdKind,
    open: impl Fn() -> Result<Rows<R>, ExchangeError>,
    failed: impl Fn(io::Error) -> ExchangeError,
) -> Result<(), ExchangeError> {
    use std::io::Write;

    use super::draft::Draft;
    use super::export::{begin_archive, begin_array};

    let (mut width, mut letters) = (0, 1);
    each_probe(&mut open()?, |rows| {
        width = width.max(rows.iter().filter(|row| row.rank > 0).count());
        let longest = rows.iter().map(|row| row.id.chars().count()).max();
        letters = letters.max(longest.unwrap_or(0));
        Ok(())
    })
    .map_err(&failed)?;
    let draft = Draft::create(path)?;
    let broken = |error| draft.error(error);
    let mut archive = begin_archive(draft.file());
    let shape = format!("({probes}, {width})");
    begin_array(&mut archive, "classes", "<i8", &shape).map_err(broken)?;
    each_probe(&mut open()?, |rows| {
        let there = rows.iter().filter(|row| row.rank > 0).map(|row| row.class);
        let mut classes = there.chain(std::iter::repeat(-1)).take(width);
        classes.try_for_each(|class| archive.write_all(&class.to_le_bytes()))
    })
    .map_err(broken)?;
    begin_array(&mut archive, "similarities", "<f8", &shape).map_err(broken)?;
    each_probe(&mut open()?, |rows| {
        let there = rows.iter().filter(|row| row.rank > 0);
        let there = there.map(|row| row.similarity);
        let mut similarities = there.chain(std::iter::repeat(f64::NAN)).take(width);
        similarities.try_for_each(|similarity| archive.write_all(&similarity.to_le_bytes()))
    })
    .map_err(broken)?;
    let list = format!("({probes},)");
    if ids == IdKind::Numbers {
        begin_array(&mut archive, "ids", "<i8", &list).map_err(broken)?;
        each_probe(&mut open()?, |rows| {
            let id: i64 = rows[0].id.parse().unwrap_or(0);
            archive.write_all(&id.to_le_bytes())
        })
        .map_err(broken)?;
    }
    if ids == IdKind::Texts {
        begin_array(&mut archive, "ids", &format!("<U{letters}"), &list).map_err(broken)?;
        each_probe(&mut open()?, |rows| {
            let text = rows[0].id.chars().map(u32::from);
            let mut text = text.chain(std::iter::repeat(0)).take(letters);
            text.try_for_each(|letter| archive.write_all(&letter.to_le_bytes()))
        })
        .map_err(broken)?;
    }
    let mut file = archive.finish().map_err(|error| broken(error.into()))?;
    file.flush().map_err(broken)?;
    drop(file);
    draft.finish()
}

/// Shows the rows of each probe: one at least, since a probe without matches has one.
#[cfg(feature = "npz")]
fn each_probe<R: Read>(
    rows: &mut Rows<R>,
    mut each: impl FnMut(&[Row]) -> io::Result<()>,
) -> io::Result<()> {
    let mut of_probe: Vec<Row> = Vec::new();
    while let Some(row) = rows.next()? {
        if of_probe
            .first()
            .is_some_and(|first| first.probe != row.probe)
        {
            each(&of_probe)?;
            of_probe.clear();
        }
        of_probe.push(row);
    }
    if of_probe.is_empty() {
        return Ok(());
    }
    each(&of_probe)
}
