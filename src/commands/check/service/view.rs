//! Which files a service sees: what its unit hides, and what it leaves read-only.
//!
//! It knows paths and settings, not what is really there.

use std::path::{Path, PathBuf};

use super::super::seen::Seen;
use super::unit::Unit;

/// What a unit does to the file system.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The deepest one that holds a path decides, of equals the last.
    rules: Vec<(PathBuf, Seen)>,
}

impl View {
    /// The view of this unit.
    pub fn of(unit: &Unit) -> Self {
        let mut view = Self::default();
        let system = unit.last("ProtectSystem").unwrap_or_default();
        let frozen: &[&str] = match system {
            "strict" => &["/"],
            "full" => &["/usr", "/boot", "/efi", "/etc"],
            "yes" | "true" | "on" | "1" => &["/usr", "/boot", "/efi"],
            _ => &[],
        };
        view.rule(frozen, &Seen::ReadOnly(format!("ProtectSystem={system}")));
        if system == "strict" {
            view.rule(&["/dev", "/proc", "/sys"], &Seen::Plainly);
        }
        let home = unit.last("ProtectHome").unwrap_or_default();
        let seen = match home {
            "read-only" => Seen::ReadOnly(format!("ProtectHome={home}")),
            "yes" | "true" | "on" | "1" | "tmpfs" => Seen::Hidden(format!("ProtectHome={home}")),
            _ => Seen::Plainly,
        };
        if seen != Seen::Plainly {
            view.rule(&["/home", "/root", "/run/user"], &seen);
        }
        if unit.is_on("PrivateTmp") || unit.last("PrivateTmp") == Some("disconnected") {
            view.rule(&["/tmp", "/var/tmp"], &Seen::Hidden("PrivateTmp=yes".into()));
        }
        for (key, place) in [
            ("StateDirectory", "/var/lib"),
            ("RuntimeDirectory", "/run"),
            ("CacheDirectory", "/var/cache"),
            ("LogsDirectory", "/var/log"),
        ] {
            for name in unit.words(key) {
                view.rule(&[&format!("{place}/{name}")], &Seen::Plainly);
            }
        }
        for (key, seen) in [
            ("TemporaryFileSystem", Seen::Hidden("TemporaryFileSystem=".into())),
            ("ReadOnlyPaths", Seen::ReadOnly("ReadOnlyPaths=".into())),
            ("ReadWritePaths", Seen::Plainly),
            ("InaccessiblePaths", Seen::Hidden("InaccessiblePaths=".into())),
            ("BindPaths", Seen::Plainly),
            ("BindReadOnlyPaths", Seen::ReadOnly("BindReadOnlyPaths=".into())),
        ] {
            for path in unit.words(key) {
                view.rule(&[target(key, path.trim_start_matches(['-', '+']))], &seen);
            }
        }
        view
    }

    fn rule(&mut self, paths: &[&str], seen: &Seen) {
        self.rules.extend(paths.iter().map(|path| (PathBuf::from(path), seen.clone())));
    }

    /// How the service sees a path. A link is seen where it leads.
    pub fn of_path(&self, path: &Path) -> &Seen {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let holds = |rule: &&(PathBuf, Seen)| real.starts_with(&rule.0);
        let deepest =
            self.rules.iter().filter(holds).max_by_key(|rule| rule.0.components().count());
        deepest.map_or(&Seen::Plainly, |(_, seen)| seen)
    }

    /// What is hidden and what read-only, in words; empty where nothing is.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut told: Vec<&Seen> = Vec::new();
        for (_, seen) in &self.rules {
            let (what, setting) = match seen {
                Seen::Plainly => continue,
                Seen::ReadOnly(setting) => ("read-only", setting),
                Seen::Hidden(setting) => ("hidden", setting),
            };
            if told.contains(&seen) {
                continue;
            }
            told.push(seen);
            let alike = self.rules.iter().filter(|(_, other)| other == seen);
            let paths: Vec<String> = alike.map(|(path, _)| path.display().to_string()).collect();
            words.push(format!("{} {what} ({setting})", paths.join(", ")));
        }
        words
    }
}

/// Where a bound path is seen: `SOURCE:TARGET:OPTIONS`; of a temporary file
/// system, `TARGET:OPTIONS`.
fn target<'a>(key: &str, path: &'a str) -> &'a str {
    let mut parts = path.split(':');
    let first = parts.next().unwrap_or_default();
    if key.starts_with("Bind") { parts.next().unwrap_or(first) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(settings: &str) -> View {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.service");
        std::fs::write(&path, format!("[Service]\n{settings}")).unwrap();
        View::of(&Unit::find(path.to_str().unwrap(), &[]).unwrap().unwrap())
    }

    #[test]
    fn the_deepest_rule_decides() {
        let view = view(
            "ProtectSystem=strict\nProtectHome=tmpfs\nStateDirectory=amurg\n\
             BindPaths=/srv/a:/home/ann/a -/none\nReadWritePaths=/srv/b\n",
        );
        for (path, seen) in [
            ("/srv/a", Seen::ReadOnly("ProtectSystem=strict".into())),
            ("/srv/b/c", Seen::Plainly),
            ("/var/lib/amurg/lab", Seen::Plainly),
            ("/home/ann/a/b", Seen::Plainly),
            ("/home/ann", Seen::Hidden("ProtectHome=tmpfs".into())),
            ("/homestead", Seen::ReadOnly("ProtectSystem=strict".into())),
        ] {
            assert_eq!(*view.of_path(Path::new(path)), seen, "{path}");
        }
        let words = view.words();
        assert_eq!(words[0], "/ read-only (ProtectSystem=strict)");
        assert_eq!(words[1], "/home, /root, /run/user hidden (ProtectHome=tmpfs)");
    }

    #[test]
    fn without_settings_everything_is_seen() {
        let view = view("User=amurg\n");
        assert_eq!(*view.of_path(Path::new("/home/ann")), Seen::Plainly);
        assert!(view.words().is_empty());
    }
}
