//! What a reader did not understand, with what tells whether it is the same in two workers.
//!
//! The construct's own text is not enough: `json.load(open("vars.json"))` stays the same while
//! `vars.json` loses a name. So each gap carries a digest of its file, of the repository's modules
//! that the file imports and of the data files that it names; comments of Python don't count.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;

use worker_files::python::without_comments;
use worker_files::source::LARGEST;
use worker_files::{NOT_BUILT, Unread};
use xtask_core::tree::{RepoPath, Tree};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnreadFact {
    /// `unread:PATH:N`, where N comes from the text alone, so that edits elsewhere leave it.
    pub id: String,
    pub unread: Unread,
    /// Of the file and all that it depends on.
    pub digest: String,
}

impl UnreadFact {
    /// The id under the name that both layouts know the file by.
    fn name(&self) -> String {
        let path = self.unread.place.file.to_string();
        self.id.replacen(&path, &in_layout(&path), 1)
    }

    /// Whether another worker has the same, down to what it depends on.
    pub fn is_in(&self, others: &[Self]) -> bool {
        let mut others = others.iter().filter(|other| other.digest == self.digest);
        others.any(|other| other.name() == self.name())
    }
}

/// A path without the folder that its layout puts it in.
pub fn in_layout(path: &str) -> String {
    let folders = ["src/", "builder/", ".runpod/"];
    let below = folders.iter().find_map(|folder| path.strip_prefix(folder));
    match below.unwrap_or(path) {
        "" => "./".to_owned(),
        path => path.to_owned(),
    }
}

/// A digest that is the same in every version of this tool (FNV-1a).
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        // The length keeps `ab`, `c` from `a`, `bc`.
        for byte in part.len().to_le_bytes().iter().chain(part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

pub fn of(unread: Vec<Unread>, tree: &dyn Tree) -> Result<Vec<UnreadFact>> {
    if unread.is_empty() {
        return Ok(Vec::new());
    }
    let names = Names::of(tree);
    let mut digests: BTreeMap<RepoPath, String> = BTreeMap::new();
    let mut texts = HashMap::new();
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut gaps = Vec::new();
    for unread in unread {
        let file = &unread.place.file;
        if !digests.contains_key(file) {
            digests.insert(file.clone(), names.closure(tree, file, &mut texts)?);
        }
        let text = Some(&unread.text).filter(|text| !text.is_empty());
        let number = digest([text.unwrap_or(&unread.what).as_bytes()]) & 0xffff;
        let mut id = format!("unread:{file}:{number:04x}");
        let same = taken.entry(id.clone()).or_default();
        *same += 1;
        if *same > 1 {
            id = format!("{id}-{same}");
        }
        // Of a file that is somebody else's, what it names says nothing.
        let digest = match texts.get(file) {
            Some((alone, _)) if unread.what == NOT_BUILT => format!("{alone:016x}"),
            _ => digests[file].clone(),
        };
        gaps.push(UnreadFact { id, unread, digest });
    }
    Ok(gaps)
}

/// A file's content with the files that it names.
type Text = (u64, Vec<RepoPath>);
type Texts = HashMap<RepoPath, Text>;

/// The files of a tree by the words that name them: `vars.json`, and `settings` for a module.
struct Names(HashMap<Vec<u8>, Vec<RepoPath>>);

impl Names {
    fn of(tree: &dyn Tree) -> Self {
        let mut names: HashMap<Vec<u8>, Vec<RepoPath>> = HashMap::new();
        let files = tree.entries().iter().filter(|(_, it)| it.mode.is_file());
        for (path, _) in files {
            let mut add = |name: &[u8]| names.entry(name.to_vec()).or_default().push(path.clone());
            add(path.name());
            if let Some(stem) = path.name().strip_suffix(b".py") {
                match path.parent() {
                    Some(package) if stem == b"__init__" => add(package.name()),
                    _ => add(stem),
                }
            }
        }
        Self(names)
    }

    /// The digest of a file and of everything that it names, and what that names.
    fn closure(&self, tree: &dyn Tree, file: &RepoPath, texts: &mut Texts) -> Result<String> {
        let mut left = vec![file.clone()];
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        let mut seen: HashSet<RepoPath> = HashSet::from([file.clone()]);
        while let Some(path) = left.pop() {
            let (content, named) = match texts.entry(path.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.read(tree, &path)?),
            };
            all.insert(in_layout(&path.to_string()), *content);
            let new = named.iter().filter(|path| seen.insert((*path).clone()));
            left.extend(new.cloned());
        }
        let parts: Vec<[u8; 8]> = all.values().map(|content| content.to_le_bytes()).collect();
        let named = all.keys().map(String::as_bytes);
        let parts = named.chain(parts.iter().map(<[u8; 8]>::as_slice));
        Ok(format!("{:016x}", digest(parts)))
    }

    fn read(&self, tree: &dyn Tree, path: &RepoPath) -> Result<Text> {
        let size = tree.entries().get(path).and_then(|entry| entry.size);
        if size.is_some_and(|size| size > LARGEST as u64) {
            return Ok((size.unwrap_or_default(), Vec::new()));
        }
        let bytes = tree.read(path)?;
        let ends =
            |path: &RepoPath, all: &[&[u8]]| all.iter().any(|end| path.name().ends_with(end));
        let is_yaml = ends(path, &[b".yml", b".yaml"]);
        let is_code = is_yaml || ends(path, &[b".py", b".sh", b"Dockerfile"]);
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let words = bytes.split(|byte| !is_word(byte)).filter(|_| is_code);
        let words: HashSet<&[u8]> = words.collect();
        let all = words.iter().copied();
        let parts = all
            .clone()
            .flat_map(|word| word.split(|byte| *byte == b'.'));
        let words: HashSet<&[u8]> = all.chain(parts).collect();
        let named = words.into_iter().filter_map(|word| self.0.get(word));
        let is_kept = |named: &&RepoPath| !is_yaml || ends(named, &[b".yml", b".yaml"]);
        let named = named.flatten().filter(is_kept).cloned().collect();
        if ends(path, &[b".py"]) {
            let code = without_comments(&String::from_utf8_lossy(&bytes));
            return Ok((digest([code.as_bytes()]), named));
        }
        Ok((digest([bytes.as_slice()]), named))
    }
}
