//! The Dockerfile: which files it takes from the build context, and how to say so after the move.

mod copy;
mod mount;
#[cfg(test)]
mod places;
mod writer;

use std::ops::Range;

use parse_dockerfile::Instruction;

use super::scope::{Scope, assignments};
use super::{Change, NotUnderstood, PathMap, Rewritten, Text, heredoc};
use worker_files::glob::{Glob, is_pattern};
use xtask_core::tree::RepoPath;

/// Something that the build takes from its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The path as the build cleans it, without outer slashes; empty for the whole context.
    pub path: String,
    pub line: usize,
}

impl Copied {
    /// Whether the build takes the whole context.
    pub fn is_everything(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether the build takes the file `path`: by its name, by a folder or by a pattern.
    pub fn covers(&self, path: &RepoPath) -> bool {
        if self.is_everything() || path.is_within(&self.path) {
            return true;
        }
        if !is_pattern(&self.path) {
            return false;
        }
        let text = String::from_utf8_lossy(path.as_bytes());
        let depth = self.path.split('/').count();
        let head: Vec<&str> = text.split('/').take(depth).collect();
        head.len() == depth
            && Glob::new(&self.path, false).is_some_and(|glob| glob.matches(&head.join("/")))
    }
}

/// Every path that `COPY`, `ADD` and bind mounts take from the build context.
pub fn copied_paths(dockerfile: &[u8]) -> Result<Vec<Copied>, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut found = Vec::new();
    walk(&text, |text, instruction, scope| {
        match instruction {
            Instruction::Run(run) => {
                for mount in mount::mounts(text, run, scope)? {
                    let line = text.line(mount.flag.start);
                    found.push(Copied {
                        path: mount.path,
                        line,
                    });
                }
            }
            other => {
                if let Some(copy) = copy::Copy::of(other, false) {
                    for (path, span) in copy.sources(text, scope)? {
                        let line = text.line(span.start);
                        found.push(Copied { path, line });
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The names of the build arguments that a Dockerfile declares, in order.
pub fn arguments(dockerfile: &[u8]) -> Result<Vec<String>, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut names = Vec::new();
    walk(&text, |_, instruction, _| {
        if let Instruction::Arg(arg) = instruction {
            for (name, _) in assignments(&arg.arguments.value) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Ok(())
    })?;
    Ok(names)
}

/// The Dockerfile with every path of the build context where it lies in the result. The image gets
/// the same files at the same places as before, without those that do not come along: these are in
/// the notes.
pub fn dockerfile(dockerfile: &[u8], map: &PathMap) -> Result<Rewritten, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut output = Output::default();
    walk(&text, |text, instruction, scope| {
        match instruction {
            Instruction::Run(run) => {
                for mount in mount::mounts(text, run, scope)? {
                    mount::rewrite(text, &mount, map, &mut output)?;
                }
            }
            other => {
                let in_onbuild = matches!(other, Instruction::Onbuild(_));
                if let Some(copy) = copy::Copy::of(other, in_onbuild) {
                    let sources = copy.sources(text, scope)?;
                    if in_onbuild && !sources.is_empty() && !map.root.is_empty() {
                        return Err(text.refuse(
                            copy.start,
                            "ONBUILD copies from the context of another build",
                            "copy the files in the Dockerfile that builds on this image",
                        ));
                    }
                    copy::rewrite(text, &copy, &sources, map, &mut output)?;
                }
            }
        }
        Ok(())
    })?;
    Ok(Rewritten {
        bytes: text.edited(output.edits)?,
        changes: output.changes,
        notes: output.notes,
    })
}

/// What a rewrite gathers on its way.
#[derive(Default)]
struct Output {
    edits: Vec<(Range<usize>, String)>,
    changes: Vec<Change>,
    notes: Vec<String>,
}

/// Calls `each` with every instruction and the variables that it sees.
fn walk(
    text: &Text<'_>,
    mut each: impl FnMut(&Text<'_>, &Instruction<'_>, &Scope) -> Result<(), NotUnderstood>,
) -> Result<(), NotUnderstood> {
    let hidden = heredoc::hidden(text.body).map_err(|offset| {
        text.refuse(
            offset,
            "a here-document that never ends",
            "end it with a line that holds nothing but its name",
        )
    })?;
    let parsed = parse_dockerfile::parse(&hidden).map_err(|error| NotUnderstood {
        line: error.line().max(1),
        column: error.column().max(1),
        what: format!("{error:#}"),
        help: "fix the upstream's Dockerfile; `docker build --check` reads it the same way"
            .to_owned(),
    })?;
    let mut scope = Scope::default();
    for instruction in &parsed.instructions {
        match instruction {
            Instruction::From(_) => scope.enter_stage(),
            Instruction::Arg(arg) => scope.declare(&arg.arguments.value),
            Instruction::Env(env) => scope.set(&env.arguments.value),
            _ => {}
        }
        each(text, instruction, &scope)?;
    }
    Ok(())
}

fn fill_in(
    text: &Text<'_>,
    scope: &Scope,
    word: &str,
    offset: usize,
) -> Result<String, NotUnderstood> {
    scope.expand(word).map_err(|name| {
        text.refuse(
            offset,
            format!(
                "the source `{word}` depends on `{name}`, whose value is not in the Dockerfile"
            ),
            "write the path itself, or give the variable a literal default in this stage",
        )
    })
}

fn climbs(text: &Text<'_>, offset: usize, word: &str) -> NotUnderstood {
    text.refuse(
        offset,
        format!("the source `{word}` climbs with `..`"),
        "write the path from the root of the build context",
    )
}

fn refuse_source(text: &Text<'_>, offset: usize, what: String) -> NotUnderstood {
    text.refuse(
        offset,
        what,
        "take an upstream whose Dockerfile copies from its worker folder only, or fix its \
         Dockerfile there",
    )
}

#[cfg(test)]
mod tests;
