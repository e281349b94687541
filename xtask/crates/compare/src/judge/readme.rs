//! The variables that the README documents.

use super::hub::is_read_outside;
use super::{Item, Judge, UNREAD, Verdict};

impl Judge<'_> {
    pub fn readme(&mut self) {
        self.judge_area("readme", |judge, name, id, old, new| {
            if new.is_some() {
                return Some(Item::new(id, Verdict::Kept, old, new));
            }
            if let Some(other) = judge.same_flag_variable("readme:", name, id, old) {
                return Some(other);
            }
            let env = format!("env:{name}");
            match judge.items.get(&env) {
                Some(variable) if variable.verdict != Verdict::Kept => {
                    if let Some(documented) = judge.renamed_fact("readme:", name, id, old) {
                        return Some(documented);
                    }
                    let item = judge.goes_with(name, Item::new(id, variable.verdict, old, None));
                    let other = judge.renamed.get(name);
                    let help = other.map(|other| format!("Document {other} in its place."));
                    Some(item.help(help.unwrap_or_default()))
                }
                _ if !judge.new.has(&env) && !is_read_outside(name) => {
                    Some(Item::missing(id, old).help(UNREAD))
                }
                _ => None,
            }
        });
    }
}
