//! The Hub's tests.

use super::super::facts::{Fact, Facts};
use super::hub::is_read_outside;
use super::{Item, Judge, Verdict, attribute};

impl Judge<'_> {
    pub fn tests(&mut self) {
        for (name, id, old, new) in self.both_sides("tests") {
            let item = match (old, new) {
                _ if name == "cuda" => self.cuda(&id, old, new),
                (Some(old), Some(new)) => Self::kept_or_changed(&id, old, new, None),
                (Some(old), None) => self.test_variable_gone(name, &id, old),
                (None, new) => {
                    let item = Item::new(&id, Verdict::Added, None, new);
                    let skips =
                        name.starts_with("config.skip") && attribute(new, "value") == Some("true");
                    if skips {
                        item.open("The Hub skips tests now.")
                    } else {
                        item
                    }
                }
            };
            // A variable that neither worker reads was no use before, either.
            let is_known = |facts: &Facts| facts.variable(name).is_some();
            let as_before = old.is_some() && (new.is_none() || !is_known(self.old));
            let is_read = is_known(self.new) || is_read_outside(name) || as_before;
            let is_variable = name != "cuda" && !name.contains('.');
            if item.open || is_read || !is_variable {
                self.push(item);
                continue;
            }
            let item = item.open(
                "The Hub's tests set it, but the new worker doesn't read it: they run without it.",
            );
            self.push(match self.renamed.get(name) {
                Some(other) => item.help(format!("Set {other} in its place.")),
                None => item,
            });
        }
    }

    /// A variable that the Hub's tests no longer set. It follows a renamed one. Nobody is told to set
    /// a variable again that the new worker doesn't read.
    pub fn test_variable_gone(&self, name: &str, id: &str, old: &Fact) -> Item {
        if let Some(item) = self.other_variable("tests:", name, id, old) {
            return item;
        }
        let gone = Item::missing(id, old);
        if let Some((kind @ ("test" | "config"), _)) = name.split_once('.') {
            let gone = gone.help("Write it into .runpod/tests.json again, or record why not.");
            return match kind {
                "test" => gone.why("The Hub doesn't run this test any more."),
                _ => gone.why("The Hub's tests run without this setting now."),
            };
        }
        // What no code of the old worker reads, another program than SGLang reads that it starts.
        let was_read = self.old.has("step:start SGLang") || self.old.variable(name).is_some();
        let is_read = self.new.variable(name).is_some() || is_read_outside(name);
        if was_read && !is_read {
            let why = "The new worker doesn't read it, so that its tests need not set it.";
            return gone.closed().why(why);
        }
        gone
    }
}
