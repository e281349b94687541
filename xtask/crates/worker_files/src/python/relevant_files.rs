//! Which files have to be evaluated: those that hold a word that matters, and those that import or
//! are imported by others.

use super::offers::LOADERS;
use super::settings::FOREIGN;
use super::{Reach, module_name};
use crate::Source;
use indexmap::IndexSet;

/// Without one of these a file neither reads the environment, nor takes a job, nor starts or asks a
/// server.
const WORDS: &str = "ENVIRONMENT_INTERFACE environ getenv expandvars dotenv pydantic Settings decouple envvar oc.env OmegaConf \
    starlette printenv putenv unsetenv posix sglang subprocess pexpect pty popen Popen \
    os.system os.exec spawn exec( eval( runpod serverless job input http /v1 request getattr \
    __import__ import_module runpy fastapi flask aiohttp --";

/// Whether a word that matters is in a text.
pub fn matters(text: &str) -> bool {
    let mut words = [WORDS, FOREIGN, LOADERS]
        .into_iter()
        .flat_map(|all| all.split(' '));
    words.any(|word| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some())
}

/// The files to evaluate, and those that stand alone: they hold no word that matters, no file
/// imports them, and they import no other. Files that stand alone and that the image does not start
/// are left out.
pub fn sorted<'s>(sources: &[&'s Source], reach: &Reach) -> (Vec<&'s Source>, Vec<&'s Source>) {
    let quiet = |source: &&Source| !matters(&source.text);
    let mut quiets: Vec<bool> = sources.iter().map(quiet).collect();
    if quiets.iter().any(|quiet| *quiet) {
        let names: IndexSet<String> = sources
            .iter()
            .map(|source| module_name(&source.path))
            .collect();
        let mut imported: IndexSet<&str> = IndexSet::new();
        for (source, quiet) in sources.iter().zip(&mut quiets) {
            let mut own: IndexSet<&str> = IndexSet::new();
            imports(&source.text, &mut own);
            *quiet &= !own.iter().any(|name| names.contains(*name));
            imported.extend(own);
        }
        for (source, quiet) in sources.iter().zip(&mut quiets) {
            *quiet &= !imported.contains(&*module_name(&source.path));
        }
    }
    let is_root = |source: &Source| {
        let roots = reach.roots.as_ref();
        roots.is_none_or(|roots| roots.contains(&source.path))
    };
    let of = |apart: bool| {
        let all = sources.iter().zip(&quiets);
        let all = all.filter(move |(_, quiet)| **quiet == apart);
        all.map(|(source, _)| *source)
    };
    (
        of(false).collect(),
        of(true).filter(|source| is_root(source)).collect(),
    )
}

/// Every name in a line that imports something; `*` and `.` stand for anything in the folder.
fn imports<'s>(text: &'s str, names: &mut IndexSet<&'s str>) {
    for at in memchr::memmem::find_iter(text.as_bytes(), b"import") {
        let start = memchr::memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |end| end + 1);
        let rest = &text.as_bytes()[at..];
        let line = memchr::memchr(b'\n', rest).map_or(text.len(), |end| at + end);
        // A list in parentheses goes on for some lines.
        let end = match memchr::memchr(b'(', &text.as_bytes()[at..line]) {
            Some(_) => memchr::memchr(b')', rest).map_or(text.len(), |end| at + end),
            None => line,
        };
        names.extend(
            text[start..end]
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .filter(|word| !word.is_empty()),
        );
    }
}
