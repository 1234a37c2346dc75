//! The socket of a service in its data directory.
//!
//! It is for its owner alone, and each side asks the system who the other is: only the user that
//! the service runs as, and root, may administer it.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::process::geteuid;

/// What it is called there.
const NAME: &str = "admin.sock";
const MODE: u32 = 0o600;
/// The most bytes of a path that an address has room for on every system.
const ADDRESS_BYTES_MAX: usize = 103;

/// What is where commands meet the service of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum SocketState {
    /// No service was here, or it has ended.
    Nothing,
    /// A service takes commands.
    Answers,
    /// Nobody listens.
    Stale,
    /// It is that of another user.
    Foreign {
        /// Its number.
        user: u32,
    },
    /// Others than its owner may connect.
    Open {
        /// Who may.
        mode: u32,
    },
    /// It is something else.
    NoSocket,
}

impl SocketState {
    /// What it is called in the data directory.
    pub(in crate::cli) const NAME: &str = NAME;
}

/// Looks at the socket of a data directory. A service that is there is not disturbed.
pub(in crate::cli) fn socket_state(data: &Path) -> SocketState {
    let path = path(data);
    let Ok(found) = path.symlink_metadata() else {
        return SocketState::Nothing;
    };
    if !found.file_type().is_socket() {
        return SocketState::NoSocket;
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return SocketState::Open { mode };
    }
    let (own, user) = (geteuid().as_raw(), found.uid());
    if user != own && own != 0 {
        return SocketState::Foreign { user };
    }
    match connect(data) {
        Ok(Some(_)) => SocketState::Answers,
        Ok(None) => SocketState::Stale,
        Err(_) => SocketState::Foreign { user },
    }
}

/// Where it is.
pub(super) fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// Which file is there.
pub(super) fn file_id(path: &Path) -> Option<(u64, u64)> {
    let found = path.symlink_metadata().ok()?;
    Some((found.dev(), found.ino()))
}

/// A path that an address has room for, and what must stay open while it is used.
struct Address {
    path: PathBuf,
    _directory: Option<File>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Address> {
        if path.as_os_str().len() <= ADDRESS_BYTES_MAX {
            return Ok(Address {
                path: path.to_owned(),
                _directory: None,
            });
        }
        Address::short(path)
    }

    /// The same place, by way of its directory, which is open.
    #[cfg(target_os = "linux")]
    fn short(path: &Path) -> io::Result<Address> {
        use std::os::fd::AsRawFd;
        let directory = File::open(path.parent().unwrap_or(Path::new(".")))?;
        let number = directory.as_raw_fd();
        let short = PathBuf::from(format!("/proc/self/fd/{number}/{NAME}"));
        Ok(Address {
            path: short,
            _directory: Some(directory),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn short(_path: &Path) -> io::Result<Address> {
        Err(io::Error::new(
            ErrorKind::InvalidFilename,
            "the path is too long for a socket: give the data directory a shorter one",
        ))
    }
}

/// Listens in a data directory that this process has open to change it. What a service that was
/// killed left there is replaced; anything else is not touched.
pub(super) fn listen(data: &Path) -> anyhow::Result<UnixListener> {
    let path = path(data);
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("looking at `{}`", path.display()));
        }
        Ok(found) => remove_left(&path, &found)?,
    }
    let said = || format!("listening at `{}`", path.display());
    let address = Address::of(&path).with_context(said)?;
    let listener = UnixListener::bind(&address.path).with_context(said)?;
    // Whoever connects before is asked who they are, as everybody is.
    let private = fs::set_permissions(&path, fs::Permissions::from_mode(MODE));
    private.with_context(said)?;
    Ok(listener)
}

fn remove_left(path: &Path, found: &Metadata) -> anyhow::Result<()> {
    let shown = path.display();
    if !found.file_type().is_socket() {
        bail!(
            "`{shown}` is {}, and not left by this program: move it away",
            kind(found)
        );
    }
    let own = geteuid().as_raw();
    if found.uid() != own && own != 0 {
        bail!(
            "`{shown}` belongs to user {}, and not to user {own}: remove it",
            found.uid()
        );
    }
    let address = Address::of(path)?;
    // No service can be behind it, since this one has the data directory.
    if UnixStream::connect(&address.path).is_ok() {
        bail!("another program listens at `{shown}`: end it, or remove the socket");
    }
    fs::remove_file(path).with_context(|| format!("removing `{shown}`"))
}

fn kind(found: &Metadata) -> &'static str {
    match found.file_type() {
        it if it.is_dir() => "a directory",
        it if it.is_symlink() => "a link",
        _ => "a file",
    }
}

/// The service of a data directory, if one listens there.
pub(super) fn connect(data: &Path) -> anyhow::Result<Option<UnixStream>> {
    let path = path(data);
    let shown = path.display();
    // A link may lead to the socket of anybody.
    let Ok(found) = path.symlink_metadata() else {
        return Ok(None);
    };
    if !found.file_type().is_socket() {
        return Ok(None);
    }
    let address = match Address::of(&path) {
        Ok(address) => address,
        Err(error) if error.kind() == ErrorKind::InvalidFilename => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("connecting to `{shown}`")),
    };
    match UnixStream::connect(&address.path) {
        Ok(stream) => {
            let service = peer(&stream)?;
            if !is_trusted(service) {
                bail!(
                    "user {service} listens at `{shown}`, and this is user {}: only the user that \
                     runs the service, and root, can administer it",
                    geteuid().as_raw()
                );
            }
            Ok(Some(stream))
        }
        // Left by a service that was killed.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "`{shown}` belongs to user {}, and this is user {}: only the user that runs the service, \
             and root, can administer it",
            found.uid(),
            geteuid().as_raw()
        ),
        Err(error) => Err(error).with_context(|| format!("connecting to `{shown}`")),
    }
}

/// Whether another user may administer a service of this one: it is the same, or root.
pub(super) fn may_administer(user: u32) -> bool {
    user == geteuid().as_raw() || user == 0
}

/// Whether this user may believe a service of another one: it is the same, one that root itself
/// asks, or root's.
fn is_trusted(service: u32) -> bool {
    may_administer(service) || geteuid().is_root()
}

/// The user on the other side.
#[cfg(target_os = "linux")]
pub(super) fn peer(stream: &UnixStream) -> anyhow::Result<u32> {
    let found = rustix::net::sockopt::socket_peercred(stream);
    let found = found.context("asking who is on the other side")?;
    Ok(found.uid.as_raw())
}

/// Elsewhere the mode of the socket keeps others out, as it does here.
#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "elsewhere the system is asked, and may fail"
)]
pub(super) fn peer(_stream: &UnixStream) -> anyhow::Result<u32> {
    Ok(geteuid().as_raw())
}
