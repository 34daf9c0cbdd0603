//! Files in both directions: uploads kept for agents, and what agents offer.
//!
//! Uploads lie at `<root>/<endpoint>/<session>/<file>/<name>`. Every component
//! comes from outside, so each is made safe ([`name`]) and every step is taken
//! by descriptor (`directory`); an agent that plants links in its upload
//! directory gains nothing. Directories are 0700, files 0600.
//!
//! Nothing here knows of hubs, sessions' states or agents: who calls says which
//! session begins, has ended, and what may be offered.

mod keeper;
mod mime;
mod name;
mod offer;
#[cfg_attr(unix, path = "unix/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
mod system;
mod table;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{Receiver, Sender, bounded};

use self::system::directory::Directory;
use self::system::remove;
use self::table::{Key, Table};
use crate::agent::StoredFile;
use crate::logging::Quoted;
use crate::protocol::inbound::FileUpload;

pub use self::keeper::Keeper;
pub use self::offer::{Offer, Offered, Root, read_offer};
pub use self::system::directory::{create_private, real};

/// Where directories wait to be removed.
const TRASH: &str = ".removed";
/// Name of an agent's private `TMPDIR` within its upload directory. No upload
/// can have it: what ids become never begins with a dot.
pub const PRIVATE_TMP: &str = ".tmp";

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Largest file in either direction, in bytes; a session may store 16 times that.
    pub max_file_bytes: usize,
    /// All stored uploads together, in bytes; a file counts for at least 4 KiB.
    pub max_stored_bytes: u64,
    /// How long files outlive their session.
    pub retention: Duration,
}

/// Why a file was not taken. The text is for the user.
#[derive(Debug)]
pub enum Refusal {
    /// The file is larger than `max_file_bytes`.
    TooLarge(usize),
    /// The session has stored 16 times `max_file_bytes`.
    SessionFull(u64),
    /// All sessions together have stored `max_stored_bytes`.
    StoreFull(u64),
    /// What came is no base64.
    NoBase64,
    /// The file lies where the agent may not take it from, or cannot be opened there.
    NotAllowed(String),
    /// A directory, a pipe, a device or the like.
    NoFile(String),
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(most) => {
                write!(
                    f,
                    "it is larger than {most} bytes (`runtime.max_file_bytes`); send it in parts"
                )
            }
            Self::SessionFull(most) => write!(
                f,
                "this session has stored its {most} bytes (16 × `runtime.max_file_bytes`); \
                 a new session can store more"
            ),
            Self::StoreFull(most) => write!(
                f,
                "all uploads together have reached {most} bytes (`runtime.max_stored_bytes`); \
                 they go some time after their sessions"
            ),
            Self::NoBase64 => f.write_str("it did not arrive as base64; send it again"),
            Self::NotAllowed(why) => write!(
                f,
                "it cannot be read beneath `allowed_paths`, the uploads or the agent's directory ({why}); \
                 put it there"
            ),
            Self::NoFile(what) => {
                write!(f, "it is {what} and no regular file; put its content into one")
            }
            Self::System(error) => {
                write!(f, "{error}; try again, and look at the disk if that lasts")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// The store of uploads. Cheap to clone; any thread may use it, and waits only
/// for the disk.
#[derive(Clone, Debug)]
pub struct Files(Arc<Store>);

#[derive(Debug)]
struct Store {
    root: PathBuf,
    directory: Directory,
    trash: Directory,
    /// Held over the making and moving of directories, so that a session which
    /// begins again is never swept away; never over a file's data.
    table: Mutex<Table>,
    changed: (Sender<()>, Receiver<()>),
}

impl Files {
    /// Opens the store, made if there is none, and counts what lies in it. The
    /// sessions found there have ended.
    ///
    /// # Errors
    /// When `root` cannot be made or read.
    pub fn open(root: &Path, limits: FileLimits) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = real(root)?;
        let directory = Directory::open_path(&root)?;
        directory.make_private()?;
        let trash = directory.make(TRASH)?;
        let table = Table::of(&directory, limits, SystemTime::now());
        let store = Store { root, directory, trash, table: Mutex::new(table), changed: bounded(1) };
        Ok(Self(Arc::new(store)))
    }

    /// New limits, from now on.
    pub fn set_limits(&self, limits: FileLimits) {
        self.table().limits = limits;
        self.wake_keeper();
    }

    /// Bytes stored, as they are counted.
    pub fn stored_bytes(&self) -> u64 {
        self.table().total()
    }

    /// Where an endpoint's uploads lie; made if there is no such directory.
    ///
    /// # Errors
    /// [`Refusal::System`]
    pub fn endpoint_dir(&self, endpoint_id: &str) -> Result<PathBuf, Refusal> {
        let name = name::component(endpoint_id);
        self.0.directory.make(&name)?;
        Ok(self.0.root.join(name))
    }

    /// A session is under way from now on. Where its uploads will lie; there need not
    /// be such a directory before the first.
    pub fn session_begins(&self, endpoint_id: &str, session_id: &str) -> PathBuf {
        let key = Key::new(endpoint_id, session_id);
        self.table().begin(&key);
        self.0.path(&key)
    }

    /// Makes the directory of a session that is under way, if there is none.
    ///
    /// # Errors
    /// [`Refusal::System`]
    pub fn make_session_dir(&self, endpoint_id: &str, session_id: &str) -> Result<(), Refusal> {
        let key = Key::new(endpoint_id, session_id);
        let mut table = self.table();
        self.0.make_session(&key)?;
        table.made(&key);
        Ok(())
    }

    /// What began with [`Files::session_begins`] has ended, and its processes are gone:
    /// unless the session lives again already, its files go after the retention. Its
    /// `TMPDIR`, and a directory without files, go now.
    pub fn session_ended(&self, endpoint_id: &str, session_id: &str) {
        let key = Key::new(endpoint_id, session_id);
        let now = SystemTime::now();
        let mut table = self.table();
        if !table.end(&key, now) {
            return;
        }
        if !table.is_made(&key) {
            return table.forget(&key);
        }
        let left = match self.0.leave(&key) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Left::Nothing),
            left => left,
        };
        if let Ok(Left::Nothing | Left::Trash) = left {
            table.forget(&key);
        }
        drop(table);
        // So that a restart knows since when; without it, it takes the last upload's time.
        let noted = left.and_then(|left| match left {
            Left::Nothing => Ok(()),
            Left::Trash => {
                self.wake_keeper();
                Ok(())
            }
            Left::Files(session) => {
                self.wake_keeper();
                session.set_changed(now)
            }
        });
        if let Err(error) = noted {
            log::debug!("end of uploads not noted session={} {error}", Quoted(session_id));
        }
    }

    /// Decodes and stores an upload.
    ///
    /// # Errors
    /// Every [`Refusal`] but [`Refusal::NotAllowed`]; nothing is stored then.
    pub fn store(&self, endpoint_id: &str, upload: &FileUpload) -> Result<StoredFile, Refusal> {
        let max = self.table().limits.max_file_bytes;
        // Three bytes in four characters: refused before it is decoded.
        if upload.data.len() / 4 > max / 3 + 1 {
            return Err(Refusal::TooLarge(max));
        }
        let data = STANDARD.decode(upload.data.trim_end()).map_err(|_| Refusal::NoBase64)?;
        if data.len() > max {
            return Err(Refusal::TooLarge(max));
        }
        let key = Key::new(endpoint_id, &upload.session_id);
        let file_id = name::component(&upload.file_id);
        let name = name::base_name(&upload.name);
        let (session, counted) = {
            let mut table = self.table();
            let counted = table.reserve(&key, data.len())?;
            match self.0.make_session(&key) {
                Ok(session) => (session, counted),
                Err(error) => {
                    table.give_back(&key, counted);
                    return Err(error.into());
                }
            }
        };
        if let Err(error) = session.make(&file_id).and_then(|file| file.write(&name, &data)) {
            self.table().give_back(&key, counted);
            return Err(error.into());
        }
        let path = self.0.path(&key).join(file_id).join(&name);
        let mime_type = mime::of(&name, Some(&upload.mime_type));
        Ok(StoredFile { path, name, mime_type })
    }

    /// Reads a file an agent offers; see [`read_offer`].
    ///
    /// # Errors
    /// As [`read_offer`].
    pub fn read_offer(
        &self,
        offer: &Offer,
        directory: &Path,
        roots: &[Root],
    ) -> Result<Offered, Refusal> {
        let max_bytes = self.table().limits.max_file_bytes;
        read_offer(offer, directory, roots, max_bytes)
    }

    /// Removes the files of sessions that ended a retention ago, until `stop`
    /// says so; how long until the next are due.
    fn sweep(&self, now: SystemTime, stop: &dyn Fn() -> bool) -> Option<Duration> {
        let mut counted = 0;
        let due = self.table().due(now);
        for key in due {
            let mut table = self.table();
            // It may have begun again since.
            if !table.is_due(&key, now) {
                continue;
            }
            match self.0.throw_away(&key) {
                Ok(()) => counted += table.move_out(&key),
                Err(error) if error.kind() == io::ErrorKind::NotFound => table.forget(&key),
                Err(error) => {
                    table.end(&key, now);
                    log::warn!("uploads not removed path={} {error}", self.0.path(&key).display());
                }
            }
        }
        match remove::empty(&self.0.trash, stop) {
            Ok(0) => {}
            Ok(left) => log::warn!(
                "uploads not removed directories={left} path={} (another user's? remove them by hand)",
                self.0.root.join(TRASH).display()
            ),
            Err(error) => log::warn!("uploads not removed {error}"),
        }
        let mut table = self.table();
        table.removed(counted);
        table.next_due(now)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_keeper(&self) {
        // A wake-up that was not taken yet does for this one too.
        let _ = self.0.changed.0.try_send(());
    }
}

