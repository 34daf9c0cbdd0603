//! Keys, profiles and values of other Amurg runtimes, which this one does not have.
//!
//! A file written for one of them shall work here: what is listed is a warning
//! where anything else unknown is an error.

/// Profiles whose endpoints are skipped.
pub const PROFILES: [&str; 5] =
    ["claude-code", "codex", "gemini-cli", "github-copilot", "kilo-code"];

/// Keys that are ignored, by the JSON path of their object. A `*` at the end
/// stands for any rest.
const KEYS: [(&str, &[&str]); 3] = [
    ("hub", &["send_buffer_*"]),
    ("runtime", &["event_bus*"]),
    ("endpoints[]", &["claude_code", "codex", "copilot", "gemini", "kilo"]),
];

/// Values that are replaced: key, value, the nearest this runtime has.
const VALUES: [(&str, &str, &str); 1] = [("permission_mode", "dontAsk", "strict")];

/// Whether `key` in the object at `path` belongs to another runtime.
pub fn is_key(path: &str, key: &str) -> bool {
    keys(path).any(|known| match known.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == known,
    })
}

/// The keys of other runtimes in the object at `path`, in the notation of the list.
pub fn keys(path: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |(object, _)| *object == path).flat_map(|(_, keys)| *keys).copied()
}

/// The values of other runtimes for the choice `key`.
pub fn values(key: &str) -> impl Iterator<Item = &'static str> {
    let profiles = if key == "profile" { &PROFILES[..] } else { &[] };
    let replaced =
        VALUES.iter().filter(move |(known, ..)| *known == key).map(|(_, value, _)| *value);
    profiles.iter().copied().chain(replaced)
}

/// What stands in for another runtime's value of a choice.
pub fn substitute(key: &str, value: &str) -> Option<&'static str> {
    VALUES
        .iter()
        .find(|(known_key, known, _)| *known_key == key && *known == value)
        .map(|(_, _, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_in_their_object_only() {
        assert!(is_key("hub", "send_buffer_size"));
        assert!(is_key("hub", "send_buffer_bytes"));
        assert!(is_key("runtime", "event_bus_size"));
        assert!(is_key("endpoints[]", "claude_code"));
        assert!(!is_key("runtime", "send_buffer_size"));
        assert!(!is_key("hub", "claude_code"));
    }
}
