//! A gallery on disk, as Python holds one.

mod add;
mod read;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, RwLock};

use pyo3::prelude::*;
use vultus::engine::{Engine, Gallery};
use vultus::partition::{Keys, Partition, Store, restore_archive_with};
use vultus::search::Pool;
use vultus::secrets::MasterKey;
use vultus::types::{Clock, EncoderId, PartitionId, Timestamp};

use crate::errors::Failure;
use crate::run::{Told, go_on, run};
use crate::threads::pool;

/// One partition of a data directory, open until it is closed or its process ends.
///
/// Methods may be called by several threads at once.
#[pyclass(frozen, module = "vultus._vultus")]
pub(crate) struct Handle {
    /// Who opened it. A fork has the same files, and must not change them beside its parent.
    process: u32,
    read_only: bool,
    id: PartitionId,
    opened: RwLock<Option<Arc<Store>>>,
    /// Templates that were added one by one and are in no segment yet, about.
    loose: AtomicUsize,
}

/// What a call works with.
struct Opened {
    store: Arc<Store>,
    engine: Engine,
    id: PartitionId,
}

impl Opened {
    /// The gallery, if anything was ever added.
    fn gallery(&self) -> Result<Option<Gallery>, Failure> {
        Ok(self.engine.enrolled(&self.id)?)
    }

    /// The gallery, which is there.
    fn filled(&self) -> Result<Gallery, Failure> {
        let nothing = || Failure::new("InputError", "nothing was ever added to the gallery");
        self.gallery()?.ok_or_else(nothing)
    }

    fn partition(&self) -> Result<Option<Arc<Partition>>, Failure> {
        Ok(self.store.partition(&self.id)?)
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

impl Handle {
    /// The gallery with so many threads.
    fn opened(&self, threads: Option<usize>) -> Result<Opened, Failure> {
        if self.process != std::process::id() {
            let text = "the gallery was opened by the process that this one was forked from: open it again, here";
            return Err(Failure::new("ForkedError", text));
        }
        let opened = self
            .opened
            .read()
            .unwrap_or_else(|broken| broken.into_inner());
        let Some(store) = opened.clone() else {
            return Err(Failure::new("ClosedError", "the gallery is closed"));
        };
        let pool = threads.map_or(Pool::Here, pool);
        Ok(Opened {
            engine: Engine::new(store.clone(), pool),
            store,
            id: self.id.clone(),
        })
    }
}

/// A fork that lets go of its copy must not end what its parent holds.
impl Drop for Handle {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            let opened = self.opened.get_mut();
            std::mem::forget(opened.unwrap_or_else(|broken| broken.into_inner()).take());
        }
    }
}

fn encoder(text: &str, dimension: usize) -> Result<EncoderId, Failure> {
    EncoderId::parse(text, dimension).map_err(|error| {
        Failure::new(
            "InputError",
            format!("encoder: expected a name or name@version, {error}"),
        )
    })
}

/// What a data directory is opened with: a new one is encrypted if there is a key.
fn keys(master_key: Option<&[u8]>) -> Result<Keys, Failure> {
    let master = master_key.map(MasterKey::parse).transpose();
    let master = master.map_err(|error| Failure::new("MasterKeyError", error));
    let master = master.map_err(|failure| failure.of_argument("master_key"))?;
    Ok(Keys {
        encrypt_new: master.is_some(),
        master,
    })
}

/// Whoever gives a key must not be left to believe that templates are encrypted.
fn refuse_plain(store: &Store, keys: &Keys) -> Result<(), Failure> {
    if keys.master.is_none() || store.is_encrypted() {
        return Ok(());
    }
    let directory = store.directory().display();
    let text = format!(
        "master_key: the data directory `{directory}` is not encrypted: `vultus gallery encrypt` does it"
    );
    Err(Failure::new("MasterKeyError", text))
}

