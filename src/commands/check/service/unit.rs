//! A unit file of systemd with its drop-ins, as far as a service's surroundings
//! follow from it: the settings of `[Service]`, in order, specifiers expanded.
//!
//! What the settings mean is not known here, and nothing is asked of systemd:
//! the files are read where it reads them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where system units are, the most important place first.
pub const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A unit that was found.
#[derive(Debug)]
pub struct Unit {
    /// `amurg-runtime@lab.service`
    pub name: String,
    /// The files it was read from, its drop-ins last.
    pub files: Vec<PathBuf>,
    settings: Vec<(String, String)>,
}

impl Unit {
    /// The unit of this name, with or without `.service`, or the file at this
    /// path; `None` where there is none.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn find(name: &str, directories: &[PathBuf]) -> io::Result<Option<Self>> {
        if name.contains('/') {
            let path = Path::new(name);
            if !path.try_exists()? {
                return Ok(None);
            }
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let beside = path.parent().map(Path::to_owned);
            let places = beside.iter().chain(directories).cloned().collect::<Vec<_>>();
            return Self::read(&file, path, &places).map(Some);
        }
        let name = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
        let template = template(&name);
        let names = [Some(name.as_str()), template.as_deref()];
        let found = names.into_iter().flatten().find_map(|file| {
            directories.iter().map(|directory| directory.join(file)).find(|path| path.exists())
        });
        found.map(|path| Self::read(&name, &path, directories)).transpose()
    }

    fn read(name: &str, path: &Path, directories: &[PathBuf]) -> io::Result<Self> {
        let mut unit =
            Self { name: name.to_owned(), files: vec![path.to_owned()], settings: Vec::new() };
        unit.take(&fs::read_to_string(path)?);
        for file in drop_ins(name, directories) {
            unit.take(&fs::read_to_string(&file)?);
            unit.files.push(file);
        }
        Ok(unit)
    }

    fn take(&mut self, text: &str) {
        let mut in_service = false;
        for line in logical_lines(text) {
            if line.starts_with('[') {
                in_service = line == "[Service]";
            } else if in_service && let Some((key, value)) = line.split_once('=') {
                let value = self.expanded(value.trim());
                self.settings.push((key.trim().to_owned(), value));
            }
        }
    }

    /// The last value of a setting; `None` where it is not set, or taken back.
    pub fn last(&self, key: &str) -> Option<&str> {
        let set = self.settings.iter().rev().find(|(name, _)| name == key)?;
        Some(set.1.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of a setting that may be given several times; an empty one
    /// takes those before it back.
    pub fn all(&self, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (_, value) in self.settings.iter().filter(|(name, _)| name == key) {
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value.as_str());
            }
        }
        values
    }

    /// The words of every value: paths, names, assignments.
    pub fn words(&self, key: &str) -> Vec<String> {
        let split = |value: &str| shell_words::split(value).unwrap_or_default();
        self.all(key).into_iter().flat_map(split).collect()
    }

    /// Whether a switch is on.
    pub fn is_on(&self, key: &str) -> bool {
        self.last(key).is_some_and(|value| matches!(value, "yes" | "true" | "on" | "1"))
    }

    /// With `%` and a letter replaced, where it means something here.
    fn expanded(&self, value: &str) -> String {
        let stem = self.name.strip_suffix(".service").unwrap_or(&self.name);
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let mut expanded = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('%') {
            expanded.push_str(before);
            let mut letters = after.chars();
            match letters.next() {
                Some('i' | 'I') => expanded.push_str(instance),
                Some('n') => expanded.push_str(&self.name),
                Some('N') => expanded.push_str(stem),
                Some('p' | 'P') => expanded.push_str(prefix),
                Some('S') => expanded.push_str("/var/lib"),
                Some('t') => expanded.push_str("/run"),
                Some('E') => expanded.push_str("/etc"),
                Some('%') | None => expanded.push('%'),
                Some(other) => expanded.extend(['%', other]),
            }
            rest = letters.as_str();
        }
        expanded + rest
    }
}

