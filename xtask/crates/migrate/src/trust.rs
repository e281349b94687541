//! Whether a lock's local upstream may be read. The lock came with a clone, so its author could
//! point it at anything here; the user's configuration decides.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::address::{OWN_ADDRESS, UpstreamPlace, without_credentials};
use xtask_core::git::{Git, records};
use xtask_core::layout::LOCK;
use xtask_core::outcome::UserError;
use xtask_core::output::quoted;

/// The setting of the user's that names upstreams on this machine, one each.
const SETTING: &str = "xtask.trustedUpstream";

/// Refuses a lock's local address unless the user's configuration names it.
pub fn check(git: &Git, address: &str, place: &UpstreamPlace) -> Result<()> {
    let path = match place {
        _ if address == OWN_ADDRESS => return Ok(()),
        UpstreamPlace::Path(path) => path.clone(),
        UpstreamPlace::Url(url) => match local_path(url) {
            Some(path) => path,
            None => return Ok(()),
        },
    };
    let path = path.canonicalize().unwrap_or(path);
    let address = &without_credentials(address);
    if trusted(git)?.contains(&path) {
        return Ok(());
    }
    bail!(UserError::new(
        format!("{LOCK} names {address} as upstream, a directory on this machine"),
        format!(
            "name it with --upstream {}, or trust it from now on with `git config --global --add \
             {SETTING} {}`",
            quoted(address),
            quoted(&path.display().to_string())
        )
    ))
}

/// The directories that the user trusts; a repository's own configuration is not asked.
fn trusted(git: &Git) -> Result<Vec<PathBuf>> {
    let call = git.call().dir(Path::new("/"));
    let call = call
        .words("config --global --type=path -z --get-all")
        .arg(SETTING);
    let answer = call.finish()?.stdout;
    let paths = records(&answer).map(|path| PathBuf::from(OsStr::from_bytes(path)));
    let paths = paths.map(|path| path.canonicalize().unwrap_or(path));
    Ok(paths.collect())
}

/// The path of a `file` address: what follows a host, which git ignores.
fn local_path(url: &str) -> Option<PathBuf> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find('/')?;
    (scheme == "file").then(|| PathBuf::from(&rest[at..]))
}
