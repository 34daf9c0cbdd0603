//! Which proxy the environment names for a service: `HTTPS_PROXY` or
//! `HTTP_PROXY` by its scheme, unless `NO_PROXY` excepts it. What runs on this
//! machine is never asked through a proxy.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use super::failure::Failure;

/// The proxy for `url`, from this process's environment.
///
/// # Errors
/// [`Failure::Request`] where the environment names what cannot be used.
pub fn from_environment(url: &str) -> Result<Option<Proxy>, Failure> {
    choose(url, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn choose(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, Failure> {
    // What is no URL is told when the request is made.
    let Ok(uri) = url.parse::<Uri>() else { return Ok(None) };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let names = match uri.scheme_str() {
        Some("https") => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let Some((name, proxy)) = names.iter().find_map(|name| Some((name, variable(name)?))) else {
        return Ok(None);
    };
    let excepted = variable("NO_PROXY").or_else(|| variable("no_proxy")).unwrap_or_default();
    if is_loopback(host) || is_excepted(host, uri.port_u16(), &excepted) {
        return Ok(None);
    }
    // The value may hold a password: it is never told.
    let wrong = |what: &str| Failure::Request(format!("the variable {name} {what}"));
    let proxy = Proxy::new(proxy.trim()).map_err(|_| wrong("holds no proxy's URL"))?;
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(Some(proxy)),
        _ => Err(wrong("names a SOCKS proxy, which is not supported; use an HTTP proxy")),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether one of the comma-separated entries covers the host: a name and what
/// lies beneath it (with or without a leading dot), an address, or `*`; each
/// perhaps with a port.
fn is_excepted(host: &str, port: Option<u16>, entries: &str) -> bool {
    entries.split(',').map(str::trim).any(|entry| {
        let (name, entry_port) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
                (name, digits.parse::<u16>().ok())
            }
            _ => (entry, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let name = name.trim_start_matches('*').trim_start_matches('.');
        if entry_port.is_some() && entry_port != port {
            return false;
        }
        if name.is_empty() {
            return entry.starts_with('*');
        }
        host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_of(url: &str, environment: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        choose(url, variable).unwrap().map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        let environment = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2")];
        assert_eq!(proxy_of("https://x/", &environment).as_deref(), Some("s"));
        assert_eq!(proxy_of("http://x/", &environment).as_deref(), Some("p"));
        assert_eq!(proxy_of("http://x/", &[]), None);
    }

    #[test]
    fn loopback_is_never_proxied() {
        let environment = [("HTTP_PROXY", "http://p:2")];
        for host in
            ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"]
        {
            assert_eq!(proxy_of(&format!("http://{host}:80/"), &environment), None, "{host}");
        }
    }

    #[test]
    fn exceptions_cover_names_beneath_them() {
        let excepted = |host, port, entries| is_excepted(host, port, entries);
        assert!(excepted("a.example.com", None, "x, example.com"));
        assert!(excepted("example.com", None, ".example.com"));
        assert!(excepted("a.example.com", None, "*.example.com"));
        assert!(excepted("anything", None, "*"));
        assert!(excepted("10.0.0.1", Some(8080), "10.0.0.1:8080"));
        assert!(excepted("fd00::1", None, "fd00::1"));
        assert!(!excepted("badexample.com", None, "example.com"));
        assert!(!excepted("10.0.0.1", Some(80), "10.0.0.1:8080"));
        assert!(!excepted("example.com", None, " ,"));
    }

    #[test]
    fn a_socks_proxy_is_refused_without_its_password() {
        let error = choose("http://x/", |name| {
            (name == "HTTP_PROXY").then(|| "socks5://u:secret@p:1".to_owned())
        })
        .unwrap_err();
        let told = error.told("http://x/", std::time::Duration::ZERO);
        assert!(told.contains("HTTP_PROXY") && !told.contains("secret"), "{told}");
    }
}
