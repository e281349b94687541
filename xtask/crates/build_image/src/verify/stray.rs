//! Finds files of the repository in the image that the Dockerfile does not name.

use super::expected_image::ExpectedImage;
use super::layers::Layers;
use super::{below_root, shorten};
use crate::report::Check;
use xtask_core::tree::{RepoPath, Tree};

/// Never part of an image, whether the work tree has them or not.
const NEVER: &[&str] = &[".git", ".env", ".github", "target", "outdated"];

pub struct StrayFiles<'a> {
    expected: &'a ExpectedImage,
    tree: &'a dyn Tree,
    /// WORKDIR as [`below_root`] writes it.
    workdir: String,
}

impl<'a> StrayFiles<'a> {
    pub fn new(expected: &'a ExpectedImage, tree: &'a dyn Tree, workdir: &str) -> Self {
        Self {
            expected,
            tree,
            workdir: below_root(workdir),
        }
    }

    /// Whether a path of a layer is a file of the repository in WORKDIR that the Dockerfile does not
    /// copy there.
    pub fn contains(&self, path: &str) -> bool {
        let Some(below) = path.strip_prefix(&self.workdir) else {
            return false;
        };
        let top = below.split('/').next().unwrap_or_default();
        // The root of an image may have folders with such names, too.
        let never = if self.workdir.is_empty() { below } else { top };
        let is_here = || self.tree.entries().contains_key(&RepoPath::from(below));
        !self.expected.files.contains_key(path) && (NEVER.contains(&never) || is_here())
    }
}

/// Searches the layers above the `base` lowest for stray files.
pub fn check(stray: &StrayFiles, layers: &Layers, base: usize) -> Check {
    let mut reported: Vec<&str> = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    for (number, layer) in layers.layers.iter().enumerate().skip(base) {
        for path in layer.kept.iter().filter(|path| stray.contains(path)) {
            let is_within = |folder: &&str| RepoPath::from(path.as_str()).is_within(folder);
            if !reported.iter().any(is_within) {
                reported.push(path);
                wrong.push(format!("/{path} is the repository's (layer {number})"));
            }
        }
    }
    shorten(&mut wrong, "more");
    let check = Check::judged(
        "repository",
        wrong,
        "the Dockerfile does not name them: keep them out of the build with .dockerignore, or out \
         of the image with a COPY that names its files; one that a later step deletes is still in \
         its layer",
        "nothing else of it is in the image's WORKDIR",
    );
    check.warn(layers.unread())
}

#[cfg(test)]
mod tests {
    use super::super::layers::ImageLayer;
    use super::*;
    use crate::report::CheckStatus;
    use xtask_core::tree::Memory;

    fn layer(paths: &[&str]) -> ImageLayer {
        ImageLayer {
            kept: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..ImageLayer::default()
        }
    }

    fn good() -> ImageLayer {
        layer(&[
            "worker/handler.py",
            "worker/scripts",
            "worker/scripts/flags.py",
            "worker/__pycache__/settings.cpython-311.pyc",
            "usr/README.md",
        ])
    }

    fn judged(layers: Vec<ImageLayer>, base: usize) -> Check {
        let tree = Memory::new()
            .with("handler.py", "handle")
            .with("scripts/flags.py", "flags")
            .with("scripts/other.py", "other")
            .with("tests/test_a.py", "test")
            .with("README.md", "# Worker");
        let pairs = ["handler.py", "scripts/flags.py"];
        let pairs = pairs.map(|path| (format!("worker/{path}"), path.into()));
        let made = ExpectedImage {
            files: pairs.into_iter().collect(),
            ..ExpectedImage::default()
        };
        let stray = StrayFiles::new(&made, &tree, "/worker");
        let layers = Layers {
            layers,
            ..Layers::default()
        };
        check(&stray, &layers, base)
    }

    #[test]
    fn what_the_dockerfile_names_is_in_order_and_so_is_the_base_image() {
        let base = layer(&["worker/README.md"]);
        let check = judged(vec![base, good()], 1);
        assert_eq!(check.verdict, CheckStatus::Passed, "{check:?}");
    }

    #[test]
    fn other_files_of_the_repository_are_found_in_any_layer() {
        let low = layer(&[
            "worker/.env",
            "worker/.git",
            "worker/.git/config",
            "worker/scripts/other.py",
            "worker/tests/test_a.py",
        ]);
        let check = judged(vec![low, good()], 0);
        assert_eq!(check.verdict, CheckStatus::Failed);
        let all = check.words.join("\n");
        for part in [
            "/worker/tests/test_a.py is the repository's (layer 0)",
            "/worker/scripts/other.py is",
            "/worker/.env is",
            "/worker/.git is",
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
        let check = judged(vec![good(), unread], 0);
        assert_eq!(check.verdict, CheckStatus::Warning);
        assert!(check.words[1].contains("layer 1 was not read"), "{check:?}");
    }
}
