//! Copies more files where a Dockerfile copies one.

use std::collections::BTreeMap;

use xtask_core::tree::RepoPath;

/// A Dockerfile with lines that copy these files, below the one that copies the file `beside`. With it
/// the number of the first line, and the names that the lines copy, each with a file of it: files,
/// and folders whole.
pub fn with_copies<'m>(
    text: &[u8],
    beside: &str,
    modules: impl Iterator<Item = &'m RepoPath>,
) -> Option<(usize, String, BTreeMap<String, &'m RepoPath>)> {
    let copied = super::taken(text).ok()?;
    let is_plain = |name: &str| {
        name.chars()
            .all(|c| c.is_alphanumeric() || "_-.".contains(c))
    };
    let mut names = BTreeMap::new();
    for path in modules.filter(|path| !copied.iter().any(|copied| copied.covers(path))) {
        let is_test = path.name().starts_with(b"test_") || path.name() == b"conftest.py";
        let top = String::from_utf8_lossy(path.top()).into_owned();
        let is_hidden = top.starts_with('.') || top == "__init__.py";
        if !is_test && !is_hidden && is_plain(&top) {
            names.insert(top, path);
        }
    }
    let line = copied.iter().rev().find(|it| it.path == beside)?.line;
    let text = std::str::from_utf8(text).ok()?;
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let beside = lines.get(line - 1)?.trim_end();
    let words: Vec<&str> = beside.split_whitespace().collect();
    let (to, words) = words.split_last()?;
    let is_plain = words.first() == Some(&"COPY") && to.ends_with('/') && !beside.contains('[');
    if names.is_empty() || !is_plain {
        return None;
    }
    let options = words.iter().filter(|word| word.starts_with("--"));
    let options: String = options.map(|word| format!("{word} ")).collect();
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let all = names.keys().map(String::as_str);
    let (files, folders): (Vec<&str>, Vec<&str>) = all.partition(|name| *names[*name] == **name);
    let mut new = String::new();
    if !files.is_empty() {
        new += &format!("COPY {options}{} {to}{end}", files.join(" "));
    }
    for folder in folders {
        new += &format!("COPY {options}{folder} {to}{folder}{end}");
    }
    if !lines[line - 1].ends_with('\n') {
        new.insert_str(0, end);
    }
    lines.insert(line, &new);
    Some((line + 1, lines.concat(), names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_copied_beside_the_handler() {
        let paths = [
            "billing.py",
            "acme/__init__.py",
            "acme/guard.py",
            "test_a.py",
            "utils.py",
            "rules.json",
            "texts/a.txt",
            ".env",
        ];
        let paths = paths.map(RepoPath::from);
        let of = |text: &str| with_copies(text.as_bytes(), "handler.py", paths.iter());
        let (line, text, _) =
            of("FROM x\nCOPY utils.py ./\nCOPY --chown=1 handler.py engine.py ./\nCMD x\n")
                .unwrap();
        assert_eq!(line, 4);
        assert_eq!(
            text,
            "FROM x\nCOPY utils.py ./\nCOPY --chown=1 handler.py engine.py ./\n\
             COPY --chown=1 billing.py rules.json ./\nCOPY --chown=1 acme ./acme\n\
             COPY --chown=1 texts ./texts\nCMD x\n"
        );
        // All of it is there, or the place is not plain.
        assert_eq!(of("FROM x\nCOPY . .\n"), None);
        assert_eq!(of("FROM x\nCOPY handler.py \\\n engine.py ./\n"), None);
        assert_eq!(of("FROM x\nCOPY [\"handler.py\", \"./\"]\n"), None);
    }
}
