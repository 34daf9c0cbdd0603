//! A file an adapter offers: read here, but only if the agent itself could.
//!
//! The runtime may read more than a confined agent. So a path is taken apart
//! against the directories the agent may use, and opened beneath one of them
//! without following any link, and without the right of root to pass file modes
//! by, which a confined agent lacks; what is opened must be a regular file, and
//! not one of `/proc`, which answers each reader differently.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Refusal, mime, name};

/// What an adapter says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where it lies, as the adapter wrote it.
    pub path: String,
    /// What it is called, if not as in the path.
    pub name: Option<String>,
    /// Its type, if the adapter knows.
    pub mime_type: Option<String>,
}

/// A file that was offered and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// A safe base name.
    pub name: String,
    /// The given type, else the one its name suggests.
    pub mime_type: String,
    /// The content.
    pub data: Vec<u8>,
}

/// A directory from beneath which files may be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    name: PathBuf,
    real: PathBuf,
    confined: bool,
}

impl Root {
    /// A directory of a confined agent: opened anew each time, and refused while
    /// a link leads to it, since the agent may have put it there.
    pub fn confined(path: impl Into<PathBuf>) -> Self {
        let name = path.into();
        Self { real: name.clone(), name, confined: true }
    }

    /// A directory of an agent that may read what the runtime may: links on the
    /// way to it are resolved now, and it goes by both its names.
    pub fn resolved(path: impl Into<PathBuf>) -> Self {
        let name = path.into();
        let real = name.canonicalize().unwrap_or_else(|_| name.clone());
        Self { real, name, confined: false }
    }

    /// Opens `rest` beneath it, as its agent could.
    fn open(&self, rest: &Path) -> Result<OwnedFd, Errno> {
        let open = || open_within(&self.real, rest);
        if self.confined { as_confined(open) } else { open() }
    }

    /// The path within this directory, if it lies there.
    fn rest<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.name).or_else(|_| path.strip_prefix(&self.real)).ok()
    }

    /// Whether another directory holds this one: then only that one is used, or
    /// the agent could replace this one by a link.
    fn is_beneath(&self, others: &[Self]) -> bool {
        others.iter().any(|other| other.real != self.real && self.real.starts_with(&other.real))
    }
}

/// Reads an offered file of at most `max_bytes` from beneath one of `roots`; a
/// relative path is one within `directory`, the agent's own.
///
/// # Errors
/// [`Refusal::NotAllowed`], [`Refusal::NoFile`], [`Refusal::TooLarge`],
/// [`Refusal::System`]
pub fn read_offer(
    offer: &Offer,
    directory: &Path,
    roots: &[Root],
    max_bytes: usize,
) -> Result<Offered, Refusal> {
    let path = directory.join(&offer.path);
    let fd = open_beneath(&path, roots)?;
    check(&fd)?;
    let mut data = Vec::new();
    // A file may grow while it is read.
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    File::from(fd).take(limit).read_to_end(&mut data)?;
    if data.len() > max_bytes {
        return Err(Refusal::TooLarge(max_bytes));
    }
    let name = name::base_name(offer.name.as_deref().unwrap_or(&offer.path));
    let mime_type = mime::of(&name, offer.mime_type.as_deref());
    Ok(Offered { name, mime_type, data })
}

