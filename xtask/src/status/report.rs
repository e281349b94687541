//! The state of a repository, for people and for programs.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::{Known, RepositoryStatus};
use xtask_core::cli::Format;
use xtask_core::commands::Commands;
use xtask_core::layout::{BASELINE, LOCK, Layout, OUTDATED};
use xtask_core::output::style::{BOLD, DIM, GREEN, RED, YELLOW};
use xtask_core::output::{self, counted};
use xtask_core::tree::short;

pub fn print(
    root: &Path,
    at: &RepositoryStatus,
    commands: &Commands,
    format: Format,
) -> Result<()> {
    let (next, root) = (at.next(commands), root.display());
    if format == Format::Json {
        let what = json!({ "version": 1, "root": root.to_string(), "next": next });
        return output::print_parts(&[&what, &json!(at)]);
    }
    let mut out = format!("{BOLD}{root}{BOLD:#}{}\n\n", repository(at));
    for (name, text) in lines(at, commands) {
        out += &format!("  {DIM}{name:10}{DIM:#}{text}\n");
    }
    out += &format!("\nNext: {}\n\n    {}\n", next.why, next.command);
    output::print(&out)
}

fn repository(at: &RepositoryStatus) -> String {
    match &at.repository {
        Ok(Some(repository)) => {
            let mut text = match &repository.head {
                Some(head) => format!(": {} at {}", repository.branch, short(head)),
                None => format!(": {}, without a commit yet", repository.branch),
            };
            if repository.changed > 0 {
                text += &format!(", {} not committed", counted(repository.changed, "change"));
            }
            text
        }
        Ok(None) => String::new(),
        Err(why) => format!(": {why}"),
    }
}

fn lines(at: &RepositoryStatus, commands: &Commands) -> Vec<(&'static str, String)> {
    let mut lines = vec![("layout", layout(at, commands))];
    if at.layout == Layout::Unknown {
        return lines;
    }
    let outdated = match at.outdated {
        0 => "not there".to_owned(),
        count => counted(count, "file"),
    };
    let none_recorded = if at.is_tools_own {
        "none: this repository holds the tool, and is one itself".to_owned()
    } else {
        format!("none recorded: there is no {LOCK}")
    };
    let no_past = format!("nothing to compare with: neither {OUTDATED}/ nor {BASELINE}");
    let no_file = "no file of the Hub's is here".to_owned();
    lines.extend([
        ("upstream", text(&at.upstream, none_recorded, upstream)),
        ("outdated/", outdated),
        ("compare", text(&at.compare, no_past, compared)),
        ("hub-lint", text(&at.lint, no_file, linted)),
    ]);
    lines
}

/// The words for a part of the state; `none` where it does not exist.
fn text<T>(part: &Known<T>, none: String, words: impl FnOnce(&T) -> String) -> String {
    match part {
        Ok(Some(value)) => words(value),
        Ok(None) => none,
        Err(why) => why.clone(),
    }
}

fn layout(at: &RepositoryStatus, commands: &Commands) -> String {
    let layout = match at.layout {
        Layout::Legacy | Layout::Modern if at.is_for_another_engine => format!(
            "{YELLOW}no worker for SGLang{YELLOW:#}: no import, command, base image or \
             requirement names that"
        ),
        Layout::Legacy => format!("{YELLOW}legacy{YELLOW:#}"),
        Layout::Modern => format!("{GREEN}modern{GREEN:#}"),
        Layout::Unknown if at.has_root_handler => format!(
            "{YELLOW}no layout that is known{YELLOW:#}: handler.py is at the root, without \
             .runpod/hub.json"
        ),
        Layout::Unknown => format!(
            "{YELLOW}no worker{YELLOW:#}: neither handler.py beside .runpod/hub.json nor \
             src/handler.py is here"
        ),
    };
    match &at.under_way {
        None => layout,
        Some(state) => format!("{layout}; {RED}{}{RED:#}", state.describe(commands).0),
    }
}

fn upstream(upstream: &super::RecordedUpstream) -> String {
    let mut text = upstream.address.clone();
    if let Some(rev) = &upstream.rev {
        text += &format!(" ({rev})");
    }
    if let Some(commit) = &upstream.commit {
        text += &format!(" at {}", short(commit));
    }
    text
}

fn compared(counts: &compare::OpenCounts) -> String {
    let mut text = match counts.open {
        0 => format!("{GREEN}nothing open{GREEN:#}"),
        open => format!("{RED}{open} open{RED:#}"),
    };
    if counts.stale > 0 {
        text += &format!(", {RED}{} stale{RED:#}", counts.stale);
    }
    if counts.accepted > 0 {
        text += &format!(", {} accepted", counts.accepted);
    }
    text
}

fn linted(counts: &hub_lint::Counts) -> String {
    match counts.to_string() {
        none if none.is_empty() => format!("{GREEN}nothing found{GREEN:#}"),
        found => format!("{RED}{found}{RED:#}"),
    }
}
