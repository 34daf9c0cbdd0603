//! The agents of a `try` without a configuration: a shell and an echo.

use serde_json::{Value, json};

use crate::config::expand::literal;

/// Their configuration, as a person would write it.
pub(super) fn config() -> String {
    let (mut shell, mut echo) = programs();
    if let Some(here) = here() {
        shell["work_dir"] = here.clone().into();
        echo["work_dir"] = here.into();
    }
    json!({
        "runtime": { "id": "try" },
        "endpoints": [
            { "id": "shell", "profile": "generic-cli", "cli": shell },
            { "id": "echo", "profile": "generic-cli", "cli": echo },
        ],
    })
    .to_string()
}

/// A shell that survives a mistake, as its agent should.
#[cfg(not(windows))]
fn programs() -> (Value, Value) {
    use super::super::shells::{BASH, NO_PROMPT, SH};

    let (shell, args) = if is_on_path("bash") { ("bash", &BASH[..]) } else { ("sh", &SH[..]) };
    let env = NO_PROMPT.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let env: Value = env.into_iter().collect();
    let shell = json!({ "command": shell, "args": args, "env": env, "tty": true });
    (shell, json!({ "command": "cat" }))
}

#[cfg(windows)]
fn programs() -> (Value, Value) {
    (
        json!({ "command": "cmd", "args": ["/Q", "/K", "rem"] }),
        json!({ "command": "findstr", "args": ["^"] }),
    )
}

/// Where the person is; `None` where that has no name in Unicode: then agents
/// start where the runtime starts them by itself.
fn here() -> Option<String> {
    std::env::current_dir().ok()?.to_str().map(literal)
}

#[cfg(not(windows))]
fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_dollar_in_its_name_is_not_expanded() {
        assert_eq!(literal("/tmp/${HOME}/$x"), "/tmp/$${HOME}/$x");
    }

    #[test]
    fn there_is_a_shell_and_an_echo() {
        let config: Value = serde_json::from_str(&config()).expect("JSON");
        assert_eq!(config["endpoints"][0]["id"], "shell");
        assert_eq!(
            config["endpoints"][1]["cli"]["command"].as_str(),
            Some("cat").filter(|_| cfg!(unix))
        );
    }
}