fn open_beneath(path: &Path, roots: &[Root]) -> Result<OwnedFd, Refusal> {
    let mut why = "it lies elsewhere".to_owned();
    for root in roots.iter().filter(|root| !root.is_beneath(roots)) {
        let Some(rest) = root.rest(path) else { continue };
        match root.open(rest) {
            Ok(fd) => return Ok(fd),
            Err(Errno::LOOP | Errno::NOTDIR) => why = "a link is on the way".into(),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Refusal::NotAllowed(why))
}

#[cfg(target_os = "linux")]
fn as_confined(open: impl FnOnce() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    let opened = crate::sandbox::privileges::by_modes_alone(open);
    opened.unwrap_or_else(|error| Err(Errno::from_io_error(&error).unwrap_or(Errno::PERM)))
}

/// Nothing is confined elsewhere.
#[cfg(not(target_os = "linux"))]
fn as_confined(open: impl FnOnce() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    open()
}

/// Opening a pipe must not wait for its writer, nor a terminal become ours.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const STEP: OFlags = SEARCH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory on the way need only let us pass.
#[cfg(target_os = "linux")]
const SEARCH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const SEARCH: OFlags = OFlags::RDONLY;

/// Opens `rest` beneath `root`, without a link on the way from `/` on.
fn open_within(root: &Path, rest: &Path) -> Result<OwnedFd, Errno> {
    let mut at = rustix::fs::open("/", STEP, Mode::empty())?;
    for component in root.components().skip_while(|first| *first == Component::RootDir) {
        at = step(&at, component, STEP)?;
    }
    let mut components = rest.components().peekable();
    while let Some(component) = components.next() {
        let flags = if components.peek().is_some() { STEP } else { FILE };
        at = step(&at, component, flags)?;
    }
    Ok(at)
}

fn step(at: &OwnedFd, component: Component, flags: OFlags) -> Result<OwnedFd, Errno> {
    match component {
        Component::Normal(name) => rustix::fs::openat(at, name, flags, Mode::empty()),
        // `..` may lead out.
        _ => Err(Errno::ACCESS),
    }
}

fn check(fd: &OwnedFd) -> Result<(), Refusal> {
    let stat = rustix::fs::fstat(fd).map_err(std::io::Error::from)?;
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if is_of_proc(fd) => "a file of /proc",
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    Err(Refusal::NoFile(what.into()))
}

#[cfg(target_os = "linux")]
fn is_of_proc(fd: &OwnedFd) -> bool {
    // What cannot be told is refused.
    rustix::fs::fstatfs(fd).map_or(true, |stat| stat.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_of_proc(_: &OwnedFd) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    struct Scene {
        place: tempfile::TempDir,
        roots: Vec<Root>,
    }

    /// `allowed` may be offered from, `outside` may not.
    fn scene() -> Scene {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().canonicalize().unwrap();
        for name in ["allowed/sub", "outside"] {
            fs::create_dir_all(real.join(name)).unwrap();
            fs::write(real.join(name).join("a.txt"), name).unwrap();
        }
        Scene { roots: vec![Root::confined(real.join("allowed"))], place }
    }

    impl Scene {
        fn path(&self, name: &str) -> PathBuf {
            self.place.path().canonicalize().unwrap().join(name)
        }

        fn read(&self, path: &str) -> Result<Offered, Refusal> {
            let offer = Offer { path: path.into(), name: None, mime_type: None };
            read_offer(&offer, &self.path("allowed"), &self.roots, 20)
        }

        fn refused(&self, path: impl AsRef<Path>) -> String {
            self.read(path.as_ref().to_str().unwrap()).unwrap_err().to_string()
        }
    }

    #[test]
    fn a_file_beneath_is_read_by_either_kind_of_path() {
        let scene = scene();
        for path in ["sub/a.txt", "./sub//a.txt", scene.path("allowed/sub/a.txt").to_str().unwrap()]
        {
            let offered = scene.read(path).unwrap();
            assert_eq!(
                (offered.name.as_str(), offered.mime_type.as_str()),
                ("a.txt", "text/plain")
            );
            assert_eq!(offered.data, b"allowed/sub");
        }
    }

    #[test]
    fn nothing_outside_is_read() {
        let scene = scene();
        symlink(scene.path("outside/a.txt"), scene.path("allowed/file-link")).unwrap();
        symlink(scene.path("outside"), scene.path("allowed/dir-link")).unwrap();
        symlink("/proc/self/fd", scene.path("allowed/fds")).unwrap();
        for path in [
            scene.path("outside/a.txt"),
            scene.path("allowed/../outside/a.txt"),
            scene.path("allowed/file-link"),
            scene.path("allowed/dir-link/a.txt"),
            scene.path("allowed/fds/0"),
            scene.path("allowed/missing"),
            "../outside/a.txt".into(),
            "/proc/self/environ".into(),
            "/etc/passwd".into(),
        ] {
            let error = scene.read(path.to_str().unwrap()).unwrap_err();
            assert!(matches!(error, Refusal::NotAllowed(_)), "{path:?}: {error}");
        }
    }

    #[test]
    fn modes_bind_a_confined_agent_of_root_and_its_files() {
        let mut scene = scene();
        let file = scene.path("allowed/a.txt");
        fs::write(&file, "another's").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if chown(&file, Some(65534), Some(65534)).is_err() {
            println!("skipped: only root can give a file away");
            return;
        }
        assert!(scene.refused("a.txt").contains("denied"));
        scene.roots = vec![Root::resolved(scene.path("allowed"))];
        assert_eq!(scene.read("a.txt").unwrap().data, b"another's");
    }

    #[test]
    fn a_root_that_became_a_link_is_none() {
        let mut scene = scene();
        fs::remove_dir_all(scene.path("allowed/sub")).unwrap();
        symlink(scene.path("outside"), scene.path("allowed/sub")).unwrap();
        scene.roots.push(Root::confined(scene.path("allowed/sub")));
        scene.refused("sub/a.txt");
        scene.roots.remove(0);
        assert!(scene.refused("sub/a.txt").contains("a link is on the way"));
    }

    #[test]
    fn a_directory_goes_by_both_its_names_where_nothing_is_confined() {
        let mut scene = scene();
        symlink(scene.path("allowed"), scene.path("alias")).unwrap();
        scene.roots = vec![Root::resolved(scene.path("alias"))];
        for name in ["alias/sub/a.txt", "allowed/sub/a.txt"] {
            scene.read(scene.path(name).to_str().unwrap()).unwrap();
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let mut scene = scene();
        let mode = Mode::RUSR | Mode::WUSR;
        let pipe = scene.path("allowed/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        assert!(scene.refused("pipe").contains("a pipe"));
        assert!(scene.refused("sub").contains("a directory"));
        scene.roots.extend([Root::confined("/dev"), Root::confined("/proc")]);
        assert!(scene.refused("/dev/zero").contains("a device"));
        #[cfg(target_os = "linux")]
        assert!(scene.refused("/proc/version").contains("a file of /proc"));
    }

    #[test]
    fn a_large_file_is_refused() {
        let scene = scene();
        fs::write(scene.path("allowed/fits"), [0; 20]).unwrap();
        fs::write(scene.path("allowed/large"), [0; 21]).unwrap();
        assert_eq!(scene.read("fits").unwrap().data.len(), 20);
        assert!(matches!(scene.read("large"), Err(Refusal::TooLarge(20))));
    }
}
