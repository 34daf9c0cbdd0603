//! What a child finds in its environment: a pure function of what the runtime
//! inherited and what the endpoint says. It reads no variable itself.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::mark::Mark;

/// Variables that stay even with an empty whitelist. None of them can be a
/// secret, so they also stay when a `hub.*` value was built from one (`${HOME}/ca.pem`).
const ALWAYS: &[&str] = if cfg!(windows) {
    // The rest is what a Windows program cannot start, or open a socket, without.
    &[
        "PATH",
        "HOME",
        "LANG",
        "TERM",
        "SystemRoot",
        "SystemDrive",
        "windir",
        "ComSpec",
        "PATHEXT",
        "USERPROFILE",
        "TEMP",
        "TMP",
    ]
} else {
    &["PATH", "HOME", "LANG", "TERM"]
};

/// The service manager's word with the runtime, and the way to its credentials.
const RUNTIME_ONLY: [&str; 4] =
    ["CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// What a runtime gives its own children: inherited ones speak of somebody else's session.
const GIVEN: [&str; 6] = [
    "AMURG_SESSION_ID",
    "AMURG_USER_ID",
    "AMURG_ENDPOINT_ID",
    "AMURG_MESSAGE_ID",
    "AMURG_FILES",
    Mark::VARIABLE,
];

/// What decides about a child's environment.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// `security.env_whitelist`; `None`: everything but the runtime's own.
    pub whitelist: Option<&'a [String]>,
    /// Names that were expanded into `hub.*`: no child inherits them, whatever else is said.
    pub hub_variables: &'a [String],
    /// The endpoint's own `env`.
    pub program: &'a BTreeMap<String, String>,
    /// `AMURG_*` and whatever else the runtime gives (`TMPDIR`); nothing overrides these.
    pub given: &'a [(&'static str, OsString)],
    /// The session's mark.
    pub mark: &'a Mark,
}

/// The whole environment of a child, the mark first (it is looked for often).
pub fn of_child(
    inherited: impl IntoIterator<Item = (OsString, OsString)>,
    rules: &Rules,
) -> Vec<(OsString, OsString)> {
    let inherited = inherited.into_iter().filter(|(name, _)| passes(name, rules));
    let configured = rules.program.iter().map(|(name, value)| (name.into(), value.into()));
    let given = rules.given.iter().map(|(name, value)| (OsString::from(name), value.clone()));
    let absent = [("TERM", "dumb"), ("LANG", "C.UTF-8")].map(|(n, v)| (n.into(), v.into()));
    let all = absent.into_iter().chain(inherited).chain(configured).chain(given);
    let all = all.filter(|(name, _)| key(name) != Mark::VARIABLE);
    let mut variables: Vec<(OsString, OsString)> = all.collect();
    // Of one name, the last one counts.
    variables.reverse();
    variables.sort_by_cached_key(|(name, _)| key(name));
    variables.dedup_by(|later, earlier| key(&later.0) == key(&earlier.0));
    let mark = (Mark::VARIABLE.into(), rules.mark.as_str().into());
    std::iter::once(mark).chain(variables).map(|(name, value)| (name, without_nul(value))).collect()
}

/// Whether the system takes both for the same variable: on Windows `Path` is `PATH`.
pub fn is_same(name: &OsStr, other: &str) -> bool {
    if cfg!(windows) { name.eq_ignore_ascii_case(other) } else { name == other }
}

/// The same for names of the same variable.
fn key(name: &OsStr) -> OsString {
    if cfg!(windows) { name.to_ascii_uppercase() } else { name.to_owned() }
}

fn passes(name: &OsStr, rules: &Rules) -> bool {
    let is = |other: &str| is_same(name, other);
    if ALWAYS.iter().any(|always| is(always)) {
        return true;
    }
    let own = RUNTIME_ONLY.iter().any(|only| is(only))
        || key(name).as_encoded_bytes().starts_with(b"WATCHDOG_")
        || GIVEN.iter().any(|given| is(given))
        || rules.hub_variables.iter().any(|variable| is(variable));
    !own && rules.whitelist.is_none_or(|list| list.iter().any(|listed| is(listed)))
}

