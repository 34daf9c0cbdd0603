//! The proxy the environment names for a service, as ureq wants it. Which one
//! that is, is decided as for the hub.

use ureq::Proxy;
use ureq::http::Uri;

use super::failure::Failure;
use crate::hub::proxy::ProxySettings;

/// The proxy for `url`, if there is to be one.
///
/// # Errors
/// [`Failure::Request`] where the environment names what cannot be used.
pub fn of(settings: &ProxySettings, url: &str) -> Result<Option<Proxy>, Failure> {
    // What is no URL is told when the request is made.
    let Ok(uri) = url.parse::<Uri>() else { return Ok(None) };
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = settings
        .address_for(tls, host, port)
        .map_err(|error| Failure::Request(error.to_string()))?;
    // The address may hold a password: it is never told.
    let unusable = |_| Failure::Request("the environment's proxy has an unusable address".into());
    address.map(|(address, _)| Proxy::new(address.expose()).map_err(unusable)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> ProxySettings {
        ProxySettings::from_lookup(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn scheme_and_exceptions_decide() {
        let settings = settings(&[
            ("HTTPS_PROXY", "http://me:p%40ss@s:1"),
            ("HTTP_PROXY", "p:2"),
            ("NO_PROXY", "near:8080,[fd12::1]"),
        ]);
        for (url, proxy) in [
            ("https://far/", Some("s")),
            ("http://far/", Some("p")),
            ("http://near/", Some("p")),
            ("http://near:8080/", None),
            ("http://[fd12::1]/", None),
            ("http://127.0.0.1:8080/", None),
            ("https://[::1]/", None),
        ] {
            let found = of(&settings, url).unwrap();
            assert_eq!(found.as_ref().map(Proxy::host), proxy, "{url}");
        }
        let proxy = of(&settings, "https://far/").unwrap().unwrap();
        assert_eq!((proxy.username(), proxy.password()), (Some("me"), Some("p@ss")));
    }

    #[test]
    fn a_socks_proxy_is_refused_without_its_password() {
        let error = of(&settings(&[("HTTP_PROXY", "socks5://u:hunter2@p:1")]), "http://x/");
        let told = error.unwrap_err().told("http://x/", std::time::Duration::ZERO);
        assert!(told.contains("HTTP_PROXY") && !told.contains("hunter2"), "{told}");
    }
}
