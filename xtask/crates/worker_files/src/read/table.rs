//! The flag table, and the variables that count as read because of it.

use super::{Reader, Source, Unread};
use crate::json::{self, JsonNode, Member};
use crate::{EnvRead, FlagKind, FlagMapping, FlagTable, Place, TableFlag, is_one_of, python};
use xtask_core::sglang;

const TABLE: &str = "sglang_flags.json";

impl Reader<'_> {
    /// A table with `"environment_interface": true` says which variables the worker reads: one for
    /// each flag and alias. That counts if code that runs opens the table and the image holds it.
    pub fn flag_table(&mut self) {
        let is_table = |source: &&Source| source.path.name() == TABLE.as_bytes();
        let Some(source) = self.interface.sources.values().find(is_table).cloned() else {
            return;
        };
        let root = match json::read(&source) {
            Ok(root) => root,
            Err(unread) => return self.unread.push(unread),
        };
        let texts = |nodes: &[JsonNode]| -> Vec<String> {
            let texts = nodes.iter().filter_map(JsonNode::as_str);
            texts.map(str::to_owned).collect()
        };
        let flag = |member: &Member| {
            let text = |key: &str| member.value.text(key).unwrap_or_default();
            TableFlag {
                flag: member.key.clone(),
                aliases: texts(member.value.list("aliases")),
                is_refused: text("effect").starts_with("raises"),
                is_switch: is_one_of("store_true no_value boolean_optional", text("kind")),
                place: member.place(&source),
            }
        };
        let flags: Vec<TableFlag> = root.object("flags").iter().map(flag).collect();
        let is_open = self.holds(&source.path) && self.interface.python.opens.contains(TABLE);
        if is_open && root.is_true("environment_interface") {
            let words = texts(root.list("true_words"));
            let kind = |is_switch: bool| {
                let words = words.clone();
                let switch = is_switch.then_some(FlagKind::Switch { words });
                switch.unwrap_or(FlagKind::Value)
            };
            for flag in flags.iter().filter(|flag| !flag.is_refused) {
                let names = std::iter::once(&flag.flag).chain(&flag.aliases);
                for name in names.filter(|name| name.starts_with("--")) {
                    let name = sglang::env_name(name);
                    self.table_read(&name, &flag.flag, kind(flag.is_switch), &flag.place);
                }
            }
            // Flags that SGLang has dropped, if the table names the flag that replaces them.
            for member in root.object("retired") {
                let instead = member.value.list("instead").first();
                if let Some(flag) = instead.and_then(JsonNode::as_str) {
                    let kind = kind(member.value.text("kind") == Some("boolean"));
                    let name = sglang::env_name(&member.key);
                    self.table_read(&name, flag, kind, &member.place(&source));
                }
            }
            // More names for some flags, as a dict from name to flag.
            for (name, flag, place) in self.interface.python.tables.clone() {
                self.table_read(&name, &flag, FlagKind::Value, &place);
            }
            // The code next to the table computes those names.
            let folder = source.path.parent();
            let is_beside = |place: &Place| {
                let mut above = place.file.ancestors();
                let folder = folder.as_ref();
                folder.is_none_or(|folder| above.any(|it| it == *folder))
            };
            let is_known = |it: &Unread| it.what == python::COMPUTED_NAME && is_beside(&it.place);
            self.unread.retain(|unread| !is_known(unread));
        }
        let version = root.text("version").map(str::to_owned);
        self.interface.flag_table = Some(FlagTable { version, flags });
    }

    /// A variable that another one is set to drives the same flag as that one.
    pub fn follow_copies(&mut self) {
        for (name, copy_of) in self.interface.python.handed.clone() {
            let flag = |read: &EnvRead| Some((read.drives.clone()?, read.by_table));
            let found = self.interface.reads(&copy_of).find_map(flag);
            if let Some((flag, by_table)) = found {
                self.set_driven(&name, &flag, by_table);
            }
        }
    }

    fn table_read(&mut self, name: &str, flag: &str, how: FlagKind, place: &Place) {
        let flag = flag.to_owned();
        let flag = FlagMapping { flag, how };
        if !self.set_driven(name, &flag, true) {
            self.interface.env.push(EnvRead {
                drives: Some(flag),
                by_table: true,
                ..EnvRead::new(name, None, place.clone())
            });
        }
    }

    /// Sets the flag of a variable that has none yet; false if no code that runs reads it.
    fn set_driven(&mut self, name: &str, flag: &FlagMapping, by_table: bool) -> bool {
        let mut is_read = false;
        let reads = self.interface.env.iter_mut();
        for read in reads.filter(|read| read.name == name && read.reached) {
            is_read = true;
            if read.drives.is_none() {
                read.drives = Some(flag.clone());
                read.by_table = by_table;
            }
        }
        is_read
    }
}
