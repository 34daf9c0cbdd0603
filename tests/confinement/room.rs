//! A cell, its surroundings, and who may be put into it. Everything lies in one
//! scratch directory:
//!
//! ```text
//! own/        the agent's allowed path     outside/   what is nobody's business
//! uploads/    its upload directory         home/      with a key in .ssh
//! neighbour/  another agent's path         config.json
//! ```

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use amurg_runtime::agent::confine::confine;
use amurg_runtime::agent::process::launch::{LaunchError, Launcher};
use amurg_runtime::agent::process::mark::Mark;
use amurg_runtime::agent::process::plan::{Request, SpawnPlan, Stdio};
use amurg_runtime::config::{Endpoint, Enforce, Security};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::children::{self, Scene};

/// The user who owns nothing.
const NOBODY: u32 = 65534;

/// What finds programs, whatever the one who runs the tests has in front of it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Whose processes a test starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the tests.
    Own,
    /// Somebody without any right, by way of `setpriv`. Only for root.
    Nobody,
}

/// Everybody a test can be done as: root alone can also be somebody else.
pub fn users() -> &'static [User] {
    let can_change = geteuid().is_root() && Path::new("/usr/bin/setpriv").exists();
    if can_change { &[User::Own, User::Nobody] } else { &[User::Own] }
}

/// One cell with its surroundings.
pub struct Room {
    scratch: TempDir,
    pub user: User,
    pub security: Security,
    pub launcher: Launcher,
}

impl Room {
    /// A room whose cell has `own/` for its one allowed path.
    pub fn of(user: User) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let launcher = children::launcher();
        let mut room = Self { scratch, user, security: Security::default(), launcher };
        room.furnish();
        room.security = Security {
            allowed_paths: vec![room.at("own")],
            env_whitelist: Some(Vec::new()),
            enforce: Enforce::Required,
            cwd: Some(room.at("own")),
            ..Security::default()
        };
        if user == User::Nobody {
            let launcher = children::launcher().program;
            let script = format!(
                "#!/bin/sh\nexec 3<{launcher:?}\nexec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups \
                 /proc/self/fd/3 \"$@\"\n"
            );
            room.launcher.program = room.program("launcher", &script);
        }
        room
    }

    /// The room with its cell's door open.
    pub fn open(mut self) -> Self {
        self.security.allowed_paths.clear();
        self
    }

    fn furnish(&self) {
        for directory in [
            "own",
            "uploads",
            "uploads/.tmp",
            "neighbour",
            "home",
            "home/.ssh",
            "outside",
            "outside/empty",
        ] {
            fs::create_dir(self.at(directory)).unwrap();
        }
        for file in [
            "neighbour/file",
            "home/.ssh/id",
            "config.json",
            "outside/secret",
            "outside/short",
            "outside/gone",
            "outside/moved",
            "uploads/upload",
        ] {
            fs::write(self.at(file), "content\n").unwrap();
        }
        self.program("outside/tool", "#!/bin/sh\nexit 0\n");
        self.give("");
    }

    /// Writes a program and returns where.
    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        children::write_program(&path, text);
        path
    }

    /// Makes what lies there, and beneath, the user's.
    pub fn give(&self, name: &str) {
        if self.user == User::Nobody {
            give(&self.at(name));
        }
    }

    /// A place in it.
    pub fn at(&self, name: &str) -> PathBuf {
        let root = self.scratch.path().canonicalize().unwrap();
        if name.is_empty() { root } else { root.join(name) }
    }

    /// A child in the cell, planned as agents plan theirs; its errors go with its output.
    pub fn plan(&self, command: &[&str], stdio: Stdio) -> Result<SpawnPlan, String> {
        let all = [&["-c", "exec \"$@\" 2>&1", "sh"], command].concat();
        let (endpoint, mut program) = children::endpoint("/bin/sh", &all);
        let endpoint = Endpoint { security: self.security.clone(), ..endpoint };
        for (name, value) in [("PATH", PATH), ("HOME", self.at("home").to_str().unwrap())] {
            program.env.insert(name.into(), value.into());
        }
        self.confined(&endpoint, &program, stdio)
    }

    /// A child of any endpoint, with the uploads of this room.
    pub fn confined(
        &self,
        endpoint: &Endpoint,
        program: &amurg_runtime::config::Program,
        stdio: Stdio,
    ) -> Result<SpawnPlan, String> {
        let mut plan = SpawnPlan::new(&Request {
            endpoint,
            program,
            owner: None,
            given: &[],
            mark: &Mark::next(),
            hub_variables: &[],
            stdio,
        })
        .map_err(|error| error.to_string())?;
        confine(endpoint, Some(&self.at("uploads")), &mut plan)?;
        Ok(plan)
    }

    /// Starts a child in the cell.
    pub fn start(&self, command: &[&str]) -> Scene {
        Scene::with(&self.launcher, &self.plan(command, Stdio::Pipes).unwrap())
    }

    /// Everything a shell's script says, and its exit code.
    pub fn sh(&self, script: &str) -> (String, i32) {
        self.run(&["sh", "-c", script])
    }

    /// Everything a command says, and its exit code.
    pub fn run(&self, command: &[&str]) -> (String, i32) {
        let mut scene = self.start(command);
        scene.close_stdin();
        (scene.rest(), scene.code())
    }

    /// Why a child cannot be started.
    pub fn refusal(&self, command: &[&str]) -> String {
        let plan = match self.plan(command, Stdio::Pipes) {
            Ok(plan) => plan,
            Err(reason) => return reason,
        };
        let refused = self.launcher.launch(&plan);
        match refused {
            Err(error @ LaunchError::Failed { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().flatten().for_each(|entry| give(&entry.path()));
    }
}

/// Everything beneath a directory: names, kinds, contents.
pub fn contents(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let content = fs::read(&path).unwrap_or_default();
        all.push(format!("{} {:?} {content:?}", path.display(), entry.file_type().unwrap()));
        if path.is_dir() {
            all.extend(contents(&path));
        }
    }
    all.sort();
    all
}

/// Whether a command is installed where cells look.
pub fn installed(command: &str) -> bool {
    PATH.split(':').any(|directory| Path::new(directory).join(command).exists())
}
