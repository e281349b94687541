//! Where a repository stands, for people and for programs.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::repository_status::{Known, Layout, RepositoryStatus, UnderWay};
use super::shown;
use xtask_core::cli::Format;
use xtask_core::commands::Commands;
use xtask_core::layout::{BASELINE, LOCK, OUTDATED};
use xtask_core::output::style::{BOLD, DIM, GREEN, RED, YELLOW};
use xtask_core::output::{self, counted};

/// Prints it.
pub fn print(
    root: &Path,
    at: &RepositoryStatus,
    commands: &Commands,
    format: Format,
) -> Result<()> {
    let next = at.next(commands);
    match format {
        Format::Json => {
            let mut value = json!({ "version": 1, "root": root.display().to_string() });
            if let (Value::Object(all), Value::Object(parts)) =
                (&mut value, serde_json::to_value(at)?)
            {
                all.extend(parts);
                all.insert("next".to_owned(), json!(next));
            }
            output::print_plain(&format!("{value:#}\n"))
        }
        Format::Text => {
            let mut out = format!("{BOLD}{}{BOLD:#}", shown(root).display());
            out += &repository(at);
            out += "\n\n";
            for (name, text) in lines(at) {
                out += &format!("  {DIM}{name:10}{DIM:#}{text}\n");
            }
            out += &format!("\nNext: {}\n\n    {}\n", next.why, next.command);
            output::print(&out)
        }
    }
}

fn repository(at: &RepositoryStatus) -> String {
    match &at.repository {
        Known::Is(repository) => {
            let head = match &repository.head {
                Some(head) => format!("{} at {}", repository.branch, short(head)),
                None => format!("{}, without a commit yet", repository.branch),
            };
            let changed = match repository.changed {
                0 => String::new(),
                count => format!(", {} not committed", counted(count, "change")),
            };
            format!(": {head}{changed}")
        }
        Known::None => String::new(),
        Known::Unknown(why) => format!(": {why}"),
    }
}

fn lines(at: &RepositoryStatus) -> Vec<(&'static str, String)> {
    let mut lines = vec![("layout", layout(at))];
    if at.layout == Layout::Unknown {
        return lines;
    }
    lines.push(("upstream", upstream(at)));
    let outdated = match at.outdated {
        0 => "not there".to_owned(),
        count => counted(count, "file"),
    };
    lines.push(("outdated/", outdated));
    lines.push(("compare", compared(at)));
    lines.push(("hub-lint", linted(at)));
    lines.push(("image", image(at)));
    lines
}

fn layout(at: &RepositoryStatus) -> String {
    let layout = match at.layout {
        Layout::Legacy | Layout::Modern if at.is_for_another_engine => format!(
            "{YELLOW}no worker for SGLang{YELLOW:#}: no import, command, base image or \
             requirement names that"
        ),
        Layout::Legacy => format!("{YELLOW}legacy{YELLOW:#}"),
        Layout::Modern => format!("{GREEN}modern{GREEN:#}"),
        Layout::Unknown => format!(
            "{YELLOW}no worker{YELLOW:#}: neither handler.py beside .runpod/hub.json nor \
             src/handler.py is here"
        ),
    };
    let state = match &at.under_way {
        None => return layout,
        Some(UnderWay::Interrupted) => "a migration was interrupted",
        Some(UnderWay::Conflicts) => "conflicts of a migration wait to be resolved",
        Some(UnderWay::Resolved) => "conflicts of a migration are resolved, and it is not finished",
        Some(UnderWay::Marked(_)) => "conflict markers of a migration are staged",
        Some(UnderWay::Staged) => "a migration is staged and not committed",
        Some(UnderWay::Cleanup) => "a cleanup was interrupted",
        Some(UnderWay::CleanupStaged) => "the removal of outdated/ is staged and not committed",
        Some(UnderWay::RemovalStaged) => {
            "the removal of outdated/ is staged, and was not checked by cleanup"
        }
        Some(UnderWay::Unreadable(record)) => &record.what(),
        Some(UnderWay::Git(what)) => return format!("{layout}; {RED}{what} is under way{RED:#}"),
    };
    format!("{layout}; {RED}{state}{RED:#}")
}

fn upstream(at: &RepositoryStatus) -> String {
    let upstream = match &at.upstream {
        Known::Is(upstream) => upstream,
        Known::None if at.is_tools_own => {
            return "none: this repository holds the tool, and is one itself".to_owned();
        }
        Known::None => return format!("none recorded: there is no {LOCK}"),
        Known::Unknown(why) => return why.clone(),
    };
    let mut text = upstream.address.clone();
    if let Some(rev) = &upstream.rev {
        text += &format!(" ({rev})");
    }
    if let Some(commit) = &upstream.commit {
        text += &format!(" at {}", short(commit));
    }
    let standing = match &upstream.behind {
        Known::Is(0) => format!("{GREEN}nothing new there{GREEN:#}"),
        Known::Is(count) => {
            let commits = counted(*count, "commit");
            format!("{YELLOW}{commits} behind{YELLOW:#}")
        }
        Known::Unknown(why) if why.ends_with("was not asked") => {
            format!("{why} whether it moved on (`migrate --check` asks)")
        }
        Known::Unknown(why) => format!("how far behind is not known: {why}"),
        Known::None => return text,
    };
    format!("{text}: {standing}")
}

fn compared(at: &RepositoryStatus) -> String {
    match &at.compare {
        Known::Is(counts) => {
            let mut parts = vec![if counts.open == 0 {
                format!("{GREEN}nothing open{GREEN:#}")
            } else {
                format!("{RED}{} open{RED:#}", counts.open)
            }];
            if counts.stale > 0 {
                parts.push(format!("{RED}{} stale{RED:#}", counts.stale));
            }
            if counts.accepted > 0 {
                parts.push(format!("{} accepted", counts.accepted));
            }
            parts.join(", ")
        }
        Known::None => format!("nothing to compare with: neither {OUTDATED}/ nor {BASELINE}"),
        Known::Unknown(why) => why.clone(),
    }
}

fn linted(at: &RepositoryStatus) -> String {
    match &at.lint {
        Known::Is(counts) if counts.errors + counts.warnings == 0 => {
            let notes = counts.to_string();
            let notes = if notes.is_empty() {
                "nothing found".to_owned()
            } else {
                notes
            };
            format!("{GREEN}{notes}{GREEN:#}")
        }
        Known::Is(counts) => format!("{RED}{counts}{RED:#}"),
        Known::None => "no file of the Hub's is here".to_owned(),
        Known::Unknown(why) => why.clone(),
    }
}

fn image(at: &RepositoryStatus) -> String {
    match &at.image {
        Known::Is(image) => {
            let head = match &at.repository {
                Known::Is(repository) => repository.head.as_deref(),
                _ => None,
            };
            let age = match image.behind {
                0 if head == Some(&*image.commit) => "HEAD".to_owned(),
                0 => "newer than HEAD".to_owned(),
                count => format!("{} ago", counted(count, "commit")),
            };
            let dirty = if image.dirty {
                ", with changes that were not committed"
            } else {
                ""
            };
            let day = image.created.split('T').next().unwrap_or_default();
            format!(
                "{} of {} ({age}{dirty}), made on {day}",
                image.name,
                short(&image.commit)
            )
        }
        Known::None => "none was built of this repository".to_owned(),
        Known::Unknown(why) => format!("not known: {why}"),
    }
}

fn short(oid: &str) -> &str {
    oid.get(..10).unwrap_or(oid)
}
