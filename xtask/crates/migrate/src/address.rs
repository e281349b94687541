//! Keeps credentials out of addresses: the lock, commits, output and process list are public.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use xtask_core::git::Call;
use xtask_core::outcome::UsageError;

/// The address, in the lock, of the repository that holds the tool.
pub const OWN_ADDRESS: &str = "xtask:";

#[derive(Debug)]
pub enum UpstreamPlace {
    Path(PathBuf),
    Url(String),
}

/// The address without credentials. The user goes too, as it may be a token, except for ssh
/// (`ssh://git@host`); http and https also lose what follows the path.
pub fn without_credentials(address: &str) -> String {
    let parts = Parts::of(address);
    let name = match parts.user {
        Some(user) if parts.is_ssh() => {
            format!("{}@", user.split(':').next().unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("{}{name}{}", parts.scheme, parts.place())
}

/// What git gets: an address without credentials, and the credentials apart from it.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub url: String,
    settings: Vec<(String, String)>,
    environment: Vec<(&'static str, OsString)>,
}

/// The variables in which git's credential helper finds user name and password.
const NAME: &str = "XTASK_UPSTREAM_NAME";
const PASSWORD: &str = "XTASK_UPSTREAM_PASSWORD";

impl Login {
    /// Separates the credentials of a URL from its address.
    pub fn of(url: &str) -> Self {
        let parts = Parts::of(url);
        let mut login = Self {
            url: without_credentials(url),
            ..Self::default()
        };
        let Some(user) = parts.user.filter(|_| parts.is_http()) else {
            return login;
        };
        let of_host = format!("credential.{}{}", parts.scheme, parts.host());
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let (name, password) = (decoded(name), decoded(password));
        // A line break would let the value answer as another field.
        if name.iter().chain(&password).any(u8::is_ascii_control) {
            return login;
        }
        if user.contains(':') {
            // Not a header: git would send one along to wherever the host redirects.
            let helper = format!(
                "!f() {{ test \"$1\" != get || printf 'username=%s\\npassword=%s\\n' \"${NAME}\" \
                 \"${PASSWORD}\"; }}; f"
            );
            // The empty entry first, or the user's helpers would be asked and store it.
            login.settings = [String::new(), helper]
                .map(|helper| (format!("{of_host}.helper"), helper))
                .into();
            login.environment = vec![
                (NAME, OsString::from_vec(name)),
                (PASSWORD, OsString::from_vec(password)),
            ];
        } else {
            let name = String::from_utf8_lossy(&name).into_owned();
            login.settings = vec![(format!("{of_host}.username"), name)];
        }
        login
    }

    /// A call of git that can log in.
    pub fn call(&self, call: Call) -> Call {
        let call = call.config_by_environment(&self.settings);
        let variables = self.environment.iter();
        variables.fold(call, |call, (name, value)| call.env(name, value))
    }
}

/// Refuses a secret in a place where git would pass it to ssh or to a server's log.
pub fn check_no_secrets(address: &str) -> Result<(), UsageError> {
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

/// An address: the scheme up to `//`, the credentials, and the rest.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(address: &'a str) -> Self {
        let is_web = |at: &usize| {
            let scheme = address[..*at].to_ascii_lowercase();
            matches!(&*scheme, "http" | "https")
        };
        let start = if let Some(at) = address.find("://") {
            at + "://".len()
        } else if let Some(at) = address.find(':').filter(is_web) {
            // One slash short of a URL: a typo.
            address.len() - address[at + 1..].trim_start_matches('/').len()
        } else {
            0
        };
        let (scheme, after) = address.split_at(start);
        let ends = |text: &str| text.find(['/', '?', '#']).unwrap_or(text.len());
        let mut end = ends(after);
        // A password may hold a slash that should have been written as %2F.
        let port = after[..end].split_once(':').map(|(_, port)| port);
        let is_password = port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()));
        if is_password
            && !scheme.is_empty()
            && !after[..end].contains('@')
            && let Some(at) = after.rfind('@')
        {
            end = at + ends(&after[at..]);
        }
        let (user, rest) = match after[..end].rfind('@') {
            Some(at) => (Some(&after[..at]), &after[at + 1..]),
            None => (None, after),
        };
        Self { scheme, user, rest }
    }

    /// Also `git+https://` and `persistent-https::https://`.
    fn is_http(&self) -> bool {
        self.scheme.to_ascii_lowercase().contains("http")
    }

    /// `git@host:path` has no scheme.
    fn is_ssh(&self) -> bool {
        self.scheme.is_empty() || self.scheme.to_ascii_lowercase().contains("ssh")
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
            ("ftp://bob:s3cret@host/x", "ftp://host/x"),
            ("git+https://ghp_token@host/x?t=u", "git+https://host/x"),
            ("git+ssh://git@host/x", "git+ssh://git@host/x"),
            ("a::https://ghp_token@host/x", "a::https://host/x"),
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
            assert!(check_no_secrets(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn git_gets_them_for_this_host_alone() {
        let login = Login::of("https://bob:s3c%40ret@host:8443/x.git");
        assert_eq!(
            login.environment,
            [(NAME, "bob".into()), (PASSWORD, "s3c@ret".into())]
        );
        for (key, value) in login.settings {
            assert_eq!(key, "credential.https://host:8443.helper");
            assert!(!value.contains("s3c"), "{value}");
        }
        assert_eq!(
            Login::of("https://bob@host/x.git").settings,
            [(
                "credential.https://host.username".to_owned(),
                "bob".to_owned()
            )]
        );
        for url in [
            "ssh://git:s3cret@host/x",
            "https://bob:a%0aurl=https://other@host/x",
        ] {
            let login = Login::of(url);
            assert!(login.settings.is_empty() && login.environment.is_empty());
        }
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
            let refused = check_no_secrets(address).unwrap_err().to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
