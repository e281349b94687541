//! An address of an upstream without what logs somebody in: the lock, the commits, everything
//! printed and the list of processes are for all to read.

use xtask_core::outcome::UsageError;

/// The address as it may be recorded and shown. Of http and https it loses the user as well, whose
/// name may be a token, and what follows the path; elsewhere the name is part of the place
/// (`ssh://git@host`) and stays.
pub fn without_credentials(address: &str) -> String {
    let parts = Parts::of(address);
    let name = match parts.user() {
        Some(user) if !parts.is_http() => {
            format!("{}@", user.split(':').next().unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("{}{name}{}", parts.scheme, parts.place())
}

/// What git is given: an address that is fit to be seen, and the settings that log in.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub url: String,
    pub settings: Vec<(String, String)>,
}

impl Login {
    /// Takes a URL apart.
    pub fn of(url: &str) -> Self {
        let parts = Parts::of(url);
        let base = format!("{}{}", parts.scheme, parts.host());
        let settings = match parts.user().filter(|_| parts.is_http()) {
            Some(user) => vec![if let Some((name, password)) = user.split_once(':') {
                let login = [&*decoded(name), b":", &*decoded(password)].concat();
                let header = format!("Authorization: Basic {}", base64(&login));
                (format!("http.{base}/.extraHeader"), header)
            } else {
                let name = String::from_utf8_lossy(&decoded(user)).into_owned();
                (format!("credential.{base}.username"), name)
            }],
            None => Vec::new(),
        };
        let url = without_credentials(url);
        Self { url, settings }
    }
}

/// Refuses addresses in which a secret stands where git would hand it to ssh or to a web server's
/// log.
pub fn expect_plain(address: &str) -> Result<(), UsageError> {
    let parts = Parts::of(address);
    let shown = without_credentials(address);
    if parts.is_http() && parts.place().len() < parts.rest.len() {
        return Err(UsageError(format!(
            "upstream {shown:?} has a query or a fragment, which no repository's address has; \
             leave it out"
        )));
    }
    if shown != address && !address.contains("://") {
        return Err(UsageError(format!(
            "upstream {shown:?} has a user and password, but no `https://` before them"
        )));
    }
    Ok(())
}

/// An address: the scheme up to `//`, what logs in, and the rest.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(address: &'a str) -> Self {
        let slashes = |at: usize| at + address[at..].bytes().take_while(|b| *b == b'/').count();
        let web = address
            .find(':')
            .filter(|&at| matches!(&*address[..at].to_ascii_lowercase(), "http" | "https"));
        let start = match (address.find("://"), web) {
            (Some(at), _) => at + "://".len(),
            // With a slash too few it is no address of git's, but of somebody who means one.
            (None, Some(at)) => slashes(at + 1),
            (None, None) => 0,
        };
        let (scheme, after) = address.split_at(start);
        let ends = |text: &str| text.find(['/', '?', '#']).unwrap_or(text.len());
        let mut end = ends(after);
        // A password may hold a slash that should have been written as %2F.
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        if !after[..end].contains('@')
            && !scheme.is_empty()
            && after[..end]
                .split_once(':')
                .is_some_and(|(_, port)| !is_port(port))
            && let Some(at) = after.rfind('@')
        {
            end = at + ends(&after[at..]);
        }
        match after[..end].rfind('@') {
            Some(at) => Self {
                scheme,
                user: Some(&after[..at]),
                rest: &after[at + 1..],
            },
            None => Self {
                scheme,
                user: None,
                rest: after,
            },
        }
    }

    fn is_http(&self) -> bool {
        self.scheme.to_ascii_lowercase().starts_with("http")
    }

    /// What logs in.
    fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// Host and path. What follows may hold a token, and means nothing to git.
    fn place(&self) -> &'a str {
        let end = self.rest.find(['?', '#']).filter(|_| self.is_http());
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    fn host(&self) -> &'a str {
        self.place().split('/').next().unwrap_or_default()
    }
}

/// Text of a URL without its escapes.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('%') {
        out.extend_from_slice(plain.as_bytes());
        let byte = escape
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { &escape[2..] } else { escape };
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, at| {
            number << 8 | usize::from(group.get(at).copied().unwrap_or_default())
        });
        for digit in 0..4 {
            out.push(if digit <= group.len() {
                char::from(DIGITS[number >> (18 - 6 * digit) & 63])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logs_in_is_left_out() {
        for (address, shown) in [
            ("http://bob:s3cret@host/x.git", "http://host/x.git"),
            ("https://bob:p@ss@host:8443/x", "https://host:8443/x"),
            ("https://bob:pa/ss@host/x", "https://host/x"),
            ("https://ghp_token@host/x.git", "https://host/x.git"),
            ("HTTPS://:token@host", "HTTPS://host"),
            ("https://host/x?private_token=t", "https://host/x"),
            ("https://host/x#token", "https://host/x"),
            ("https:/bob:token@host/x", "https:/host/x"),
            ("https:bob:token@host/x", "https:host/x"),
            ("bob:token@host:x", "bob@host:x"),
            ("ssh://git:s3cret@host:22/x", "ssh://git@host:22/x"),
            ("ftp://bob:s3cret@host/x", "ftp://bob@host/x"),
        ] {
            assert_eq!(without_credentials(address), shown);
        }
    }

    #[test]
    fn nothing_else_is() {
        for address in [
            "https://host/x@y.git",
            "https://host/a:b@c",
            "https://host:8443/a:b@c",
            "ssh://git@host/x",
            "git@host:owner/x.git",
            "file:///srv/a@b:c/x",
            "file:///srv/a?b#c",
            "../up@stream",
            "/srv/a:b@c",
            "xtask:",
        ] {
            assert_eq!(without_credentials(address), address);
            assert!(expect_plain(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn git_gets_them_by_its_settings() {
        let settings = |url: &str| Login::of(url).settings;
        assert_eq!(
            settings("https://bob:s3c%40ret@host:8443/x.git"),
            [(
                "http.https://host:8443/.extraHeader".to_owned(),
                "Authorization: Basic Ym9iOnMzY0ByZXQ=".to_owned()
            )]
        );
        assert_eq!(
            settings("https://bob@host/x.git"),
            [(
                "credential.https://host.username".to_owned(),
                "bob".to_owned()
            )]
        );
        assert_eq!(settings("ssh://git:s3cret@host/x"), []);
        assert_eq!(Login::of("ssh://git:s3cret@host/x").url, "ssh://git@host/x");
    }

    #[test]
    fn secrets_in_other_places_are_refused_without_them() {
        for address in [
            "https://host/x?private_token=s3cret",
            "https://host/x#s3cret",
            "https:/bob:s3cret@host/x",
            "bob:s3cret@host:x",
        ] {
            let refused = expect_plain(address).unwrap_err().to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn base64_is_what_others_make_of_it() {
        for (text, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(text.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }
}
