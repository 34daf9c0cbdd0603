//! Where a redirect leads, and whether that is still the same origin.
//!
//! Pure functions on URIs (RFC 3986, section 5.2; RFC 6454). They know nothing
//! of requests.

use ureq::http::Uri;
use ureq::http::uri::{Parts, PathAndQuery, Scheme};

/// A redirect's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Within the origin of the request; its authority is the request's own, so
    /// that configured credentials stay in force.
    Same(Uri),
    /// Somewhere else, shown without credentials.
    Elsewhere(String),
    /// Not a reference to anything.
    Unreadable,
}

/// Resolves a `Location` against the URI it answers.
pub fn redirect(base: &Uri, location: &str) -> Target {
    let location = location.trim().split('#').next().unwrap_or_default();
    if let Some(elsewhere) = absolute(base, location) {
        let Ok(uri) = elsewhere.parse::<Uri>() else { return Target::Unreadable };
        if uri.host().is_none() {
            return Target::Unreadable;
        }
        if !same_origin(base, &uri) {
            return Target::Elsewhere(shown(&uri));
        }
        return within(base, uri.path(), uri.query());
    }
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (location, None),
    };
    if path.is_empty() {
        return within(base, base.path(), query.or(base.query()));
    }
    if path.starts_with('/') {
        return within(base, path, query);
    }
    let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    within(base, &format!("{directory}/{path}"), query)
}

/// The URI for people: without user information, and without the query, which
/// may hold a key.
pub fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if uri.query().is_some() { "?…" } else { "" };
    format!("{scheme}://{host}{port}{}{query}", uri.path())
}

/// Same scheme, host and port, with the schemes' default ports filled in.
fn same_origin(a: &Uri, b: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b)
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => Some(80),
        Some(scheme) if *scheme == Scheme::HTTPS => Some(443),
        _ => None,
    })
}

/// The location with its scheme, where it names an authority of its own.
fn absolute(base: &Uri, location: &str) -> Option<String> {
    if location.starts_with("//") {
        return Some(format!("{}:{location}", base.scheme_str()?));
    }
    let (scheme, _) = location.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then(|| location.to_owned())
}

fn within(base: &Uri, path: &str, query: Option<&str>) -> Target {
    let path = without_dots(path);
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let Ok(path_and_query) = text.parse::<PathAndQuery>() else { return Target::Unreadable };
    let mut parts = Parts::default();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).map_or(Target::Unreadable, Target::Same)
}

/// `remove_dot_segments` of RFC 3986.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    // A path begins with a slash: its first segment is empty.
    segments.next();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(base: &str, location: &str) -> Target {
        redirect(&base.parse().unwrap(), location)
    }

    fn same(uri: &str) -> Target {
        Target::Same(uri.parse().unwrap())
    }

    #[test]
    fn references_are_resolved_as_the_rfc_says() {
        let base = "http://h:8080/a/b/c?q=1";
        for (location, expected) in [
            ("/x", "http://h:8080/x"),
            ("x", "http://h:8080/a/b/x"),
            ("../x?y=2", "http://h:8080/a/x?y=2"),
            ("../../../x", "http://h:8080/x"),
            ("./", "http://h:8080/a/b/"),
            ("?y", "http://h:8080/a/b/c?y"),
            ("", "http://h:8080/a/b/c?q=1"),
            ("//h:8080/z", "http://h:8080/z"),
            ("http://H:8080/z#f", "http://h:8080/z"),
        ] {
            assert_eq!(to(base, location), same(expected), "{location}");
        }
    }

    #[test]
    fn default_ports_are_the_same_origin_and_others_are_not() {
        assert_eq!(to("https://h/a", "https://h:443/b"), same("https://h/b"));
        for location in ["http://h/b", "https://h:444/b", "https://g/b", "//g/b", "ftp://h/b"] {
            assert!(matches!(to("https://h/a", location), Target::Elsewhere(_)), "{location}");
        }
    }

    #[test]
    fn credentials_stay_with_the_origin_and_out_of_sight() {
        assert_eq!(to("http://u:p@h/a", "http://h/b"), same("http://u:p@h/b"));
        assert_eq!(
            to("http://u:p@h/a", "http://v:w@g/b?key=1"),
            Target::Elsewhere("http://g/b?…".into())
        );
        assert_eq!(shown(&"https://u:p@h:1/a?k=v".parse().unwrap()), "https://h:1/a?…");
    }

    #[test]
    fn what_is_no_reference_is_said_to_be_none() {
        for location in ["http:///x", "http://", "/a b\u{7f}", "http://[::1"] {
            assert_eq!(to("http://h/a", location), Target::Unreadable, "{location}");
        }
    }
}
