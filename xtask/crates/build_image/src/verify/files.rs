//! The worker's files in the image: each where the Dockerfile puts it with the bytes of the work
//! tree, and nothing else of the repository.

use std::collections::BTreeSet;

use anyhow::Result;

use super::super::Check;
use super::expected_image::ExpectedImage;
use super::flags::{TABLE, version};
use super::layers::{Keep, Layers, Thing};
use xtask_core::tree::{RepoPath, Tree};

/// Shorter files may be the same by chance: empty ones, a line or two.
const TELLING: u64 = 64;

/// Larger ones are no part of a worker's repository.
const LARGEST: u64 = 1 << 22;

/// Never part of an image, whether the work tree has them or not.
const NEVER: &[&str] = &[".git", ".env", ".github", "target", "outdated"];

/// What to look for in the layers.
pub struct Sought<'a> {
    made: &'a ExpectedImage,
    tree: &'a dyn Tree,
    /// WORKDIR without the first slash; empty for the root.
    workdir: String,
    sizes: BTreeSet<u64>,
}

impl<'a> Sought<'a> {
    pub fn new(made: &'a ExpectedImage, tree: &'a dyn Tree, workdir: &str) -> Self {
        let sizes = tree.entries().values().filter_map(|entry| entry.size);
        Self {
            made,
            tree,
            workdir: workdir.trim_matches('/').to_owned(),
            sizes: sizes
                .filter(|size| (TELLING..LARGEST).contains(size))
                .collect(),
        }
    }

    /// What to keep of a file that goes by.
    pub fn keep(&self, path: &str, size: u64) -> Keep {
        let may_be_ours = self.sizes.contains(&size) && !is_installed(path);
        if may_be_ours || self.made.files.contains_key(path) {
            Keep::Bytes
        } else if self.below_workdir(path).is_some() {
            Keep::Path
        } else {
            Keep::Nothing
        }
    }

    /// The part of a path below WORKDIR. If that is `/`, only names that the repository has count.
    fn below_workdir<'p>(&self, path: &'p str) -> Option<&'p str> {
        if self.workdir.is_empty() {
            let is_here = self.tree.entries().contains_key(&RepoPath::from(path));
            return (is_here || NEVER.contains(&path)).then_some(path);
        }
        path.strip_prefix(self.workdir.as_str())?.strip_prefix('/')
    }

    /// Whether a path below WORKDIR is one that only the repository has.
    fn is_strange(&self, path: &str, below: &str) -> bool {
        if self.made.files.contains_key(path) || below.contains("__pycache__") {
            return false;
        }
        let top = below.split('/').next().unwrap_or_default();
        let top_place = &path[..path.len() - below.len() + top.len()];
        let comes_below = |folder: &str| {
            let folder = format!("{folder}/");
            self.made.files.keys().any(|file| file.starts_with(&folder))
        };
        let entries = self.tree.entries();
        let is_here = entries.contains_key(&RepoPath::from(below));
        let is_folder_here = || entries.keys().any(|file| file.is_within(top));
        // A folder above a copied file comes with it.
        !comes_below(path)
            && (is_here || NEVER.contains(&top) || is_folder_here() && !comes_below(top_place))
    }
}

/// Installed packages are not the repository's, even if a file is equal: many have the same
/// license.
fn is_installed(path: &str) -> bool {
    path.contains("site-packages/")
        || path.contains("dist-packages/")
        || path.starts_with("usr/share/")
}

/// Checks the copied files. With `updates` the table of flags is written later and checked then.
pub fn copied(sought: &Sought, layers: &Layers, updates: bool) -> Result<Check> {
    let mut wrong = Vec::new();
    let mut note = None;
    for (place, path) in &sought.made.files {
        let wanted = sought.tree.read(path)?;
        let what = match layers.find(place) {
            Some(Thing::File(Some(bytes))) if *bytes == wanted => continue,
            Some(Thing::File(Some(bytes))) => {
                if let Some(words) = other_table(path, bytes, &wanted, updates) {
                    note = Some(words);
                    continue;
                }
                let (bytes, here) = (bytes.len(), wanted.len());
                wrong.push(format!(
                    "/{place} is not what {path} is here ({bytes} bytes, {here} here)"
                ));
                continue;
            }
            Some(Thing::Link(target)) => format!("a link to {target}"),
            Some(_) => "no file".to_owned(),
            None => "not in the image".to_owned(),
        };
        wrong.push(format!(
            "/{place} is {what}, and the Dockerfile copies {path} there"
        ));
    }
    let count = sought.made.files.len();
    let check = Check::judged(
        "files",
        wrong,
        "build the image again; if it was built from these files, something later in the build \
         changes them or takes them away",
        format!("{count} files of the repository, each as it is here"),
    );
    Ok(check.doubted(layers.unread()).and(note))
}

