//! An address of an upstream without what logs somebody in: the lock, the commits and everything
//! printed are for all to read.

/// The address as it may be recorded and shown. Of http and https it loses the user as well, whose
/// name may be a token; elsewhere the name is part of the place (`ssh://git@host`) and stays.
pub fn without_credentials(address: &str) -> String {
    match credentials(address) {
        Some(Credentials {
            before, kept, rest, ..
        }) => format!("{before}{kept}{rest}"),
        None => address.to_owned(),
    }
}

/// A text, such as git's own words, without the credentials of an address.
pub fn redacted(text: &str, address: &str) -> String {
    match credentials(address) {
        Some(Credentials { given, kept, .. }) => text.replace(given, kept),
        None => text.to_owned(),
    }
}

/// An address around what is to be left out of it.
struct Credentials<'a> {
    /// The scheme, with `://`.
    before: &'a str,
    /// What stands before the host.
    given: &'a str,
    /// What of that may stay.
    kept: &'a str,
    /// What follows.
    rest: &'a str,
}

fn credentials(address: &str) -> Option<Credentials<'_>> {
    let start = address.find("://")? + "://".len();
    let (before, after) = address.split_at(start);
    let authority = after.find(['/', '?', '#']).unwrap_or(after.len());
    let host = after[..authority].rfind('@')? + 1;
    let given = &after[..host];
    let is_http = before.to_ascii_lowercase().starts_with("http");
    let kept = if is_http {
        ""
    } else {
        &given[..given.find(':')?]
    };
    // A name that stays keeps its `@`.
    let at = usize::from(!kept.is_empty());
    Some(Credentials {
        before,
        given: &given[..given.len() - at],
        kept,
        rest: &after[host - at..],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logs_in_is_left_out() {
        for (address, shown) in [
            ("http://bob:s3cret@host/x.git", "http://host/x.git"),
            (
                "https://bob:p@ss@host:8443/x?y#z",
                "https://host:8443/x?y#z",
            ),
            ("https://ghp_token@host/x.git", "https://host/x.git"),
            ("HTTPS://:token@host", "HTTPS://host"),
            ("ssh://git:s3cret@host:22/x", "ssh://git@host:22/x"),
            ("ftp://bob:s3cret@host/x", "ftp://bob@host/x"),
        ] {
            assert_eq!(without_credentials(address), shown);
        }
    }

    #[test]
    fn all_else_stays() {
        for address in [
            "https://host/x@y.git",
            "https://host/a:b@c",
            "ssh://git@host/x",
            "git@host:owner/x.git",
            "file:///srv/a@b:c/x",
            "../up@stream",
            "xtask:",
        ] {
            assert_eq!(without_credentials(address), address);
            assert_eq!(redacted(address, address), address);
        }
    }

    #[test]
    fn words_of_git_lose_them_too() {
        let text = "unable to access 'http://bob:s3cret@host/x/': refused by bob";
        assert_eq!(
            redacted(text, "http://bob:s3cret@host/x"),
            "unable to access 'http://host/x/': refused by bob"
        );
        let text = "ssh://git:s3cret@host/x: no";
        assert_eq!(
            redacted(text, "ssh://git:s3cret@host/x"),
            "ssh://git@host/x: no"
        );
    }
}
