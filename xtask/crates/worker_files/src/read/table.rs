//! The flag table, and the variables that count as read because of it.

use super::{Reader, Source, hub};
use crate::{EnvRead, FlagKind, FlagMapping, FlagTable, Place, TableFlag, is_one_of, json, python};
use xtask_core::sglang;

const TABLE: &str = "sglang_flags.json";

impl Reader<'_> {
    /// A table that names itself as the environment's interface, by the key
    /// `environment_interface`, says which variables the worker reads: one for each flag and alias
    /// in it. That counts where code that runs opens the table and the image holds it.
    pub fn table(&mut self) {
        let sources = std::mem::take(&mut self.interface.sources);
        let is_table = |source: &&Source| source.path.name() == TABLE.as_bytes();
        if let Some(source) = sources.values().find(is_table) {
            let opens = self.holds(&source.path) && self.interface.python.opens.contains(TABLE);
            self.read_table(source, opens);
        }
        self.interface.sources = sources;
    }

    fn read_table(&mut self, source: &Source, opens: bool) {
        let parsed = json::parse(source.text.as_bytes());
        let Some(root) = parsed.root else {
            self.unread.extend(hub::root(source).err());
            return;
        };
        let mut table = FlagTable {
            version: root.text("version").map(str::to_owned),
            flags: Vec::new(),
        };
        let texts = |nodes: &[json::JsonNode]| -> Vec<String> {
            let texts = nodes.iter().filter_map(json::JsonNode::as_str);
            texts.map(str::to_owned).collect()
        };
        for member in root.object("flags") {
            let text = |key: &str| member.value.text(key).unwrap_or_default();
            let switches = "store_true no_value boolean_optional";
            table.flags.push(TableFlag {
                flag: member.key.clone(),
                aliases: texts(member.value.list("aliases")),
                is_refused: text("effect").starts_with("raises"),
                is_switch: is_one_of(switches, text("kind")),
                place: source.place(member.key_span.clone()),
            });
        }
        if opens && root.is_true("environment_interface") {
            let words = texts(root.list("true_words"));
            let how = |is_switch: bool| {
                let words = words.clone();
                let switch = is_switch.then_some(FlagKind::Switch { words });
                switch.unwrap_or(FlagKind::Value)
            };
            for flag in table.flags.iter().filter(|flag| !flag.is_refused) {
                let names = std::iter::once(&flag.flag).chain(&flag.aliases);
                for name in names.filter(|name| name.starts_with("--")) {
                    let name = sglang::env_name(name);
                    self.table_read(&name, &flag.flag, how(flag.is_switch), &flag.place);
                }
            }
            // What SGLang has dropped, where the table says which flag took its place.
            for member in root.object("retired") {
                let instead = member.value.list("instead").first();
                if let Some(flag) = instead.and_then(json::JsonNode::as_str) {
                    let how = how(member.value.text("kind") == Some("boolean"));
                    let place = source.place(member.key_span.clone());
                    self.table_read(&sglang::env_name(&member.key), flag, how, &place);
                }
            }
            // More names for some flags, as a dict from name to flag.
            for (name, flag, place) in self.interface.python.tables.clone() {
                self.table_read(&name, &flag, FlagKind::Value, &place);
            }
            // Those names are what the code beside the table computes.
            let folder = source.path.parent();
            self.unread.retain(|unread| {
                let mut above = unread.place.file.ancestors();
                let folder = folder.as_ref();
                let beside = folder.is_none_or(|folder| above.any(|it| it == *folder));
                !beside || unread.what != python::COMPUTED_NAME
            });
        }
        self.interface.flag_table = Some(table);
    }

    /// A variable whose value another one is set to drives what that one drives.
    pub fn handed(&mut self) {
        for (name, other) in &self.interface.python.handed {
            let mut others = self.interface.env.iter();
            let driver = others.find(|read| read.name == *other && read.drives.is_some());
            let Some(driver) = driver.cloned() else {
                continue;
            };
            let reads = self.interface.env.iter_mut();
            for read in reads.filter(|read| read.name == *name && read.reached) {
                if read.drives.is_none() {
                    read.drives.clone_from(&driver.drives);
                    read.by_table = driver.by_table;
                }
            }
        }
    }

    fn table_read(&mut self, name: &str, flag: &str, how: FlagKind, place: &Place) {
        let drives = FlagMapping {
            flag: flag.to_owned(),
            how,
        };
        let mut known = false;
        // What nothing runs reads it for itself.
        let reads = self.interface.env.iter_mut();
        for read in reads.filter(|read| read.name == name && read.reached) {
            known = true;
            if read.drives.is_none() {
                read.drives = Some(drives.clone());
                read.by_table = true;
            }
        }
        if !known {
            self.interface.env.push(EnvRead {
                drives: Some(drives),
                by_table: true,
                ..EnvRead::new(name, None, place.clone())
            });
        }
    }
}
