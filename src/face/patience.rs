//! How long somebody waits for what is made of a picture.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::FaceError;

/// How long it may take to look at a picture, and whether anybody still wants to know.
///
/// It is asked between the steps of a look, which are a few milliseconds apart, and while a picture is
/// decoded. One thing cannot be stopped: decoding a JPEG once, for which its limits allow about a
/// second of one core. It is not begun where that is longer than what is left.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    ends: Option<Ends>,
    left: Option<Arc<AtomicBool>>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    at: Instant,
    /// How long it was.
    time: Duration,
    /// How much longer it gets for each of several faces.
    face: Duration,
}

/// One part of so many of the time for a picture is for each of its faces: half a second of the ten
/// that there are by default, several times what a face takes on a core of its own.
const FACE_SHARE: u32 = 20;

/// How much of a picture is read before patience is asked again.
const PIECE_BYTES: usize = 1024;

impl Patience {
    /// As long as it takes.
    pub fn endless() -> Patience {
        Patience::default()
    }

    /// So long from now on.
    pub fn of(time: Duration) -> Patience {
        let at = Instant::now().checked_add(time);
        Patience {
            ends: at.map(|at| Ends {
                at,
                time,
                face: time / FACE_SHARE,
            }),
            left: None,
        }
    }

    /// Also only until this is set, since whoever asked has left.
    pub fn until_left(self, left: Arc<AtomicBool>) -> Patience {
        Patience {
            left: Some(left),
            ..self
        }
    }

    /// As long as anybody wants to know.
    #[must_use]
    pub fn without_end(&self) -> Patience {
        Patience {
            ends: None,
            left: self.left.clone(),
        }
    }

    /// The same, beginning anew.
    #[must_use]
    pub fn from_now(&self) -> Patience {
        let anew = self.ends.map(|ends| Patience::of(ends.time));
        Patience {
            ends: anew.and_then(|anew| anew.ends),
            left: self.left.clone(),
        }
    }

    /// Longer, since there are so many faces to be looked at: by [`FACE_SHARE`] of the whole for each.
    #[must_use]
    pub(super) fn for_faces(&self, faces: usize) -> Patience {
        let ends = self.ends.and_then(|ends| {
            let faces = u32::try_from(faces).unwrap_or(u32::MAX);
            let more = ends.face.saturating_mul(faces);
            let at = ends.at.checked_add(more)?;
            let time = ends.time.saturating_add(more);
            Some(Ends { at, time, ..ends })
        });
        Patience {
            ends,
            left: self.left.clone(),
        }
    }

    /// Fails when it is at its end.
    ///
    /// # Errors
    ///
    /// [`FaceError::CallerLeft`] or [`FaceError::TooSlow`].
    pub fn check(&self) -> Result<(), FaceError> {
        if let Some(left) = &self.left
            && left.load(Ordering::Relaxed)
        {
            return Err(FaceError::CallerLeft);
        }
        self.check_for(Duration::ZERO)
    }

    /// Fails when it will be at its end before something is done that takes so long and cannot be
    /// stopped.
    ///
    /// # Errors
    ///
    /// [`FaceError::TooSlow`].
    pub(super) fn check_for(&self, time: Duration) -> Result<(), FaceError> {
        let done = Instant::now().checked_add(time);
        match self.ends {
            Some(ends) if done.is_none_or(|done| done >= ends.at) => Err(FaceError::TooSlow {
                seconds_max: ends.time.as_secs_f64(),
            }),
            _ => Ok(()),
        }
    }
}

/// The bytes of a picture, as long as there is patience.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    bytes: Cursor<&'a [u8]>,
    patience: &'a Patience,
    /// How many may be read before patience is asked again.
    left: usize,
}

