//! Compose and bake: the other ways to build a worker and to start it.

use xtask_core::sglang;

use super::super::facts::{Fact, Facts};
use super::{Item, Judge, Verdict};

impl<'a> Judge<'a> {
    pub fn rest(&mut self) {
        self.renamed_service();
        self.each("compose", |judge, name, id, old, new| match new {
            Some(new) => Self::kept_or_changed(id, old, new, None),
            None => judge.compose_gone(name, id, old),
        });
        self.undeclared_arguments();
        self.simple(
            "bake",
            "The bake file doesn't have it any more: builds that name it fail.",
            "Give the target that name again, or record what to build instead.",
        );
    }

    /// The only service on each side is the same service, whatever it is called.
    fn renamed_service(&mut self) {
        let only = |facts: &'a Facts| -> Option<&'a str> {
            let mut names = facts
                .area("compose")
                .map(|(id, _)| id.split('.').next().unwrap_or(id));
            let first = names.next()?;
            names.all(|name| name == first).then_some(first)
        };
        let (Some(was), Some(is)) = (only(self.old), only(self.new)) else {
            return;
        };
        if was == is {
            return;
        }
        for (id, old) in self.old.area("compose") {
            let now = format!("compose:{is}{}", &id[was.len()..]);
            let id = format!("compose:{id}");
            let variable = id.rsplit_once('.').map_or("", |(_, name)| name);
            let follows = self.renamed.get(variable);
            let follows = follows.map(|other| format!("compose:{is}.{other}"));
            let item = match (self.new.get(&now), follows) {
                (Some(new), _) => Self::kept_or_changed(&id, old, new, None).now(now),
                (None, Some(now)) if self.new.get(&now).is_some() => {
                    Item::new(&id, Verdict::Renamed, Some(old), self.new.get(&now))
                        .now(now)
                        .why(format!("It follows {variable}."))
                        .part_of(format!("env:{variable}"))
                }
                _ => continue,
            };
            self.push(item);
        }
    }

    /// Judges a line of the compose file that is gone: it follows its variable. The advice never
    /// asks to set a variable that the new worker doesn't read.
    fn compose_gone(&self, name: &str, id: &str, old: &Fact) -> Item {
        let gone = Item::new(id, Verdict::Missing, Some(old), None);
        let Some((service, variable)) = name.split_once('.') else {
            return gone
                .why("The compose file doesn't have it any more.")
                .help("Bring it back, or record what to use instead.");
        };
        let env = format!("env:{variable}");
        if let Some(other) = self.renamed.get(variable) {
            let now = format!("compose:{service}.{other}");
            let why = format!("It follows {variable}, which is {other} now.");
            let item = match self.new.get(&now) {
                Some(new) => Item::new(id, Verdict::Renamed, Some(old), Some(new)).now(now),
                None => gone.help(format!("Set {other} there, or record why not.")),
            };
            return item.why(why).part_of(env);
        }
        let set = format!("compose:{service}.");
        if let Some(other) = self.stand_in(&set, variable, id, old) {
            return other;
        }
        let read = self.new.get(&env).is_some() || sglang::reads(variable);
        match self.item(&env) {
            Some(owner) if !read && owner.verdict != Verdict::Kept => gone
                .why(format!("It goes with the variable {variable}."))
                .part_of(env),
            // A library or the server may read it all the same.
            _ if !read && self.old.get(&env).is_none() => gone
                .why(
                    "The compose file doesn't set it any more, and neither worker's code reads it.",
                )
                .help("Record that nothing reads it, or set what takes its place."),
            _ => gone
                .why("The compose file doesn't set it any more.")
                .help(format!("Set {variable} there again, or record why not.")),
        }
    }

    /// Build arguments that no Dockerfile takes do nothing, and migrate drops them itself.
    fn undeclared_arguments(&mut self) {
        for (id, old) in self.old.area("bake") {
            let Some((_, argument)) = id.split_once(".args.") else {
                continue;
            };
            let id = format!("bake:{id}");
            let declared = self.new.get(&format!("arg:{argument}")).is_some();
            if !declared && self.new.get(&id).is_none() {
                self.push(
                    Item::new(&id, Verdict::Retired, Some(old), None).why(format!(
                        "The new Dockerfile declares no argument {argument}."
                    )),
                );
            }
        }
    }
}