/// Why a table of flags may differ: another release's, or about to be replaced.
fn other_table(path: &RepoPath, bytes: &[u8], here: &[u8], updates: bool) -> Option<String> {
    if *path != TABLE {
        return None;
    }
    if updates {
        return Some(format!(
            "{path} was another one here than in the image, and --update-flags writes it"
        ));
    }
    let version = |bytes| version(&String::from_utf8_lossy(bytes));
    let (image, here) = (version(bytes)?, version(here)?);
    (image != here).then(|| format!("{path} is SGLang {image}'s in the image, and {here}'s here"))
}

/// Other files of the repository in the layers above the `base` lowest.
pub fn strange(sought: &Sought, layers: &Layers, base: usize) -> Result<Check> {
    const MOST: usize = 10;
    let mut wrong: Vec<String> = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for (number, layer) in layers.layers.iter().enumerate().skip(base) {
        for (path, thing) in &layer.things {
            if told.contains(path.as_str()) {
                continue;
            }
            let below = sought.below_workdir(path);
            if below.is_some_and(|below| sought.is_strange(path, below)) {
                let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
                if !above.any(|above| told.contains(above)) {
                    let is_folder = *thing == Thing::Folder;
                    let what = if is_folder { "folder" } else { "file" };
                    wrong.push(format!(
                        "/{path} is a {what} of the repository (layer {number})"
                    ));
                }
                told.insert(path);
            } else if let Thing::File(Some(bytes)) = thing
                && !sought.made.files.contains_key(path)
                && !is_installed(path)
                && let Some(file) = same(sought, bytes)?
            {
                wrong.push(format!(
                    "/{path} is the repository's {file} (layer {number})"
                ));
            }
        }
    }
    let more = wrong.len().saturating_sub(MOST);
    if more > 0 {
        wrong.truncate(MOST);
        wrong.push(format!("and {more} more"));
    }
    let check = Check::judged(
        "repository",
        wrong,
        "the Dockerfile does not name them: keep them out of the build with .dockerignore, or out \
         of the image with a COPY that names its files; one that a later step deletes is still in \
         its layer",
        "nothing else of it is in the image",
    );
    Ok(check.doubted(layers.unread()))
}

