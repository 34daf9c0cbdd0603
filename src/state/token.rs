//! The token a hub refreshed, kept beside the journal.
//!
//! The file `token` holds a line: a name with a version, a digest, the token.
//! The digest covers the hub's address, the runtime's id, the configured token
//! and the refreshed one: a token of another configuration, or a damaged one, is
//! nobody's. What the operator configured is neither written here nor changed.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::{info, warn};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::dir::StateDir;
use super::disk::DiskHandle;
use crate::secret::Secret;

const NAME: &str = "token";
const MAGIC: &str = "amurg-token-1";

/// Longest token that is taken from a hub, in bytes.
pub const LONGEST: usize = 8192;

/// What a refreshed token belongs to, as a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding([u8; 32]);

impl Binding {
    /// Binds to one hub, one runtime and the token the operator configured.
    pub fn new(hub_url: &str, runtime_id: &str, configured: &Secret) -> Self {
        let configured = Sha256::digest(configured.expose().as_bytes());
        let mut digest = Sha256::new();
        for part in [hub_url.as_bytes(), runtime_id.as_bytes(), &configured] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// Hexadecimal digest of the binding and the token together.
    fn seal(&self, token: &str) -> String {
        let digest = Sha256::new().chain_update(self.0).chain_update(token).finalize();
        digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The refreshed token of one configuration. Its methods never wait for the disk.
#[derive(Clone)]
pub struct TokenStore {
    state: Arc<Mutex<Kept>>,
    dir: Option<Arc<StateDir>>,
    disk: DiskHandle,
    binding: Binding,
}

struct Kept {
    token: Option<Secret>,
    /// The disk's thread has been asked to write, and writes what is kept then.
    asked: bool,
}

impl TokenStore {
    /// Reads what is on the disk. Anything odd about it is logged, and there is no token then.
    pub(super) fn open(dir: Option<Arc<StateDir>>, disk: DiskHandle, binding: Binding) -> Self {
        let token = dir.as_deref().and_then(|dir| read(dir, &binding));
        let state = Arc::new(Mutex::new(Kept { token, asked: false }));
        Self { state, dir, disk, binding }
    }

    /// The token to try first.
    pub fn current(&self) -> Option<Secret> {
        lock(&self.state).token.clone()
    }

    /// Keeps a token. `false`, and nothing changes, unless it is 1 to
    /// [`LONGEST`] visible ASCII bytes.
    pub fn store(&self, token: &Secret) -> bool {
        if !is_acceptable(token.expose()) {
            warn!("refreshed token ignored: not 1 to {LONGEST} visible ASCII bytes");
            return false;
        }
        self.set(Some(token.clone()));
        true
    }

    /// The hub did not take it: the configured one is tried next.
    pub fn forget(&self) {
        self.set(None);
    }

    fn set(&self, token: Option<Secret>) {
        let mut kept = lock(&self.state);
        if kept.token == token {
            return;
        }
        kept.token = token;
        let ask = !std::mem::replace(&mut kept.asked, true);
        drop(kept);
        let Some(dir) = self.dir.clone().filter(|_| ask) else { return };
        let (state, binding) = (Arc::clone(&self.state), self.binding.clone());
        let submitted = self.disk.submit(move || {
            let token = {
                let mut kept = lock(&state);
                kept.asked = false;
                kept.token.clone()
            };
            if let Err(error) = write(&dir, &binding, token.as_ref()) {
                warn!("refreshed token not written, it is lost at a restart error={error}");
            }
        });
        if !submitted {
            lock(&self.state).asked = false;
        }
    }
}

fn lock(state: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_acceptable(token: &str) -> bool {
    (1..=LONGEST).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn read(dir: &StateDir, binding: &Binding) -> Option<Secret> {
    let found = match dir.read(NAME, LONGEST + 256) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!("refreshed token ignored path={} error={error}", dir.path().join(NAME).display());
            return None;
        }
    };
    let bytes = Zeroizing::new(found.bytes);
    let token = std::str::from_utf8(&bytes).ok().and_then(|text| unseal(text, binding));
    if !found.was_private {
        warn!("refreshed token ignored: its file was open to others");
    } else if token.is_none() {
        info!("refreshed token ignored: damaged, or of another configuration");
    } else {
        return token;
    }
    if let Err(error) = dir.remove(NAME) {
        warn!("refreshed token not removed path={} error={error}", dir.path().join(NAME).display());
    }
    None
}

fn unseal(text: &str, binding: &Binding) -> Option<Secret> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let (magic, seal, token) = (words.next()?, words.next()?, words.next()?);
    let whole = magic == MAGIC && words.next().is_none() && is_acceptable(token);
    (whole && seal == binding.seal(token)).then(|| Secret::new(token.to_owned()))
}

fn write(dir: &StateDir, binding: &Binding, token: Option<&Secret>) -> io::Result<()> {
    let Some(token) = token else {
        dir.remove(NAME)?;
        return dir.sync();
    };
    let token = token.expose();
    let mut text = Zeroizing::new(String::with_capacity(LONGEST + 256));
    let _ = writeln!(text, "{MAGIC} {} {token}", binding.seal(token));
    dir.replace(NAME, text.as_bytes())
}

impl crate::hub::TokenStore for TokenStore {
    fn current(&self) -> Option<Secret> {
        Self::current(self)
    }

    fn store(&self, token: &Secret) {
        Self::store(self, token);
    }

    fn forget(&self) {
        Self::forget(self);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::state::disk::DiskThread;
    use crate::state::testing::TestDir;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    fn binding() -> Binding {
        Binding::new("wss://hub/ws", "runtime", &secret("configured"))
    }

    /// Runs `use_it` on a store of this directory and waits for the disk.
    fn with_store<T>(
        place: &TestDir,
        binding: Binding,
        use_it: impl FnOnce(&TokenStore) -> T,
    ) -> T {
        let disk = DiskThread::start().unwrap();
        let dir = Arc::new(StateDir::open(place.path()).unwrap());
        let store = TokenStore::open(Some(dir), disk.handle(), binding);
        let result = use_it(&store);
        assert!(disk.finish(Instant::now() + Duration::from_secs(10)));
        result
    }

    fn current(place: &TestDir, binding: Binding) -> Option<Secret> {
        with_store(place, binding, TokenStore::current)
    }

    #[test]
    fn a_stored_token_is_there_after_a_restart_until_forgotten() {
        let place = TestDir::new();
        with_store(&place, binding(), |store| {
            assert!(store.store(&secret("old")));
            assert!(store.store(&secret("new")));
            assert_eq!(store.current(), Some(secret("new")));
        });
        let mode = std::fs::metadata(place.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(current(&place, binding()), Some(secret("new")));
        with_store(&place, binding(), TokenStore::forget);
        assert_eq!(current(&place, binding()), None);
        assert!(!place.path().join(NAME).exists());
    }

    #[test]
    fn it_belongs_to_one_hub_one_runtime_and_one_configured_token() {
        for other in [
            Binding::new("wss://other/ws", "runtime", &secret("configured")),
            Binding::new("wss://hub/ws", "other", &secret("configured")),
            Binding::new("wss://hub/ws", "runtime", &secret("other")),
            Binding::new("wss://hub/wsr", "untime", &secret("configured")),
        ] {
            let place = TestDir::new();
            with_store(&place, binding(), |store| store.store(&secret("refreshed")));
            assert_eq!(current(&place, other), None);
            assert!(!place.path().join(NAME).exists());
        }
    }

    #[test]
    fn only_visible_ascii_of_a_bounded_length_is_taken() {
        let place = TestDir::new();
        with_store(&place, binding(), |store| {
            for bad in ["", "a b", "a\n", "\u{e4}", "\0", &"x".repeat(LONGEST + 1)] {
                assert!(!store.store(&secret(bad)), "{bad:?}");
                assert_eq!(store.current(), None);
            }
            assert!(store.store(&secret(&"x".repeat(LONGEST))));
        });
        assert_eq!(current(&place, binding()), Some(secret(&"x".repeat(LONGEST))));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_ignored() {
        let place = TestDir::new();
        with_store(&place, binding(), |store| store.store(&secret("refreshed")));
        let path = place.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        let read_back = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            current(&place, binding())
        };
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert_eq!(read_back(&bad), None, "byte {position}");
        }
        for bad in [&b""[..], b"\n", b"\xff\xfe\n", &vec![b'x'; 100_000]] {
            assert_eq!(read_back(bad), None);
        }
        assert_eq!(read_back(&good), Some(secret("refreshed")));
    }

    #[test]
    fn a_file_that_was_open_to_others_is_not_trusted() {
        let place = TestDir::new();
        with_store(&place, binding(), |store| store.store(&secret("refreshed")));
        let path = place.path().join(NAME);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(current(&place, binding()), None);
        assert!(!path.exists());
    }

    #[test]
    fn without_a_directory_it_is_kept_in_memory() {
        let disk = DiskThread::start().unwrap();
        let store = TokenStore::open(None, disk.handle(), binding());
        assert!(store.store(&secret("refreshed")));
        assert_eq!(store.current(), Some(secret("refreshed")));
        assert!(disk.finish(Instant::now() + Duration::from_secs(10)));
    }
}