#[pymethods]
impl Handle {
    /// Opens the partition of a data directory, which is made where there is none and it may be written;
    /// encrypted, if there is a master key.
    #[staticmethod]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        partition: &str,
        read_only: bool,
        master_key: Option<&[u8]>,
    ) -> PyResult<Handle> {
        run(py, || {
            let keys = keys(master_key)?;
            let id = PartitionId::from_str(partition);
            let id =
                id.map_err(|error| Failure::new("InputError", format!("partition: {error}")))?;
            let store = match read_only {
                true => Store::open_read_only_with(&path, &keys)?,
                false => Store::open_with(&path, &keys)?,
            };
            refuse_plain(&store, &keys)?;
            // What cannot be opened is known at once.
            store.partition(&id)?;
            Ok(Handle {
                process: std::process::id(),
                read_only,
                id,
                opened: RwLock::new(Some(Arc::new(store))),
                loose: AtomicUsize::new(0),
            })
        })
    }

    /// Lets go of the files, as soon as calls of other threads have ended.
    fn close(&self, py: Python<'_>) {
        if self.process == std::process::id() {
            let taken = self
                .opened
                .write()
                .unwrap_or_else(|broken| broken.into_inner())
                .take();
            py.detach(|| drop(taken));
        }
    }

    #[getter]
    fn is_closed(&self) -> bool {
        let opened = self
            .opened
            .read()
            .unwrap_or_else(|broken| broken.into_inner());
        opened.is_none()
    }

    #[getter]
    fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// `name@version` and dimension of the encoder; none before anything was added.
    fn encoder(&self, py: Python<'_>) -> PyResult<Option<(String, usize)>> {
        run(py, || {
            let gallery = self.opened(None)?.gallery()?;
            Ok(gallery.map(|gallery| {
                let encoder = gallery.encoder();
                let text = format!("{}@{}", encoder.name(), encoder.version());
                (text, encoder.dimension())
            }))
        })
    }

    /// The names of all partitions of the data directory, in order.
    fn partitions(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        run(py, || {
            let there = self.opened(None)?.store.partitions()?;
            Ok(there.iter().map(ToString::to_string).collect())
        })
    }

    /// Makes the partition for an encoder, or fails if it is of another.
    fn create(&self, py: Python<'_>, name: &str, dimension: usize) -> PyResult<()> {
        run(py, || {
            let opened = self.opened(None)?;
            opened
                .store
                .partition_for(&opened.id, &encoder(name, dimension)?, now())?;
            Ok(())
        })
    }

    /// Writes everything to a file. Tells `progress` how many bytes of how many are done.
    fn snapshot(
        &self,
        py: Python<'_>,
        path: PathBuf,
        overwrite: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        run(py, || {
            let store = self.opened(None)?.store;
            let told = &mut |done, total| progress_of_bytes(progress.as_ref(), done, total);
            store.snapshot_to(&path, overwrite, now(), told)?;
            Ok(())
        })
    }

    /// Makes a data directory of a snapshot.
    #[staticmethod]
    fn restore(
        py: Python<'_>,
        snapshot: PathBuf,
        path: PathBuf,
        master_key: Option<&[u8]>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        run(py, || {
            let told = &mut |done, total| progress_of_bytes(progress.as_ref(), done, total);
            restore_archive_with(&snapshot, &path, &keys(master_key)?, told)?;
            Ok(())
        })
    }

    /// A small value that is kept in the data directory beside the templates, by its key.
    fn note(&self, py: Python<'_>, key: &str) -> PyResult<Option<String>> {
        run(py, || {
            let value = self
                .opened(None)?
                .store
                .state_get(NOTES, &self.note_of(key))?;
            Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        })
    }

    fn put_note(&self, py: Python<'_>, key: &str, value: &str) -> PyResult<()> {
        run(py, || {
            let store = self.opened(None)?.store;
            Ok(store.state_put(NOTES, &self.note_of(key), value.as_bytes())?)
        })
    }
}

/// Where notes are kept.
const NOTES: &str = "python";

impl Handle {
    fn note_of(&self, key: &str) -> String {
        format!("{}/{key}", self.id)
    }
}

/// Snapshots cannot be broken off on the way: only what is shown is told.
fn progress_of_bytes(progress: Option<&Py<PyAny>>, done: u64, total: u64) {
    if let Some(progress) = progress {
        // An exception of whoever draws a bar must not spoil a snapshot.
        Python::attach(|py| progress.call1(py, (done, total)).ok());
    }
}

/// Asks whether to go on, and remembers the exception if not.
fn asked(told: &mut Told, progress: Option<&Py<PyAny>>, done: u64) -> bool {
    match go_on(progress, done) {
        Ok(()) => true,
        Err(failure) => {
            told.failure = Some(failure);
            false
        }
    }
}