/// The file an instance is made from: `a@.service` of `a@b.service`.
fn template(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (_, suffix) = rest.rsplit_once('.')?;
    Some(format!("{prefix}@.{suffix}"))
}

/// Its drop-ins in the order they are applied: by name, one from a more
/// important place instead of another of the same name.
fn drop_ins(name: &str, directories: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for unit in [Some(name.to_owned()), template(name)].into_iter().flatten() {
        for directory in directories {
            let Ok(entries) = fs::read_dir(directory.join(format!("{unit}.d"))) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let is_new = found.iter().all(|other| other.file_name() != path.file_name());
                if is_new && path.extension().is_some_and(|extension| extension == "conf") {
                    found.push(path);
                }
            }
        }
    }
    found.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    found
}

/// Lines without comments, joined where they end in a backslash.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut begun: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) || (line.is_empty() && begun.is_none()) {
            continue;
        }
        let mut whole = begun.take().map_or_else(String::new, |begun| begun + " ");
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part.trim_end());
            begun = Some(whole);
        } else {
            whole.push_str(line);
            lines.push(whole);
        }
    }
    lines.extend(begun);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn places() -> (TempDir, Vec<PathBuf>) {
        let dir = TempDir::new().unwrap();
        let places = ["etc", "lib"].map(|name| dir.path().join(name)).to_vec();
        for place in &places {
            fs::create_dir(place).unwrap();
        }
        (dir, places)
    }

    #[test]
    fn settings_are_read_as_systemd_reads_them() {
        let (_dir, places) = places();
        fs::write(
            places[1].join("a.service"),
            "# a comment\n[Unit]\nUser=nobody\n[Service]\nUser = amurg\n\
             Environment=\"A=one two\" B=3 \\\n  # not part of it\n  C=4\n\
             ReadWritePaths=/x\nReadWritePaths=\nReadWritePaths=/y\nDelegate=yes\n",
        )
        .unwrap();
        let unit = Unit::find("a", &places).unwrap().unwrap();
        assert_eq!((unit.name.as_str(), unit.last("User")), ("a.service", Some("amurg")));
        assert_eq!(unit.words("Environment"), ["A=one two", "B=3", "C=4"]);
        assert_eq!(unit.all("ReadWritePaths"), ["/y"]);
        assert!(unit.is_on("Delegate") && !unit.is_on("PrivateTmp"));
        assert!(Unit::find("b", &places).unwrap().is_none());
    }

    #[test]
    fn drop_ins_come_last_and_the_more_important_place_wins() {
        let (_dir, places) = places();
        fs::write(places[1].join("a.service"), "[Service]\nUser=one\nGroup=g\n").unwrap();
        for (place, name, text) in [
            (0, "10-user.conf", "[Service]\nUser=three\n"),
            (1, "10-user.conf", "[Service]\nUser=two\n"),
            (1, "20-group.conf", "[Service]\nGroup=\n"),
            (1, "30-readme.txt", "[Service]\nUser=four\n"),
        ] {
            let directory = places[place].join("a.service.d");
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), text).unwrap();
        }
        let unit = Unit::find("a.service", &places).unwrap().unwrap();
        assert_eq!((unit.last("User"), unit.last("Group")), (Some("three"), None));
        assert_eq!(unit.files.len(), 3);
    }

    #[test]
    fn an_instance_is_made_from_its_template() {
        let (_dir, places) = places();
        let text = "[Service]\nExecStart=/bin/x --config /etc/%i.json --as %n %% %z\n";
        fs::write(places[0].join("a@.service"), text).unwrap();
        let unit = Unit::find("a@lab", &places).unwrap().unwrap();
        let expected = "/bin/x --config /etc/lab.json --as a@lab.service % %z";
        assert_eq!(unit.last("ExecStart"), Some(expected));
        let path = places[0].join("a@.service");
        let unit = Unit::find(path.to_str().unwrap(), &places).unwrap().unwrap();
        assert_eq!(unit.name, "a@.service");
    }
}
