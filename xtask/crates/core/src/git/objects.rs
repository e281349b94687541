//! Reads git objects through one long-running `cat-file --batch`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use super::{Call, records};
use crate::tree::{Entries, Mode, Oid, RepoPath, Tree, TreeEntry};

/// The objects of a repository. `git cat-file --batch` starts with the first request.
pub struct Objects {
    call: Box<dyn Fn() -> Call + Send + Sync>,
    batch: Mutex<Option<Batch>>,
}

struct Batch {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        // It would also end with its input, but there is nothing left to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Objects {
    pub fn new(call: impl Fn() -> Call + Send + Sync + 'static) -> Self {
        Self {
            call: Box::new(call),
            batch: Mutex::new(None),
        }
    }

    /// The bytes of a blob; `None` where the object is not there.
    pub fn blob(&self, oid: &Oid) -> Result<Option<Vec<u8>>> {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = match &mut *batch {
            Some(batch) => batch,
            none => none.insert(Batch::start((self.call)())?),
        };
        let content = batch.read(oid);
        content.with_context(|| format!("reading object {oid} from git"))
    }
}

impl Batch {
    fn start(call: Call) -> Result<Self> {
        let mut child = call.words("cat-file --batch").spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("no pipes to `git cat-file --batch`");
        };
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    fn read(&mut self, oid: &Oid) -> Result<Option<Vec<u8>>> {
        writeln!(self.stdin, "{oid}")?;
        self.stdin.flush()?;
        let mut header = String::new();
        self.stdout.read_line(&mut header)?;
        let words: Vec<&str> = header.split_whitespace().collect();
        let size: usize = match words.as_slice() {
            [_, "missing"] => return Ok(None),
            [_, "blob", size] => size.parse()?,
            _ => bail!("unexpected answer {:?}", header.trim()),
        };
        let mut content = vec![0; size];
        self.stdout.read_exact(&mut content)?;
        let mut newline = [0];
        self.stdout.read_exact(&mut newline)?;
        Ok(Some(content))
    }
}

pub struct GitTree {
    objects: Arc<Objects>,
    entries: Entries,
    name: String,
}

impl GitTree {
    pub fn new(objects: Arc<Objects>, entries: Entries, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            objects,
            entries,
            name,
        }
    }
}

impl Tree for GitTree {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        let name = &self.name;
        let entry = self.entries.get(path);
        let entry = entry.with_context(|| format!("no file {path} in {name}"))?;
        let oid = entry.oid.as_ref();
        let oid = oid.filter(|_| entry.mode != Mode::Submodule);
        let oid = oid.with_context(|| format!("{path} in {name} is a submodule"))?;
        let content = self.objects.blob(oid)?;
        content.with_context(|| format!("git lacks the content of {path} in {name}"))
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

/// Reads the output of `git ls-tree -r -z`. A tree that names a path twice was made by hand to
/// mean different things to different readers, so it is an error.
pub fn parse_ls_tree(output: &[u8]) -> Result<Entries> {
    let mut entries = Vec::new();
    for record in records(output) {
        let ([mode, _kind, oid], path) = fields_and_path(record, "ls-tree")?;
        let entry = entry(mode, oid).with_context(|| format!("reading {path}"))?;
        entries.push((path, entry));
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some(twice) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        bail!("the tree names {} twice", twice[0].0);
    }
    Ok(entries.into_iter().collect())
}

/// Splits a line of git's output: ASCII fields, a tab, and a path of any bytes.
pub(super) fn fields_and_path<'a, const N: usize>(
    record: &'a [u8],
    command: &str,
) -> Result<([&'a str; N], RepoPath)> {
    let split = || {
        let tab = record.iter().position(|&b| b == b'\t')?;
        let fields = std::str::from_utf8(&record[..tab]).ok()?.split(' ');
        let fields = fields.collect::<Vec<_>>().try_into().ok()?;
        Some((fields, RepoPath::new(&record[tab + 1..])))
    };
    split().with_context(|| {
        let line = String::from_utf8_lossy(record);
        format!("git {command} answered an unknown line: {line}")
    })
}

pub(super) fn entry(mode: &str, oid: &str) -> Result<TreeEntry> {
    let mode = Mode::from_octal(mode.as_bytes())
        .with_context(|| format!("git knows no file mode {mode}"))?;
    Ok(TreeEntry::of(mode, Oid(oid.to_owned())))
}