/// The file of the repository with these bytes, unless it is one that is copied.
fn same(sought: &Sought, bytes: &[u8]) -> Result<Option<RepoPath>> {
    for (path, entry) in sought.tree.entries() {
        let fits = entry.mode.is_file() && entry.size == Some(bytes.len() as u64);
        if fits
            && !sought.made.files.values().any(|copied| copied == path)
            && sought.tree.read(path)? == bytes
        {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::super::CheckStatus;
    use super::super::layers::ImageLayer;
    use super::*;
    use xtask_core::tree::Memory;

    const LONG: &str = "a text that is long enough not to be the same as another one by chance";

    fn tree() -> Memory {
        Memory::new()
            .with("handler.py", "handle")
            .with("sglang_worker/sglang_flags.json", "{\"version\": \"1.0\"}")
            .with("scripts/flags.py", "flags")
            .with("scripts/other.py", "other")
            .with("tests/test_a.py", "test")
            .with("README.md", LONG)
    }

    fn made() -> ExpectedImage {
        let pairs = [
            "handler.py",
            "sglang_worker/sglang_flags.json",
            "scripts/flags.py",
        ];
        ExpectedImage {
            files: pairs
                .iter()
                .map(|path| (format!("worker/{path}"), (*path).into()))
                .collect(),
            ..ExpectedImage::default()
        }
    }

    fn layer(files: &[(&str, &str)]) -> ImageLayer {
        let thing = |bytes: &str| Thing::File(Some(bytes.into()));
        let mut layer = ImageLayer::default();
        layer.things.insert("worker/scripts".into(), Thing::Folder);
        for (path, bytes) in files {
            layer.things.insert((*path).to_owned(), thing(bytes));
        }
        layer
    }

    fn good() -> ImageLayer {
        layer(&[
            ("worker/handler.py", "handle"),
            (
                "worker/sglang_worker/sglang_flags.json",
                "{\"version\": \"1.0\"}",
            ),
            ("worker/scripts/flags.py", "flags"),
            ("worker/__pycache__/settings.cpython-311.pyc", "x"),
            ("usr/lib/python3/dist-packages/x/LICENSE", LONG),
        ])
    }

    fn check(layers: Vec<ImageLayer>, base: usize) -> [Check; 2] {
        let (tree, made) = (tree(), made());
        let sought = Sought::new(&made, &tree, "/worker");
        let layers = Layers {
            layers,
            ..Layers::default()
        };
        [
            copied(&sought, &layers, false).unwrap(),
            strange(&sought, &layers, base).unwrap(),
        ]
    }

    #[test]
    fn files_as_they_are_here_are_in_order() {
        let checks = check(vec![layer(&[("srv/README.md", LONG)]), good()], 1);
        for check in &checks {
            assert_eq!(check.verdict, CheckStatus::Passed, "{check:?}");
        }
    }

    #[test]
    fn missing_changed_and_replaced_files_are_named() {
        let mut top = layer(&[("worker/handler.py", "changed")]);
        top.gone.insert("worker/scripts".into());
        top.things.remove("worker/scripts");
        top.things.insert(
            "worker/sglang_worker/sglang_flags.json".into(),
            Thing::Link("/x".into()),
        );
        let [files, _] = check(vec![good(), top], 0);
        assert_eq!(files.verdict, CheckStatus::Failed);
        let all = files.words.join("\n");
        for part in [
            "/worker/handler.py is not what handler.py is here (7 bytes, 6 here)",
            "/worker/scripts/flags.py is not in the image",
            "/worker/sglang_worker/sglang_flags.json is a link to /x",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
    }

    #[test]
    fn only_the_table_of_another_release_may_differ() {
        let other = |text| {
            check(
                vec![
                    good(),
                    layer(&[("worker/sglang_worker/sglang_flags.json", text)]),
                ],
                0,
            )
        };
        let [files, _] = other("{\"version\": \"2.0\"}");
        assert_eq!(files.verdict, CheckStatus::Passed);
        assert!(
            files.words[1].contains("SGLang 2.0's in the image"),
            "{files:?}"
        );
        let [files, _] = other("{\"version\": \"1.0\", \"flags\": {}}");
        assert_eq!(files.verdict, CheckStatus::Failed);
    }

    #[test]
    fn any_table_may_differ_where_it_is_about_to_be_written() {
        let (tree, made) = (tree(), made());
        let sought = Sought::new(&made, &tree, "/worker");
        let mut other = layer(&[(
            "worker/sglang_worker/sglang_flags.json",
            "{\"version\": \"1.0\", \"flags\": {}}",
        )]);
        let copied = |other: &ImageLayer| {
            let layers = Layers {
                layers: vec![good(), other.clone()],
                ..Layers::default()
            };
            copied(&sought, &layers, true).unwrap()
        };
        let files = copied(&other);
        assert_eq!(files.verdict, CheckStatus::Passed, "{files:?}");
        assert!(
            files.words[1].ends_with("--update-flags writes it"),
            "{files:?}"
        );
        // Nothing else may.
        let changed = Thing::File(Some("changed".into()));
        other.things.insert("worker/handler.py".into(), changed);
        let files = copied(&other);
        assert_eq!(files.verdict, CheckStatus::Failed);
        assert!(files.words[0].contains("handler.py"), "{files:?}");
    }

    #[test]
    fn other_files_of_the_repository_are_found_by_name_and_by_bytes_even_deleted_ones() {
        let mut low = layer(&[
            ("worker/tests/test_a.py", "test"),
            ("worker/scripts/other.py", "other"),
            ("worker/.env", "HF_TOKEN=x"),
            ("srv/about.md", LONG),
        ]);
        low.things.insert("worker/.git".into(), Thing::Folder);
        low.things
            .insert("worker/.git/config".into(), Thing::File(None));
        let mut top = good();
        top.gone.insert("worker/tests".into());
        let [_, strange] = check(vec![low, top], 0);
        assert_eq!(strange.verdict, CheckStatus::Failed);
        let all = strange.words.join("\n");
        for part in [
            "/worker/tests/test_a.py is a file of the repository (layer 0)",
            "/worker/scripts/other.py is a file",
            "/worker/.env is a file",
            "/worker/.git is a folder",
            "/srv/about.md is the repository's README.md",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        assert!(!all.contains(".git/config"), "told with its folder: {all}");
    }

    #[test]
    fn a_layer_that_was_not_read_leaves_a_doubt() {
        let unread = ImageLayer {
            unread: Some("it is compressed".into()),
            ..ImageLayer::default()
        };
        let [files, _] = check(vec![good(), unread], 0);
        assert_eq!(files.verdict, CheckStatus::Warning);
        assert!(files.words[1].contains("layer 1 was not read"), "{files:?}");
    }
}
