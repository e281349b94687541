//! Reads the refs and objects of a foreign repository without its configuration, which could run any
//! command.
//!
//! The refs come from `git ls-remote`; the objects are alternates of a git directory that this tool
//! makes. The objects that a partial clone lacks are not fetched.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::FileType;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use super::scratch::make_git_dir;
use super::{Call, Git};
use crate::outcome::UserError;

/// Transports that only fetch. `ext::` and others run commands.
pub const TRANSPORTS: &[&str] = &["https", "http", "ssh", "git", "file"];

/// Whether a directory is the top of a git repository, bare or not.
pub fn is_git(path: &Path) -> bool {
    path.join(".git").exists() || (path.join("HEAD").is_file() && path.join("objects").is_dir())
}

/// Makes `dir` a git directory with the refs and objects of the repository at `path`, and with a
/// configuration of our own.
pub fn borrow(git: &Git, path: &Path, dir: &Path) -> Result<()> {
    let path = fs_err::canonicalize(path)?;
    let (own, common) = git_dirs(&path)?;
    let mut seen = BTreeSet::new();
    for folder in [&own, &common] {
        check_git_dir(folder, &mut seen)?;
    }
    // The format of the objects is not known before the refs are.
    make_git_dir(dir, "sha1")?;
    let listed = call(git, dir).words("ls-remote --quiet --").arg(&path);
    let listed = listed.finish()?;
    let (shown, message) = (path.display(), &listed.message);
    if !listed.ok {
        bail!(UserError::new(
            format!("git can't read {shown}: {message}"),
            "name another upstream with --upstream"
        ));
    }
    let refs = String::from_utf8_lossy(&listed.stdout);
    let refs = refs.lines().filter_map(|line| line.split_once('\t'));
    if refs.clone().next().is_some_and(|(oid, _)| oid.len() == 64) {
        make_git_dir(dir, "sha256")?;
    }
    // A replacement ref would substitute another object, and a peeled tag is no ref.
    let is_ref = |name: &str| {
        name.starts_with("refs/") && !name.starts_with("refs/replace/") && !name.ends_with("^{}")
    };
    let packed = refs.clone().filter(|(_, name)| is_ref(name));
    let packed: String = packed.map(|it| format!("{} {}\n", it.0, it.1)).collect();
    fs_err::write(dir.join("packed-refs"), packed)?;
    if let Some((oid, _)) = refs.clone().find(|(_, name)| *name == "HEAD") {
        fs_err::write(dir.join("HEAD"), format!("{oid}\n"))?;
    }
    fs_err::create_dir_all(dir.join("objects/info"))?;
    fs_err::write(
        dir.join("objects/info/alternates"),
        quoted(common.join("objects").as_os_str().as_bytes()),
    )?;
    // Where the history of a shallow clone ends.
    let shallow = common.join("shallow");
    if shallow.is_file() {
        fs_err::copy(shallow, dir.join("shallow"))?;
    }
    Ok(())
}

/// A call of git in a git directory that was made here for what others wrote.
pub fn call(git: &Git, dir: &Path) -> Call {
    git.call()
        .dir(dir)
        .env("GIT_ALLOW_PROTOCOL", TRANSPORTS.join(":"))
        // `git upload-pack`, which `ls-remote` starts, does read the other's configuration.
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .config(&[
            ("protocol.version", "2"),
            ("credential.interactive", "auto"),
        ])
        .arg("--git-dir=.")
}

/// The git directory and the one with the objects, found as gitrepository-layout(5) describes. Git
/// itself would read the configuration to find them.
fn git_dirs(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let usual = path.join(".git");
    let git_dir = if usual.is_dir() {
        usual
    } else if usual.exists() {
        let text = read_pointer(&usual)?;
        let named = text.strip_prefix(b"gitdir: ").with_context(|| {
            let usual = usual.display();
            format!("{usual} does not say where its git directory is")
        })?;
        path.join(line(named))
    } else {
        path.to_owned()
    };
    let mut common = git_dir.join("commondir");
    if common.exists() {
        common = git_dir.join(line(&read_pointer(&common)?));
    } else {
        common.clone_from(&git_dir);
    }
    Ok((git_dir, fs_err::canonicalize(common)?))
}

/// Reads a file that names a folder in one line.
fn read_pointer(path: &Path) -> Result<Vec<u8>> {
    const LONGEST: u64 = 64 * 1024;
    let metadata = fs_err::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        bail!(unexpected_file(path));
    }
    Ok(fs_err::read(path)?)
}

/// Refuses files that git would never finish reading, and lists of refs that are too large.
fn check_git_dir(folder: &Path, seen: &mut BTreeSet<(u64, u64)>) -> Result<()> {
    const LARGEST: u64 = 1 << 30;
    let metadata = fs_err::metadata(folder)?;
    // Links may lead in circles.
    if !seen.insert((metadata.dev(), metadata.ino())) {
        return Ok(());
    }
    for item in fs_err::read_dir(folder)? {
        let item = item?;
        let path = item.path();
        let mut kind = item.file_type()?;
        if kind.is_symlink() {
            match path.metadata() {
                Ok(metadata) => kind = metadata.file_type(),
                // A dangling link; git reports it.
                Err(_) => continue,
            }
        }
        let is_list = || matches!(item.file_name().to_str(), Some("shallow" | "packed-refs"));
        if kind.is_dir() {
            check_git_dir(&path, seen)?;
        } else if is_endless(kind) || is_list() && path.metadata()?.len() > LARGEST {
            bail!(unexpected_file(&path));
        }
    }
    Ok(())
}

/// Reading may never end. Sockets are fine: git's own monitor has one.
fn is_endless(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
}

fn unexpected_file(path: &Path) -> UserError {
    UserError::new(
        format!("{} is no file that git would have made", path.display()),
        "name another upstream with --upstream",
    )
}

/// The path in a file, without the line's end.
fn line(text: &[u8]) -> PathBuf {
    let end = text.iter().rposition(|byte| !b"\r\n".contains(byte));
    let text = &text[..end.map_or(0, |end| end + 1)];
    PathBuf::from(OsStr::from_bytes(text))
}

/// A path as git reads it in a list: in quotes, since it may hold a newline or begin with `#`.
fn quoted(path: &[u8]) -> Vec<u8> {
    let escaped = path.iter().flat_map(|byte| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        _ => vec![*byte],
    });
    [b"\"", &*escaped.collect::<Vec<u8>>(), b"\"\n"].concat()
}
