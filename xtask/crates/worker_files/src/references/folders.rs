//! Folders that are named by a bare word: `cd src`, `directory: builder`, `packages = ["src"]`.
//!
//! `src` and `builder` are words of many other things too (a build stage, an attribute of a
//! picture), so the word counts only where a path is expected.

use super::paths::is_path_char;
use super::{File, Form, Gone};
use crate::is_one_of;

/// Commands whose arguments are paths.
const TOOLS: &str = "ADD COPY bandit black cat cd chmod compileall coverage cp find flake8 isort \
    ls mkdir mv mypy pushd pylint pyright pytest rm rsync ruff tar yapf zip";

/// Keys of YAML and of settings whose values are paths.
const KEYS: &str = "context dir directory folder include mypy_path package-dir packages path \
    paths pythonpath source src testpaths where working-directory";

pub fn find(file: &mut File<'_>, gone: &Gone<'_>) {
    if file.form == Form::Prose {
        return;
    }
    for folder in gone.folders.iter().filter(|folder| !folder.contains('/')) {
        for (start, line) in file.lines() {
            for (at, _) in line.match_indices(*folder) {
                let before = line[..at].chars().next_back();
                let after = line[at + folder.len()..].chars().next();
                let is_word = !before.is_some_and(|c| is_path_char(c) || "$@{\\".contains(c))
                    && !after.is_some_and(|c| is_path_char(c) || c == '(');
                if is_word
                    && expects_path(file.form, line, at, folder.len())
                    && let Some((what, instead)) = gone.lookup(folder)
                {
                    file.hit(start + at, what, instead);
                }
            }
        }
    }
}

fn expects_path(form: Form, line: &str, at: usize, length: usize) -> bool {
    let head = &line[..at];
    let rest = &line[at + length..];
    let is_quoted = head.ends_with(['"', '\'']) && rest.starts_with(['"', '\'']);
    if line.trim_start().starts_with(['#', ';']) || line.trim_start().starts_with("//") {
        return false;
    }
    match form {
        Form::Python => {
            let lower = line.to_lowercase();
            is_quoted && (lower.contains("path") || lower.contains("join("))
        }
        Form::Settings => {
            is_quoted || key(line).is_some_and(|key| is_one_of(KEYS, key)) && !head.is_empty()
        }
        Form::Dockerfile => {
            let mut words = head.split_whitespace();
            let is_copy = words
                .next()
                .is_some_and(|word| ["COPY", "ADD"].contains(&word.to_uppercase().as_str()));
            is_copy && !head.contains("--from=") && !rest.trim().is_empty()
        }
        Form::Yaml | Form::Shell | Form::Other | Form::Hcl => {
            if !follows_blank(head) || rest.starts_with(':') {
                return false;
            }
            let names_key = key(line).is_some_and(|key| is_one_of(KEYS, key));
            let is_value = form == Form::Yaml && names_key
                || form == Form::Shell && head.trim_end_matches(['"', '\'']).ends_with('=')
                || form == Form::Shell && head.trim_end().ends_with(":=");
            is_value || after_tool(head)
        }
        Form::Paths => at == 0 && rest.trim_start().is_empty(),
        Form::Prose => false,
    }
}

/// Whether the word stands alone: behind a space, a quote, a bracket or `=`.
fn follows_blank(head: &str) -> bool {
    head.chars()
        .next_back()
        .is_none_or(|c| c.is_whitespace() || "\"'[,=(".contains(c))
}

/// The key of `key: value` and `key = value`, `- ` and quotes aside.
fn key(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("- ");
    let end = line.find([':', '='])?;
    Some(line[..end].trim().trim_matches(['"', '\'']))
}

/// Whether the command that the word belongs to takes paths.
fn after_tool(head: &str) -> bool {
    let command = head.rsplit(['|', ';', '&']).next().unwrap_or(head);
    let mut words = command.split_whitespace();
    if command.contains("--name") || command.contains("--builder") {
        return false;
    }
    words.any(|word| {
        let word = word.trim_matches(|c: char| "\"'@`(".contains(c));
        is_one_of(TOOLS, word)
    })
}
