//! What names something gone: a path that is written out, a folder by a bare word, a Python module.

use super::{File, Form, Gone, Hit};
use crate::is_one_of;
use xtask_core::tree::RepoPath;

/// Commands whose arguments are paths.
const TOOLS: &str = "ADD COPY bandit black cat cd chmod compileall coverage cp find flake8 isort \
    ls mkdir mv mypy pushd pylint pyright pytest rm rsync ruff tar yapf zip";

/// Keys of settings whose values are paths.
const KEYS: &str = "context dir directory folder include mypy_path package-dir packages path \
    paths pythonpath source src testpaths where working-directory";

pub fn find(file: &File, gone: &Gone<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (start, line) in file.source.lines() {
        let words = words(line, file.form).into_iter();
        hits.extend(words.filter_map(|(at, word)| {
            let (what, instead) = path(file, gone, &line[..at], word)?;
            Some((start + at, what, instead))
        }));
        let tops = gone.folders.iter().filter(|folder| !folder.contains('/'));
        for folder in tops.filter(|_| file.form != Form::Prose) {
            for (at, _) in line.match_indices(*folder) {
                let head = &line[..at];
                if is_folder(file.form, head, &line[at + folder.len()..])
                    && let Some((what, instead)) = gone.lookup(folder)
                {
                    let modules = || "import the modules by their own names".to_owned();
                    let is_import = is_import(file.form, head).then(modules);
                    hits.push((start + at, what, is_import.unwrap_or(instead)));
                }
            }
        }
    }
    hits
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `c` can be part of a path; what cannot ends the word.
fn is_path_char(c: char) -> bool {
    is_name(c) || "-./*?+".contains(c)
}

/// The words of a line that could be paths, with their offsets; those in addresses left out.
fn words(line: &str, form: Form) -> Vec<(usize, &str)> {
    let addresses = line.match_indices("://").map(|(at, _)| {
        let scheme = |c: char| c.is_ascii_alphanumeric() || c == '+';
        let start = line[..at].trim_end_matches(scheme).len();
        let ends = |c: char| c.is_whitespace() || "\"'`)>]".contains(c);
        start..line[at..].find(ends).map_or(line.len(), |end| at + end)
    });
    let addresses: Vec<_> = addresses.collect();
    let mut found = Vec::new();
    for part in line.split(|c| !is_path_char(c)) {
        let mut from = part.as_ptr() as usize - line.as_ptr() as usize;
        if addresses.iter().any(|range| range.contains(&from)) {
            continue;
        }
        let mut word = part.trim_end_matches(['.', '?', '+']);
        if form == Form::Prose {
            // Emphasis.
            let bare = word.trim_start_matches('*');
            from += word.len() - bare.len();
            word = bare;
            if !word.contains("/*") {
                word = word.trim_end_matches('*').trim_end_matches('.');
            }
        }
        if !word.is_empty() {
            found.push((from, word));
        }
    }
    found
}

fn path(file: &File, gone: &Gone<'_>, head: &str, word: &str) -> Option<(String, String)> {
    let before = head.chars().next_back();
    // `$ROOT/src/a.py`, `${{ github.workspace }}/src/a.py`: only whole files are sure enough.
    if before.is_some_and(|c| "$})".contains(c)) {
        let (_, path) = word.split_once('/')?;
        return gone.lookup(path).filter(|_| gone.files.contains_key(path));
    }
    if before.is_some_and(|c| "@\\~%#".contains(c)) {
        return None;
    }
    if let Some(rooted) = word.strip_prefix('/') {
        // Lists in which a leading slash means the repository's root.
        let is_list =
            file.form == Form::Paths || file.source.path.name().starts_with(b"dependabot.");
        let (what, instead) = gone.lookup(rooted)?;
        if !is_list {
            // A Dockerfile may make this path itself, so only whole files are sure.
            let folder = rooted.split('/').next().unwrap_or(rooted);
            let to = format!(" /{folder}");
            let mut copies = file.source.text.lines();
            let is_laid_out = copies.any(|line| {
                let is_copy = line.starts_with("COPY ") || line.starts_with("ADD ");
                is_copy && line.trim_end().trim_end_matches('/').ends_with(&to)
            });
            let is_file = gone.files.contains_key(rooted) && !is_laid_out;
            let instead = format!("the place of `{instead}` in the image");
            return is_file.then_some((what, instead));
        }
        let instead = if instead == "." { "" } else { &instead };
        return Some((what, format!("/{instead}")));
    }
    // A word without a slash is a path only if it is a file that is gone, or a Python module.
    if !word.contains('/') && !gone.files.contains_key(word) {
        let imported = || imported(file, gone, word).filter(|_| is_import(file.form, head));
        return module(gone, word).or_else(imported);
    }
    if file.source.path.parent().is_some()
        && let Some(path) = file.source.path.leads_to(word.as_bytes())
        && let Some(path) = path.as_str()
    {
        if gone.exists(path) {
            return None;
        }
        if let Some((what, instead)) = gone.lookup(path) {
            let instead = file.source.path.link_to(&RepoPath::from(instead.as_str()));
            return Some((what, instead.to_string()));
        }
    }
    let mut path = word;
    while let Some(rest) = path.strip_prefix("./").or_else(|| path.strip_prefix("../")) {
        path = rest;
    }
    let prefix = &word[..word.len() - path.len()];
    let (what, instead) = gone.lookup(path)?;
    if prefix.contains("..") && !gone.files.contains_key(path) {
        return None;
    }
    let is_prose = file.form == Form::Prose && instead == ".";
    let folder = is_prose.then(|| gone.new_folder(path.trim_end_matches('/')));
    Some((what, format!("{prefix}{}", folder.unwrap_or(instead))))
}

/// Whether a folder's name between these parts of a line means the folder. `src` and `builder` may
/// also be a build stage or an attribute, so the word counts only where a path is expected.
pub fn is_folder(form: Form, head: &str, rest: &str) -> bool {
    let stands_behind = |c: char| c.is_whitespace() || "\"'[,=(".contains(c);
    let goes_on = |c: char| is_path_char(c) || ":(".contains(c);
    let line = head.trim_start();
    let is_comment = line.starts_with(['#', ';']) || line.starts_with("//");
    let is_part = !head.is_empty() && !head.ends_with(stands_behind) || rest.starts_with(goes_on);
    if is_part || is_comment {
        return false;
    }
    let is_quoted = head.ends_with(['"', '\'']) && rest.starts_with(['"', '\'']);
    match form {
        Form::Paths => head.is_empty() && rest.trim().is_empty(),
        Form::Python => {
            let line = format!("{head}{rest}").to_lowercase();
            is_quoted && (line.contains("path") || line.contains("join(")) || is_import(form, head)
        }
        _ => {
            let bare = head.trim_end_matches(['"', '\'', '[', ' ']);
            let command = head.rsplit(['|', ';', '&']).next().unwrap_or(head);
            let mut words = command.split_whitespace();
            let key = line.trim_start_matches("- ").split_once([':', '=']);
            let key = key.map(|(key, _)| key.trim().trim_matches(['"', '\'']));
            let last = words.clone().next_back().unwrap_or_default();
            let is_tool =
                |word: &str| is_one_of(TOOLS, word.trim_matches(['"', '\'', '@', '`', '(']));
            let takes_path = key.is_some_and(|key| is_one_of(KEYS, key))
                || form == Form::Code && bare.ends_with('=')
                || words.any(is_tool);
            takes_path && !last.starts_with("--")
        }
    }
}

/// `import src`, `from src import …`
fn is_import(form: Form, head: &str) -> bool {
    form == Form::Python && matches!(head.trim(), "import" | "from")
}

/// A module of the fork's own that moved, imported by its bare name: the old folders were on the path.
fn imported(file: &File, gone: &Gone<'_>, dotted: &str) -> Option<(String, String)> {
    let top = dotted.split('.').next()?;
    let places = ["src", "builder"].into_iter();
    let mut places =
        places.flat_map(|folder| [".py", "/__init__.py"].map(|end| format!("{folder}/{top}{end}")));
    let to = places.find_map(|place| gone.files.get(&*place))?;
    let folder = file.source.path.parent();
    let beside = folder.map(|folder| format!("{folder}/{top}"));
    let mut places = beside.iter().map(String::as_str).chain([top]);
    let is_here = places.any(|place| gone.exists(place) || gone.exists(&format!("{place}.py")));
    let instead = format!("move `{to}` to the root, or import what takes its place");
    (!is_here).then(|| (format!("the module `{top}` is gone"), instead))
}

/// `src.engine.Engine`: the longest head that is a module which is gone, and its name now.
fn module(gone: &Gone<'_>, dotted: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = dotted.split('.').collect();
    (2..=parts.len()).rev().find_map(|count| {
        let path = parts[..count].join("/");
        let files = [format!("{path}.py"), format!("{path}/__init__.py")];
        let mut files = files.iter().map(String::as_str);
        let file = files.find(|file| gone.files.contains_key(file))?;
        let now = gone.replacement(file);
        let now = now.trim_end_matches(".py").trim_end_matches("/__init__");
        let what = format!("the module `{}` is gone", parts[..count].join("."));
        Some((what, now.replace('/', ".")))
    })
}
