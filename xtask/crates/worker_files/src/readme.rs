//! The README's tables of environment variables, and those of the pages that it leads to.

use super::{Place, Source};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    pub name: String,
    /// From the column whose head mentions a default.
    pub default: Option<String>,
    pub place: Place,
}

pub fn read(source: &Source) -> Vec<Documented> {
    tables(source, |_| true)
}

/// Reads a page of the documentation. Only tables with defaults count: others may name variables
/// for other reasons.
pub fn read_page(source: &Source) -> Vec<Documented> {
    tables(source, |default_column| default_column.is_some())
}

/// The pages below `docs/` that a README links to, each once.
pub fn pages(source: &Source) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for rest in source.text.split("](").skip(1) {
        let link = rest.split([')', '#', ' ']).next().unwrap_or_default();
        let link = link.strip_prefix("./").unwrap_or(link);
        let is_page =
            link.starts_with("docs/") && link.strip_suffix(".md").is_some() && !link.contains("..");
        if is_page && !found.iter().any(|known| known == link) {
            found.push(link.to_owned());
        }
    }
    found
}

fn tables(source: &Source, counts: impl Fn(Option<usize>) -> bool) -> Vec<Documented> {
    let mut found = Vec::new();
    let mut default_column = None;
    let mut name_column = 0;
    let mut in_table = false;
    for (start, line) in source.lines() {
        let trimmed = line.trim();
        if !trimmed.contains('|') {
            in_table = false;
            continue;
        }
        let cells = cells(trimmed);
        if !in_table {
            in_table = true;
            let is_default = |cell: &&str| cell.to_lowercase().contains("default");
            default_column = cells.iter().position(is_default);
            let is_name = |cell: &&str| {
                let head = cell.to_lowercase();
                head.contains("variable") || head.split_whitespace().any(|word| word == "env")
            };
            name_column = cells.iter().position(is_name).unwrap_or_default();
        }
        let cell = cells.get(name_column).copied().unwrap_or_default();
        let names = names(cell).filter(|_| counts(default_column));
        for name in names.into_iter().flatten() {
            let at = start + line.find(name).unwrap_or_default();
            let default = default_column.and_then(|column| cells.get(column));
            let default = default.map(|cell| cell.trim_matches(['`', '"', '\'', '*', ' ']));
            let default = default.filter(|default| !["", "-", "—"].contains(default));
            found.push(Documented {
                place: source.place(at..at + name.len()),
                name: name.to_owned(),
                default: default.map(str::to_owned),
            });
        }
    }
    found
}

fn cells(line: &str) -> Vec<&str> {
    let line = line.strip_prefix('|').unwrap_or(line);
    let line = line.strip_suffix('|').unwrap_or(line);
    // A bar behind a backslash is text.
    let mut before = ' ';
    let cells = line.split(|c| std::mem::replace(&mut before, c) != '\\' && c == '|');
    cells.map(str::trim).collect()
}

/// The variables that a cell names, where it says nothing else: `A` / `B`, or a link around a name.
fn names(cell: &str) -> Option<Vec<&str>> {
    let linked = cell
        .strip_prefix('[')
        .and_then(|cell| cell.split_once("]("));
    let cell = linked.map_or(cell, |(name, _)| name);
    let parts = cell
        .split([',', '/'])
        .map(|part| part.trim_matches(['`', '*', ' ']));
    let names: Vec<&str> = parts.collect();
    names.iter().all(|name| is_variable(name)).then_some(names)
}

/// Whether a cell is the name of a variable: capital letters, digits and underscores alone.
fn is_variable(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let begins = text.starts_with(|c: char| c.is_ascii_uppercase());
    text.len() > 1 && begins && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_begin_with_a_variable() {
        let source = Source::new(
            "README.md".into(),
            b"| Env | Description | Default |\n|---|---|---|\n| `A_B` | a \\| b | `3` |\n| nothing | x | y |\n| **C1** | | |\n\ntext | here\nD | no\n",
        );
        let found = read(&source);
        let names: Vec<_> = found
            .iter()
            .map(|d| (d.name.as_str(), d.default.as_deref()))
            .collect();
        assert_eq!(names, [("A_B", Some("3")), ("C1", None)]);
        assert_eq!((found[0].place.line, found[0].place.column), (3, 4));
    }

    #[test]
    fn pages_that_tell_defaults_continue_the_readme() {
        let readme =
            b"[all](docs/all.md#a), [again](./docs/all.md), [code](docs/x.py), [up](docs/../x.md)";
        let pages = pages(&Source::new("README.md".into(), readme));
        assert_eq!(pages, ["docs/all.md"]);
        let page = b"| Name | Default |\n|---|---|\n| `AB` | `3` |\n\n| Name | Now |\n|---|---|\n| `CD` | gone |\n";
        let found = read_page(&Source::new("docs/all.md".into(), page));
        assert_eq!((found.len(), found[0].name.as_str()), (1, "AB"));
    }
}
