//! Keeps credentials out of addresses: the lock, commits, output and process list are public.

use std::path::PathBuf;

use xtask_core::outcome::UsageError;

/// The address, in the lock, of the repository that holds the tool.
pub const OWN_ADDRESS: &str = "xtask:";

/// Where the official repository is.
pub const OFFICIAL_ADDRESS: &str = "https://github.com/runpod-workers/worker-sglang";

#[derive(Debug)]
pub enum UpstreamPlace {
    Path(PathBuf),
    Url(String),
}

/// The address without credentials. The user goes too, as it may be a token, except for ssh
/// (`ssh://git@host`); http and https also lose what follows the path.
pub fn without_credentials(address: &str) -> String {
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
    let (scheme, rest) = address.split_at(start);
    let kind = scheme.to_ascii_lowercase();
    let ends = |text: &str| text.find(['/', '?', '#']).unwrap_or(text.len());
    let mut end = ends(rest);
    // A password may hold a slash that should have been written as %2F.
    let port = rest[..end].split_once(':').map(|(_, port)| port);
    let is_password = port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()));
    if is_password
        && !scheme.is_empty()
        && !rest[..end].contains('@')
        && let Some(at) = rest.rfind('@')
    {
        end = at + ends(&rest[at..]);
    }
    let (host, mut path) = rest.split_at(end);
    // Also `git+https://`. What follows the path may hold a token, and means nothing to git.
    if kind.contains("http") {
        path = path.split(['?', '#']).next().unwrap_or_default();
    }
    let Some((login, host)) = host.rsplit_once('@') else {
        return format!("{scheme}{host}{path}");
    };
    // `git@host:path` has no scheme.
    let is_ssh = kind.is_empty() || kind.contains("ssh");
    let user = login.split(':').next().filter(|_| is_ssh);
    let user = user.map_or_else(String::new, |user| format!("{user}@"));
    format!("{scheme}{user}{host}{path}")
}

/// Refuses credentials: git would pass them to ssh, to a server's log or to the process list, and
/// asks its own helper for them.
pub fn check_no_credentials(address: &str) -> Result<(), UsageError> {
    let shown = without_credentials(address);
    if shown == address {
        return Ok(());
    }
    Err(UsageError(format!(
        "upstream {shown:?} was named with a user, a password or a query; leave that out: git gets \
         what logs in from its credential helper"
    )))
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
            assert!(check_no_credentials(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for address in [
            "https://bob:s3cret@host/x",
            "https://s3cret@host/x",
            "ssh://git:s3cret@host/x",
            "https://host/x?private_token=s3cret",
            "https://host/x#s3cret",
            "https:/bob:s3cret@host/x",
            "bob:s3cret@host:x",
        ] {
            let refused = check_no_credentials(address).unwrap_err().to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
