//! Python modules: `from src.engine import …`, `python -m src.handler`, `patch("src.utils.x")`.

use super::{File, Gone};

pub fn find(file: &mut File<'_>, gone: &Gone<'_>) {
    for folder in &gone.packages {
        let dotted = format!("{folder}.");
        for (start, line) in file.lines() {
            for (at, _) in line.match_indices(&dotted) {
                let before = line[..at].chars().next_back();
                let rest = &line[at..];
                let end = rest
                    .find(|c: char| !is_name(c) && c != '.')
                    .unwrap_or(rest.len());
                if before.is_some_and(|c| is_name(c) || "./-\\$@".contains(c))
                    || rest[end..].starts_with(['/', '-'])
                {
                    continue;
                }
                if let Some((module, instead)) = module(gone, &rest[..end]) {
                    let what = format!("the module `{module}` is gone");
                    file.hit(start + at, what, instead);
                }
            }
            if let Some((at, instead)) = statement(gone, folder, line) {
                let what = format!("the package `{folder}` is gone");
                file.hit(start + at, what, instead);
            }
        }
    }
}

/// Whether a path is that of a module.
pub fn is_python(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "py")
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The longest head of a dotted name that is a module which is gone, and its name now.
fn module(gone: &Gone<'_>, dotted: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = dotted.split('.').collect();
    for count in (2..=parts.len()).rev() {
        let path = parts[..count].join("/");
        for file in [format!("{path}.py"), format!("{path}/__init__.py")] {
            if gone.files.contains_key(file.as_str()) {
                let now = gone.instead(&file);
                let now = now.strip_suffix("/__init__.py").unwrap_or(&now);
                let now = now.strip_suffix(".py").unwrap_or(now);
                return Some((parts[..count].join("."), now.replace('/', ".")));
            }
        }
    }
    None
}

/// `from src import engine` and `import src`.
fn statement(gone: &Gone<'_>, folder: &str, line: &str) -> Option<(usize, String)> {
    let code = line.trim_start();
    let indent = line.len() - code.len();
    if let Some(rest) = code.strip_prefix("import ") {
        let first = rest.split([',', '#']).next()?.trim();
        let name = first.split_whitespace().next()?;
        return (name == folder).then(|| {
            let instead = "import the modules by their own names".to_owned();
            (indent + 7, instead)
        });
    }
    let rest = code.strip_prefix("from ")?.strip_prefix(folder)?;
    let names = rest.trim_start().strip_prefix("import ")?;
    let names: Vec<String> = names
        .trim_matches(['(', ')'])
        .split([',', '#'])
        .filter_map(|name| name.split_whitespace().next())
        .filter_map(|name| module(gone, &format!("{folder}.{name}")))
        .map(|(_, now)| now)
        .collect();
    let instead = if names.is_empty() {
        "import from the modules by their own names".to_owned()
    } else {
        format!("import {}", names.join(", "))
    };
    Some((indent + 5, instead))
}