impl<'a> Watched<'a> {
    pub(super) fn new(bytes: &'a [u8], patience: &'a Patience) -> Watched<'a> {
        Watched {
            bytes: Cursor::new(bytes),
            patience,
            left: PIECE_BYTES,
        }
    }

    fn ask(&mut self) -> io::Result<()> {
        if self.left == 0 {
            self.patience.check().map_err(io::Error::other)?;
            self.left = PIECE_BYTES;
        }
        Ok(())
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut part = self.fill_buf()?;
        let read = part.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ask()?;
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.bytes.consume(amount);
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // Each strip of a TIFF begins with one, and many may be of the same few bytes.
        self.left = self.left.saturating_sub(PIECE_BYTES / 16);
        self.ask()?;
        self.bytes.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_by_the_clock_or_with_the_caller() {
        assert!(Patience::endless().check().is_ok());
        assert!(Patience::of(Duration::MAX).check().is_ok());
        assert!(Patience::of(Duration::from_secs(60)).check().is_ok());
        let error = Patience::of(Duration::ZERO).check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "looking at the picture took longer than 0 s"
        );
        // What would take longer than is left is not begun.
        let minute = Patience::of(Duration::from_secs(60));
        assert!(minute.check_for(Duration::from_secs(1)).is_ok());
        for long in [Duration::from_secs(61), Duration::MAX] {
            assert!(matches!(
                minute.check_for(long),
                Err(FaceError::TooSlow { .. })
            ));
            assert!(Patience::endless().check_for(long).is_ok());
        }
        let left = Arc::new(AtomicBool::new(false));
        let patience = Patience::of(Duration::from_secs(60)).until_left(left.clone());
        assert!(patience.check().is_ok());
        left.store(true, Ordering::Relaxed);
        let error = patience.check().unwrap_err();
        assert!(matches!(error, FaceError::CallerLeft) && error.is_callers_fault());
    }

    #[test]
    fn a_crowd_is_looked_at_for_longer() {
        let minute = Patience::of(Duration::from_secs(60));
        let minute_and_more = Duration::from_secs(70);
        assert!(minute.for_faces(0).check_for(minute_and_more).is_err());
        let longer = minute.for_faces(80);
        assert!(longer.check_for(Duration::from_secs(290)).is_ok());
        let error = longer.check_for(Duration::from_secs(301)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "looking at the picture took longer than 300 s"
        );
        // Those that are found later have as much as the first.
        let again = longer.for_faces(20).check_for(Duration::MAX).unwrap_err();
        assert!(again.to_string().ends_with("than 360 s"), "{again}");
        // From where it began, and not from now on.
        assert!(Patience::of(Duration::ZERO).for_faces(80).check().is_err());
        assert!(
            Patience::endless()
                .for_faces(80)
                .check_for(Duration::MAX)
                .is_ok()
        );
        assert!(minute.for_faces(usize::MAX).check().is_ok());
    }

    #[test]
    fn bytes_are_the_same_while_there_is_patience() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let patience = Patience::endless();
        let mut all = Vec::new();
        Watched::new(&bytes, &patience)
            .read_to_end(&mut all)
            .unwrap();
        assert_eq!(all, bytes);
        let mut watched = Watched::new(&bytes, &patience);
        watched.seek(SeekFrom::End(-7)).unwrap();
        let mut last = Vec::new();
        watched.read_to_end(&mut last).unwrap();
        assert_eq!(last, bytes[99_993..]);
    }

    #[test]
    fn nothing_is_read_for_long_after_its_end() {
        let bytes = [0; 100_000];
        let patience = Patience::of(Duration::ZERO);
        let mut watched = Watched::new(&bytes, &patience);
        let mut all = Vec::new();
        assert!(watched.read_to_end(&mut all).is_err());
        assert_eq!(all.len(), PIECE_BYTES);
        let mut watched = Watched::new(&bytes, &patience);
        let seeks = (0..1000).take_while(|_| watched.seek(SeekFrom::Start(5)).is_ok());
        assert!(seeks.count() < 16);
    }
}
