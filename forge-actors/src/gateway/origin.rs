//! Which pages may make a browser send a request that can change something, or open a WebSocket.
//!
//! A browser sends a simple request of any page (WHATWG Fetch) and the handshake of a WebSocket without
//! asking; CORS only keeps the answer from the page. Such a request reaches nodes that the page's author
//! cannot reach, behind a firewall or on the loopback. So a page of this server is let in, a page of a listed
//! origin, and a program that is no browser; every other page is refused.

use hyper::header::{HOST, HeaderMap, ORIGIN};

use super::cors::{Cors, refused_origin};
use super::headers::{SEC_FETCH_SITE, single};
use crate::kernel::fault::Fault;

/// Refuses the request of a page that may not call this server.
///
/// # Errors
/// `PERMISSION_DENIED` for a page of another origin that is not listed.
pub(super) fn check(cors: &Cors, headers: &HeaderMap) -> Result<(), Fault> {
    if is_allowed(cors, headers) { Ok(()) } else { Err(refused_origin()) }
}

/// A page of this server is known by its origin, which is this host, or by `Sec-Fetch-Site`: a proxy in front
/// of this server may have changed the host. `none` is a request of the user, of no page. A program that is
/// no browser sends neither header.
fn is_allowed(cors: &Cors, headers: &HeaderMap) -> bool {
    let text = |name| single(headers, name).and_then(|value| value.to_str().ok());
    let is_own = matches!(
        (text(&ORIGIN), text(&HOST)),
        (Some(origin), Some(host)) if is_same_origin(origin, host)
    );
    let says_own = matches!(text(&SEC_FETCH_SITE), Some("same-origin" | "none"));
    let is_program = !headers.contains_key(ORIGIN) && !headers.contains_key(SEC_FETCH_SITE);
    is_own || says_own || is_program || cors.allows(headers)
}

/// A proxy may have ended TLS in front of this server, so the scheme is not compared. It only says which port
/// is meant when none is written.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let (authority, default_port) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(authority), _) => (authority, ":443"),
        (None, Some(authority)) => (authority, ":80"),
        (None, None) => return false,
    };
    let bare = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn check_page(origins: &[&'static str], host: &'static str, site: Option<&'static str>, expected: bool) {
        let cors = Cors::new(&["https://app.example.com".to_owned(), "tauri://localhost".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        if let Some(site) = site {
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
        }
        assert_eq!(is_allowed(&cors, &headers), expected, "{origins:?} to {host}, {site:?}");
    }

    #[test]
    fn pages_of_this_server_and_of_listed_origins_are_let_in() {
        check_page(&[], "a.test", None, true);
        check_page(&["http://a.test"], "a.test", None, true);
        check_page(&["http://A.test"], "a.TEST:80", None, true);
        check_page(&["https://a.test"], "a.test:443", None, true);
        check_page(&["http://a.test:8080"], "a.test:8080", None, true);
        check_page(&["http://[::1]:8080"], "[::1]:8080", None, true);
        check_page(&["https://app.example.com"], "a.test", None, true);
        check_page(&["tauri://localhost"], "a.test", None, true);
        check_page(&["http://a.test:8080"], "a.test", None, false);
        check_page(&["http://a.test"], "a.test:443", None, false);
        check_page(&["http://evil.test"], "a.test", None, false);
        check_page(&["http://a.test.evil.test"], "a.test", None, false);
        check_page(&["https://evil-app.example.com"], "a.test", None, false);
        check_page(&["null"], "a.test", None, false);
        check_page(&["null"], "null", None, false);
        check_page(&["http://"], "", None, false);
        check_page(&["http://a.test", "http://evil.test"], "a.test", None, false);
        check_page(&["https://app.example.com", "https://app.example.com"], "a.test", None, false);
    }

    #[test]
    fn the_browser_says_which_pages_are_of_this_server() {
        check_page(&["http://localhost:5173"], "127.0.0.1:8080", Some("same-origin"), true);
        check_page(&[], "a.test", Some("none"), true);
        check_page(&["https://app.example.com"], "a.test", Some("cross-site"), true);
        check_page(&[], "a.test", Some("cross-site"), false);
        check_page(&[], "a.test", Some("same-site"), false);
        check_page(&["http://evil.test"], "a.test", Some("cross-site"), false);
        check_page(&["null"], "a.test", Some("cross-site"), false);
        check_page(&[], "a.test", Some("something new"), false);
    }
}
