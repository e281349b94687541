//! Reading git objects: one `cat-file --batch` for as long as it is asked.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use super::{Call, records};
use crate::tree::{Entries, Entry, Mode, Oid, RepoPath, Tree};

/// A conversation with `git cat-file --batch`, begun with the first question.
pub struct Objects {
    start: Box<dyn Fn() -> Call>,
    talk: RefCell<Option<Talk>>,
}

struct Talk {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        // The end of its input would end it as well; nothing is left to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Objects {
    pub fn new(start: impl Fn() -> Call + 'static) -> Self {
        Self {
            start: Box::new(start),
            talk: RefCell::new(None),
        }
    }

    /// The bytes of a blob; `None` where the object is not there.
    pub fn blob(&self, oid: &Oid) -> Result<Option<Vec<u8>>> {
        let mut talk = self.talk.borrow_mut();
        let talk = match &mut *talk {
            Some(talk) => talk,
            none => {
                let mut child = (self.start)()
                    .args(["cat-file", "--batch"])
                    .piped()
                    .spawn()?;
                let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
                    bail!("no pipes to `git cat-file --batch`");
                };
                none.insert(Talk {
                    child,
                    stdin,
                    stdout: BufReader::new(stdout),
                })
            }
        };
        talk.ask(oid)
            .with_context(|| format!("reading object {oid} from git"))
    }
}

impl Talk {
    fn ask(&mut self, oid: &Oid) -> Result<Option<Vec<u8>>> {
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

/// A tree in git's object database.
pub struct GitTree {
    objects: Rc<Objects>,
    entries: Entries,
    name: String,
}

impl GitTree {
    pub fn new(objects: Rc<Objects>, entries: Entries, name: impl Into<String>) -> Self {
        Self {
            objects,
            entries,
            name: name.into(),
        }
    }
}

impl Tree for GitTree {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        let entry = self
            .entries
            .get(path)
            .with_context(|| format!("no file {path} in {}", self.name))?;
        let oid = entry
            .oid
            .as_ref()
            .filter(|_| entry.mode != Mode::Submodule)
            .with_context(|| format!("{path} in {} is a submodule", self.name))?;
        self.objects
            .blob(oid)?
            .with_context(|| format!("git lacks the content of {path} in {}", self.name))
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

/// Reads the output of `git ls-tree -r -z`. A tree that names a path twice was made by hand to
/// mean different things to different readers, so it is an error.
pub fn parse_ls_tree(output: &[u8]) -> Result<Entries> {
    let mut entries = Entries::new();
    for record in records(output) {
        let tab = record
            .iter()
            .position(|&b| b == b'\t')
            .context("git ls-tree answered a line without a tab")?;
        let (head, path) = (&record[..tab], &record[tab + 1..]);
        let mut words = head.split(|&b| b == b' ').filter(|word| !word.is_empty());
        let (mode, _kind, oid) = (words.next(), words.next(), words.next());
        let path = RepoPath::new(path);
        let mode = mode
            .and_then(Mode::from_octal)
            .with_context(|| format!("{path} has a file mode that git does not know"))?;
        let oid = String::from_utf8_lossy(oid.context("git ls-tree answered no object")?);
        let entry = Entry {
            mode,
            size: None,
            oid: Some(Oid(oid.into_owned())),
        };
        if entries.insert(path.clone(), entry).is_some() {
            bail!("the tree names {path} twice");
        }
    }
    Ok(entries)
}
