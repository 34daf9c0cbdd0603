//! "Did you mean": the nearest of the words that would have been right.

use strsim::damerau_levenshtein;

/// The candidate somebody who wrote `word` most likely meant, if any is near.
///
/// Case, `_` and `-` do not count (`maxSessions` is near to `max_sessions`);
/// otherwise one edit in three letters may be off, or one word is part of the other.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no typing errors, and comparing them would cost squares.
    if word.len() > 64 {
        return None;
    }
    let plain = plain(word);
    candidates
        .into_iter()
        .filter_map(|candidate| distance(&plain, candidate).map(|d| (d, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn distance(word: &str, candidate: &str) -> Option<usize> {
    let candidate = plain(candidate);
    let distance = damerau_levenshtein(word, &candidate);
    let allowed = (word.len().max(candidate.len()) / 3).max(1);
    let contained =
        word.len() >= 3 && (candidate.contains(word) || word.contains(candidate.as_str()));
    (distance <= allowed || contained).then_some(distance)
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 5] = ["command", "args", "work_dir", "env", "spawn_policy"];

    #[test]
    fn finds_what_was_meant() {
        for (word, meant) in [
            ("comand", Some("command")),
            ("cmd", None),
            ("workdir", Some("work_dir")),
            ("workDir", Some("work_dir")),
            ("spawn-policy", Some("spawn_policy")),
            ("spawn", Some("spawn_policy")),
            ("ebv", Some("env")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, KEYS), meant, "{word}");
        }
    }

    #[test]
    fn endless_words_cost_nothing() {
        assert_eq!(nearest(&"a".repeat(1 << 20), KEYS), None);
    }
}