/// Ids come from a hub and may hold a NUL, which no variable can.
fn without_nul(value: OsString) -> OsString {
    if !value.as_encoded_bytes().contains(&0) {
        return value;
    }
    value.to_string_lossy().replace('\0', "\u{fffd}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    struct Case {
        whitelist: Option<Vec<String>>,
        hub: Vec<String>,
        program: BTreeMap<String, String>,
        given: Vec<(&'static str, OsString)>,
    }

    impl Case {
        fn plain() -> Self {
            Self { whitelist: None, hub: Vec::new(), program: BTreeMap::new(), given: Vec::new() }
        }

        fn child(&self, vars: &[(&str, &str)]) -> BTreeMap<String, String> {
            let mark = Mark::next();
            let rules = Rules {
                whitelist: self.whitelist.as_deref(),
                hub_variables: &self.hub,
                program: &self.program,
                given: &self.given,
                mark: &mark,
            };
            let list = of_child(inherited(vars), &rules);
            assert_eq!(list[0], (Mark::VARIABLE.into(), mark.as_str().into()));
            let mut map: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in list {
                let name = name.into_string().unwrap();
                assert!(map.insert(name, value.into_string().unwrap()).is_none(), "twice");
            }
            map
        }
    }

    #[test]
    fn without_a_whitelist_everything_but_the_runtimes_own_is_inherited() {
        let case = Case { hub: vec!["HUB_TOKEN".into(), "HOME".into()], ..Case::plain() };
        let child = case.child(&[
            ("HOME", "/home/a"),
            ("EDITOR", "vi"),
            ("HUB_TOKEN", "secret"),
            ("CREDENTIALS_DIRECTORY", "/run/c"),
            ("NOTIFY_SOCKET", "/run/n"),
            ("WATCHDOG_PID", "1"),
            ("WATCHDOG_USEC", "1"),
            ("AMURG_SESSION_ID", "of an outer runtime"),
            ("AMURG_MARK", "outer.1"),
        ]);
        let names: Vec<&str> = child.keys().map(String::as_str).collect();
        assert_eq!(names, ["AMURG_MARK", "EDITOR", "HOME", "LANG", "TERM"]);
    }

    #[test]
    fn an_empty_whitelist_leaves_path_home_lang_and_term() {
        let case = Case { whitelist: Some(Vec::new()), ..Case::plain() };
        let vars =
            [("PATH", "/bin"), ("HOME", "/h"), ("LANG", "de"), ("TERM", "xterm"), ("USER", "u")];
        let child = case.child(&vars);
        assert_eq!(child.len(), 5, "{child:?}");
        assert_eq!((child["LANG"].as_str(), child["TERM"].as_str()), ("de", "xterm"));
    }

    #[test]
    fn a_whitelist_adds_what_it_names_but_never_a_hub_variable() {
        let case = Case {
            whitelist: Some(vec!["USER".into(), "HUB_TOKEN".into(), "NOTIFY_SOCKET".into()]),
            hub: vec!["HUB_TOKEN".into()],
            ..Case::plain()
        };
        let vars = [("USER", "u"), ("HUB_TOKEN", "s"), ("NOTIFY_SOCKET", "n"), ("OTHER", "o")];
        let child = case.child(&vars);
        let names: Vec<&str> = child.keys().map(String::as_str).collect();
        assert_eq!(names, ["AMURG_MARK", "LANG", "TERM", "USER"]);
    }

    #[test]
    fn term_and_lang_are_set_only_where_there_is_none() {
        let child = Case::plain().child(&[]);
        assert_eq!((child["TERM"].as_str(), child["LANG"].as_str()), ("dumb", "C.UTF-8"));
        let program = BTreeMap::from([("TERM".into(), "vt100".into())]);
        let child = Case { program, ..Case::plain() }.child(&[("LANG", "C")]);
        assert_eq!((child["TERM"].as_str(), child["LANG"].as_str()), ("vt100", "C"));
    }

    #[test]
    fn the_endpoints_variables_win_over_inherited_and_lose_to_given_ones() {
        let program = BTreeMap::from([
            ("A".into(), "program".into()),
            ("AMURG_USER_ID".into(), "forged".into()),
            ("AMURG_MARK".into(), "forged.1".into()),
        ]);
        let given = vec![("AMURG_USER_ID", "u\0x".into())];
        let child = Case { program, given, ..Case::plain() }.child(&[("A", "inherited")]);
        assert_eq!(child["A"], "program");
        assert_eq!(child["AMURG_USER_ID"], "u\u{fffd}x");
    }

    #[test]
    #[cfg(windows)]
    fn a_variable_has_one_name_however_it_is_written() {
        let program = BTreeMap::from([("PATH".into(), "configured".into())]);
        let case = Case { hub: vec!["HUB_TOKEN".into()], program, ..Case::plain() };
        let child = case.child(&[("Path", "inherited"), ("Hub_Token", "secret")]);
        let names: Vec<&str> = child.keys().map(String::as_str).collect();
        assert_eq!(names, ["AMURG_MARK", "LANG", "PATH", "TERM"]);
        assert_eq!(child["PATH"], "configured");
    }

    #[test]
    #[cfg(unix)]
    fn bytes_that_are_not_utf8_pass_unchanged() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let mark = Mark::next();
        let rules = Rules {
            whitelist: None,
            hub_variables: &[],
            program: &BTreeMap::new(),
            given: &[],
            mark: &mark,
        };
        let list = of_child([(odd.clone(), odd.clone())], &rules);
        assert!(list.contains(&(odd.clone(), odd)));
    }
}
