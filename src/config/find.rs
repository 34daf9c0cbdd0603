//! Which file is read when none is named.

use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::Environment;

/// The file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// A file `$AMURG_CONFIG` names and that does not exist, worth a warning.
    pub passed_over: Option<PathBuf>,
}

/// No configuration file exists anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoneFound {
    /// Where was looked, in order.
    pub looked_at: Vec<PathBuf>,
}

impl fmt::Display for NoneFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no configuration file was found; looked for ")?;
        for (index, path) in self.looked_at.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, path.display())?;
        }
        f.write_str("; name one with -config PATH, or write one with `amurg-runtime init`")
    }
}

impl std::error::Error for NoneFound {}

/// The file of the whole machine.
pub const SYSTEM: &str = "/etc/amurg/config.json";

/// The file of the user: beneath `$XDG_CONFIG_HOME`, else `~/.config`.
pub fn personal(environment: &dyn Environment) -> Option<PathBuf> {
    environment
        .variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|directory| directory.is_absolute())
        .or_else(|| environment.home_dir().map(|home| home.join(".config")))
        .map(|directory| directory.join("amurg/config.json"))
}

/// The named file, or the first that exists of `$AMURG_CONFIG`, `./config.json`,
/// `$XDG_CONFIG_HOME/amurg/config.json` (`~/.config/…`) and `/etc/amurg/config.json`.
///
/// # Errors
/// When none is named and none exists. A named file is not looked at here.
pub fn find(named: Option<&Path>, environment: &dyn Environment) -> Result<Found, NoneFound> {
    if let Some(named) = named {
        return Ok(Found { path: named.to_owned(), passed_over: None });
    }
    let from_variable =
        environment.variable("AMURG_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    let looked_at: Vec<PathBuf> = from_variable
        .clone()
        .into_iter()
        .chain([PathBuf::from("config.json")])
        .chain(personal(environment))
        .chain(cfg!(unix).then(|| PathBuf::from(SYSTEM)))
        .collect();
    // One that was asked for and is hidden by its directory is there: reading it tells.
    let exists = |path: &&PathBuf| {
        let is_wanted = from_variable.as_ref() == Some(*path);
        environment.current_dir().join(path).try_exists().unwrap_or(is_wanted)
    };
    match looked_at.iter().find(exists) {
        Some(path) => {
            let passed_over = from_variable.filter(|wanted| wanted != path);
            Ok(Found { path: path.clone(), passed_over })
        }
        None => Err(NoneFound { looked_at }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::FixedEnvironment;
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn the_first_that_exists_is_taken_in_the_documented_order() {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        let config_home = at("xdg").display().to_string();
        let variable = at("mine.json").display().to_string();
        let mut environment = FixedEnvironment::new([
            ("AMURG_CONFIG", variable.as_str()),
            ("XDG_CONFIG_HOME", config_home.as_str()),
        ]);
        environment.current_dir = dir.path().to_owned();

        let none = find(None, &environment).unwrap_err();
        assert_eq!(none.looked_at.len(), 4);
        assert!(none.to_string().contains("mine.json"), "{none}");

        std::fs::create_dir_all(at("xdg/amurg")).unwrap();
        std::fs::write(at("xdg/amurg/config.json"), "{}").unwrap();
        let found = find(None, &environment).unwrap();
        assert_eq!(found.path, at("xdg/amurg/config.json"));
        assert_eq!(found.passed_over, Some(at("mine.json")));

        std::fs::write(at("config.json"), "{}").unwrap();
        assert_eq!(find(None, &environment).unwrap().path, Path::new("config.json"));

        std::fs::write(at("mine.json"), "{}").unwrap();
        let found = find(None, &environment).unwrap();
        assert_eq!(found, Found { path: at("mine.json"), passed_over: None });

        let named = find(Some(Path::new("other.json")), &environment).unwrap();
        assert_eq!(named.path, Path::new("other.json"));
    }

    #[test]
    fn without_a_config_home_the_home_is_looked_in() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join(".config/amurg/config.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "{}").unwrap();
        let home = dir.path().display().to_string();
        let mut environment =
            FixedEnvironment::new([("HOME", home.as_str()), ("XDG_CONFIG_HOME", "relative")]);
        environment.current_dir = dir.path().to_owned();
        assert_eq!(find(None, &environment).unwrap().path, file);
    }
}