/// What a session leaves behind.
enum Left {
    Nothing,
    /// Its directory is gone, and what lay in it waits to be removed.
    Trash,
    /// Uploads, in this directory.
    Files(Directory),
}

impl Store {
    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(&key.endpoint).join(&key.session)
    }

    fn make_session(&self, key: &Key) -> io::Result<Directory> {
        let session = self.directory.make(&key.endpoint)?.make(&key.session)?;
        session.make_private()?;
        Ok(session)
    }

    /// Removes the directory of a session that has ended, unless there are uploads
    /// in it. Most sessions leave it empty. Its private `TMPDIR` waits to be removed.
    fn leave(&self, key: &Key) -> io::Result<Left> {
        let endpoint = self.directory.open(&key.endpoint)?;
        let is_gone = || {
            let gone = endpoint.remove_empty(&key.session).is_ok();
            if gone {
                let _ = self.directory.remove_empty(&key.endpoint);
            }
            gone
        };
        if is_gone() {
            return Ok(Left::Nothing);
        }
        let session = endpoint.open(&key.session)?;
        let trash = session.move_out(PRIVATE_TMP, &self.trash, &crate::ids::next_id()).is_ok();
        Ok(if trash && is_gone() { Left::Trash } else { Left::Files(session) })
    }

    /// Takes the session's directory out of the way, to be removed.
    fn throw_away(&self, key: &Key) -> io::Result<()> {
        let endpoint = self.directory.open(&key.endpoint)?;
        endpoint.move_out(&key.session, &self.trash, &crate::ids::next_id())?;
        let _ = self.directory.remove_empty(&key.endpoint);
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests;
