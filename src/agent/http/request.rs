//! The request of a turn: method, headers and the content as its body.
//!
//! What the hub sends (ids, content) can fill values, never add a header or
//! change the URL.

use std::fmt::Write;
use std::sync::Arc;

use ureq::http::header::{self, HeaderName, HeaderValue};
use ureq::http::{HeaderMap, Method, Request, StatusCode, Uri};

use super::failure::Failure;
use crate::config::Http;

/// Ids of who asks, told to the service in `X-Amurg-*` headers.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The hub's of the session.
    pub session: Arc<str>,
    /// Whose session it is.
    pub user: Arc<str>,
    /// The endpoint's.
    pub endpoint: String,
    /// The message's that is answered.
    pub message: Arc<str>,
}

/// Everything of a request but its body. Survives redirects.
#[derive(Clone, Debug)]
pub struct Head {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    with_body: bool,
}

impl Head {
    /// The request the configuration describes.
    ///
    /// # Errors
    /// [`Failure::Request`] where the configuration makes none.
    pub fn new(http: &Http, asker: &Asker) -> Result<Self, Failure> {
        let uri: Uri = http
            .base_url
            .parse()
            .map_err(|error| Failure::Request(format!("`http.base_url` is no URL ({error})")))?;
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            let what = "`http.base_url` must begin with http:// or https:// and name a host";
            return Err(Failure::Request(what.into()));
        }
        let method = Method::from_bytes(http.method.as_bytes())
            .map_err(|_| Failure::Request(format!("`http.method` {:?} is none", http.method)))?;
        Ok(Self { method, uri, headers: headers(http, asker)?, with_body: true })
    }

    /// Where it goes.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The request with `content` as its body, verbatim.
    pub fn with_body<'a>(&self, content: &'a str) -> Result<Request<&'a str>, Failure> {
        self.build(content)
    }

    /// The request without a body.
    pub fn without_body(&self) -> Result<Request<()>, Failure> {
        self.build(())
    }

    /// Whether the body goes with it: until a redirect turns it into a GET.
    pub fn has_body(&self) -> bool {
        self.with_body
    }

    /// The request after a redirect with `status` to `uri`.
    pub fn redirected(mut self, status: StatusCode, uri: Uri) -> Self {
        self.uri = uri;
        // As browsers do it: 303 asks for a GET; 301 and 302 do so for a POST.
        let to_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if to_get {
            self.method = Method::GET;
            self.with_body = false;
            self.headers.remove(header::CONTENT_TYPE);
        }
        self
    }

    fn build<T>(&self, body: T) -> Result<Request<T>, Failure> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.uri.clone())
            .body(body)
            .map_err(|error| Failure::Request(error.to_string()))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

fn headers(http: &Http, asker: &Asker) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        // The value may be a key: an error names the header only.
        let wrong = || Failure::Request(format!("`http.headers` has an invalid {name:?}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
        // The body's length is the content's, whatever the file says.
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
            headers.append(name, value);
        }
    }
    let defaults = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        // The answer is forwarded as it comes, so it must not come compressed.
        (header::ACCEPT_ENCODING, "identity"),
        (header::USER_AGENT, concat!("amurg-runtime/", env!("CARGO_PKG_VERSION"))),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let asked_by: [(&'static str, &str); 4] = [
        ("x-amurg-session-id", &asker.session),
        ("x-amurg-user-id", &asker.user),
        ("x-amurg-endpoint-id", &asker.endpoint),
        ("x-amurg-message-id", &asker.message),
    ];
    for (name, value) in asked_by {
        let value = HeaderValue::from_str(&visible(value))
            .map_err(|_| Failure::Request(format!("{name} has an invalid value")))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// An id as visible ASCII: every other byte, and `%`, becomes `%XX`, so that no
/// two ids look the same.
fn visible(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(headers: &[(&str, &str)]) -> Http {
        Http {
            base_url: "http://127.0.0.1:1/chat?key=1".into(),
            method: "POST".into(),
            headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            timeout: std::time::Duration::from_secs(1),
            tls_ca_file: None,
        }
    }

    fn asker(session: &str) -> Asker {
        Asker {
            session: session.into(),
            user: "u".into(),
            endpoint: "e".into(),
            message: "m".into(),
        }
    }

    fn value(request: &Request<&str>, name: &str) -> String {
        request.headers()[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_content_is_plain_text_unless_configured() {
        let head = Head::new(&http(&[]), &asker("s")).unwrap();
        let request = head.with_body("hi").unwrap();
        assert_eq!(value(&request, "content-type"), "text/plain; charset=utf-8");
        assert_eq!(value(&request, "accept-encoding"), "identity");
        let json = http(&[("content-TYPE", "application/json"), ("Content-Length", "9")]);
        let request = Head::new(&json, &asker("s")).unwrap().with_body("hi").unwrap().clone();
        assert_eq!(value(&request, "content-type"), "application/json");
        assert!(!request.headers().contains_key("content-length"));
    }

    #[test]
    fn a_hostile_id_stays_one_value() {
        let hostile = "a\r\nX-Admin: 1\u{e9}%41 b";
        let ours = http(&[("X-Amurg-Session-Id", "forged")]);
        let request = Head::new(&ours, &asker(hostile)).unwrap().with_body("").unwrap().clone();
        assert_eq!(value(&request, "x-amurg-session-id"), "a%0D%0AX-Admin:%201%C3%A9%2541%20b");
        assert_eq!(request.headers().get_all("x-amurg-session-id").iter().count(), 1);
        assert!(!request.headers().contains_key("x-admin"));
    }

    #[test]
    fn an_invalid_header_is_told_without_its_value() {
        let error = Head::new(&http(&[("X-Key", "secret\n")]), &asker("s")).unwrap_err();
        let told = error.told("http://h", std::time::Duration::from_secs(1));
        assert!(told.contains("X-Key") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn a_post_becomes_a_get_where_browsers_do_so() {
        for (status, method) in
            [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
        {
            let head = Head::new(&http(&[]), &asker("s")).unwrap();
            let uri = "http://127.0.0.1:1/b".parse().unwrap();
            let head = head.redirected(StatusCode::from_u16(status).unwrap(), uri);
            assert_eq!(head.method, method, "{status}");
            assert_eq!(head.has_body(), method == "POST", "{status}");
        }
    }
}
