//! Somebody of this machine, and a thread that looks at it with their eyes.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Gid, Uid, geteuid};

use crate::threads;

/// The user of services that get one of their own when they start.
const NOBODY: u32 = 65534;

/// A line of the user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Number of the first group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: String,
}

impl User {
    /// The user of this name or number; `None` where there is none.
    pub fn find(name: &str) -> Option<Self> {
        let is_it = |user: &Self| user.name == name || name.parse() == Ok(user.uid);
        let local = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Some(user) = local.lines().filter_map(Self::parse).find(is_it) {
            return Some(user);
        }
        // Whoever is known to a directory service only.
        let output = Command::new("getent").args(["passwd", "--", name]).output().ok()?;
        String::from_utf8_lossy(&output.stdout).lines().find_map(Self::parse)
    }

    /// Whom systemd makes up for a service without a user of its own: somebody
    /// who may do nothing that not everybody may.
    pub fn made_up(name: &str) -> Self {
        let (home, shell) = (PathBuf::from("/"), "/usr/sbin/nologin".to_owned());
        Self { name: name.to_owned(), uid: NOBODY, gid: NOBODY, home, shell }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let mut number = fields.skip(1);
        let uid = number.next()?.parse().ok()?;
        let gid = number.next()?.parse().ok()?;
        let home = number.nth(1)?.into();
        Some(Self { name, uid, gid, home, shell: number.next().unwrap_or_default().to_owned() })
    }

    /// The numbers of every group of this user, as far as this machine's own file tells.
    fn groups(&self) -> Vec<Gid> {
        let local = fs::read_to_string("/etc/group").unwrap_or_default();
        let further = local.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let members = fields.get(3)?;
            let is_member = members.split(',').any(|member| member == self.name);
            if is_member { fields.get(2)?.parse().ok() } else { None }
        });
        std::iter::once(self.gid).chain(further).map(Gid::from_raw).collect()
    }

    /// Whether [`User::look`] sees what this user sees.
    pub fn can_be_taken(&self) -> bool {
        can_become() || geteuid().as_raw() == self.uid
    }

    /// Does something in a thread that may what this user may, where this process
    /// can become anybody; else with our own eyes.
    ///
    /// # Errors
    /// When there is no thread, or the system does not let it change.
    pub fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        if !can_become() || self.uid == 0 {
            return Ok(look());
        }
        let (groups, gid, uid) = (self.groups(), Gid::from_raw(self.gid), Uid::from_raw(self.uid));
        let thread = threads::spawn_large("as-service", move || {
            // Of this thread alone, and for good: it ends with the look.
            become_them(&groups, gid, uid)?;
            Ok(look())
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the look ended early")))
    }
}

/// Whether one thread of this process can become somebody else.
fn can_become() -> bool {
    cfg!(target_os = "linux") && geteuid().is_root()
}

#[cfg(target_os = "linux")]
fn become_them(groups: &[Gid], gid: Gid, uid: Uid) -> io::Result<()> {
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    set_thread_groups(groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

#[cfg(not(target_os = "linux"))]
fn become_them(_groups: &[Gid], _gid: Gid, _uid: Uid) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_database_is_read() {
        let user = User::parse("ann:x:1000:100:Ann,,,:/home/ann:/bin/zsh").unwrap();
        let home = PathBuf::from("/home/ann");
        let (name, shell) = ("ann".to_owned(), "/bin/zsh".to_owned());
        assert_eq!(user, User { name, uid: 1000, gid: 100, home, shell });
        assert_eq!(User::parse("ann:x"), None);
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = User::find("root").unwrap();
        assert_eq!((root.uid, User::find("0")), (0, Some(root.clone())));
        assert_eq!(User::find("no such user"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn root_looks_with_anybodys_eyes_and_keeps_its_own() {
        use std::os::unix::fs::PermissionsExt;
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let secret = path.clone();
        let seen = User::made_up("dyn").look(move || fs::read(secret).map_err(|e| e.kind()));
        assert_eq!(seen.unwrap(), Err(io::ErrorKind::PermissionDenied));
        assert!(fs::read(&path).is_ok());
    }
}
