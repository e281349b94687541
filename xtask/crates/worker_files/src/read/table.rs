//! The flag table, and the variables that count as read because of it.

use super::{Reader, Source, hub};
use crate::{Drive, EnvRead, FlagTable, How, Place, TableFlag, Unread, json};
use xtask_core::sglang;

const TABLE: &str = "sglang_flags.json";

impl Reader<'_> {
    /// An engine that loads `sglang_flags.json` reads a variable for each flag and alias in it,
    /// however it goes about it.
    pub fn table(&mut self) {
        let sources = std::mem::take(&mut self.surface.sources);
        if let Some(source) = sources
            .values()
            .find(|source| source.path.name() == TABLE.as_bytes())
        {
            // A file that the image doesn't hold, or that only a comment names, decides nothing.
            let opens = |source: &Source| {
                source.path.name().ends_with(b".py")
                    && self.holds(&source.path)
                    && names_file(source, TABLE)
            };
            let loads = self.holds(&source.path) && sources.values().any(opens);
            self.read_table(source, loads);
        }
        self.surface.sources = sources;
    }

    fn read_table(&mut self, source: &Source, loads: bool) {
        let parsed = json::parse(source.text.as_bytes());
        let Some(root) = parsed.root else {
            self.unread.extend(hub::root(source).err());
            return;
        };
        let mut table = FlagTable {
            version: root
                .get("version")
                .and_then(json::Node::as_str)
                .map(str::to_owned),
            flags: Vec::new(),
        };
        for member in root
            .get("flags")
            .map(json::Node::members)
            .unwrap_or_default()
        {
            let kind = member
                .value
                .get("kind")
                .and_then(json::Node::as_str)
                .unwrap_or("value");
            let aliases = member
                .value
                .get("aliases")
                .map(json::Node::items)
                .unwrap_or_default();
            table.flags.push(TableFlag {
                flag: member.key.clone(),
                aliases: aliases
                    .iter()
                    .filter_map(|a| a.as_str().map(str::to_owned))
                    .collect(),
                is_switch: matches!(kind, "store_true" | "no_value" | "boolean_optional"),
                place: source.place(member.key_span.clone()),
            });
        }
        if loads {
            for flag in &table.flags {
                let how = if flag.is_switch {
                    How::Switch { words: Vec::new() }
                } else {
                    How::Value
                };
                let names = std::iter::once(&flag.flag).chain(&flag.aliases);
                for name in names.filter(|name| name.starts_with("--")) {
                    self.table_read(
                        &sglang::env_name(name),
                        &flag.flag,
                        how.clone(),
                        &flag.place,
                    );
                }
            }
            // What SGLang has dropped, where the table says which flag took its place.
            for member in root
                .get("retired")
                .map(json::Node::members)
                .unwrap_or_default()
            {
                let instead = member
                    .value
                    .get("instead")
                    .map(json::Node::items)
                    .unwrap_or_default();
                let Some(flag) = instead.first().and_then(json::Node::as_str) else {
                    continue;
                };
                let kind = member.value.get("kind").and_then(json::Node::as_str);
                let how = if kind == Some("boolean") {
                    How::Switch { words: Vec::new() }
                } else {
                    How::Value
                };
                let place = source.place(member.key_span.clone());
                self.table_read(&sglang::env_name(&member.key), flag, how, &place);
            }
            // More names for some flags, as a dict from name to flag.
            for (name, flag, place) in self.surface.python.tables.clone() {
                self.table_read(&name, &flag, How::Value, &place);
            }
            for gap in self.unread.iter_mut().filter(|gap| computed_name(gap)) {
                "the name of this environment variable is computed; every flag in \
                 sglang_flags.json counts as read"
                    .clone_into(&mut gap.what);
            }
        }
        self.surface.flag_table = Some(table);
    }

    /// Notes that a variable is read because a table names it.
    fn table_read(&mut self, name: &str, flag: &str, how: How, place: &Place) {
        let drives = Drive {
            flag: flag.to_owned(),
            how,
        };
        let mut known = false;
        for read in self.surface.env.iter_mut().filter(|read| read.name == name) {
            known = true;
            if read.drives.is_none() {
                read.drives = Some(drives.clone());
                read.by_table = true;
            }
        }
        if !known {
            self.surface.env.push(EnvRead {
                drives: Some(drives),
                by_table: true,
                ..EnvRead::new(name, None, place.clone())
            });
        }
    }
}

/// Whether a gap is about a variable's name: an engine that goes by the flag table computes them
/// all, and the table tells them.
fn computed_name(gap: &Unread) -> bool {
    gap.what.contains("environment variable is computed")
}

/// Whether code names a file, in quotes; a comment says nothing.
pub fn names_file(source: &Source, name: &str) -> bool {
    source.text.match_indices(name).any(|(at, _)| {
        let after = source.text[at + name.len()..].starts_with(['"', '\'']);
        let line = source.text[..at].rfind('\n').map_or(0, |start| start + 1);
        let before = &source.text[line..at];
        let ends = before.ends_with(['"', '\'', '/']);
        after && ends && !before.trim_start().starts_with('#') && !before.contains(" #")
    })
}
