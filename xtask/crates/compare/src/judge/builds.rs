//! Compose and bake: the other ways to build a worker and to start it.

use std::collections::BTreeMap;

use xtask_core::sglang;

use super::super::facts::{Fact, Facts};
use super::{Item, Judge, UNREAD, Verdict};

impl<'a> Judge<'a> {
    pub fn compose_and_bake(&mut self) {
        self.renamed_service();
        self.judge_area("compose", |judge, name, id, old, new| match new {
            None => Some(judge.compose_gone(name, id, old)),
            Some(_) => None,
        });
        self.judge_area("bake", |judge, name, id, old, new| {
            if let Some(new) = new {
                let is_same = as_built(old) == as_built(new);
                return is_same.then(|| Item::new(id, Verdict::Kept, old, new));
            }
            // Build arguments that no Dockerfile takes do nothing, and migrate drops them itself.
            let (_, argument) = name.split_once(".args.")?;
            let why = format!("The new Dockerfile declares no argument {argument}.");
            let is_known = judge.new.has(&format!("arg:{argument}"));
            (!is_known).then(|| Item::new(id, Verdict::Retired, old, None).why(why))
        });
    }

    /// The only service on each side is the same service, whatever it is called.
    fn renamed_service(&mut self) {
        let only = |facts: &'a Facts| -> Option<&'a str> {
            let names = facts.area("compose");
            let mut names = names.map(|(id, _)| id.split('.').next().unwrap_or(id));
            let first = names.next()?;
            names.all(|name| name == first).then_some(first)
        };
        let (Some(was), Some(is)) = (only(self.old), only(self.new)) else {
            return;
        };
        for (name, old) in self.old.area("compose").filter(|_| was != is) {
            let id = format!("compose:{name}");
            let now = format!("compose:{is}{}", &name[was.len()..]);
            let variable = id.rsplit_once('.').map_or("", |(_, name)| name);
            let item = if let Some(new) = self.new.get(&now) {
                Some(Self::kept_or_changed(&id, old, new, None).now(now))
            } else {
                self.renamed_fact(&format!("compose:{is}."), variable, &id, old)
            };
            self.items.extend(item.map(|item| (id, item)));
        }
    }

    /// Judges a line of the compose file that is gone: it follows its variable. The advice never
    /// asks to set a variable that the new worker doesn't read.
    fn compose_gone(&self, name: &str, id: &str, old: &Fact) -> Item {
        let gone = Item::missing(id, old);
        let Some((service, variable)) = name.split_once('.') else {
            return gone;
        };
        if let Some(item) = self.other_variable(&format!("compose:{service}."), variable, id, old) {
            return item;
        }
        let env = format!("env:{variable}");
        let read = self.new.has(&env) || sglang::reads(variable);
        match self.items.get(&env).map(|owner| owner.verdict) {
            Some(Verdict::Renamed) => self.goes_with(variable, gone),
            Some(verdict) if !read && verdict != Verdict::Kept => self.goes_with(variable, gone),
            // A library or the server may read it all the same.
            _ if !read && !self.old.has(&env) => gone.help(UNREAD),
            _ => gone,
        }
    }
}

/// The values of a target without what bake takes where nothing is said.
fn as_built(target: &Fact) -> BTreeMap<&str, &str> {
    let values = target.value.iter();
    let values = values.map(|(key, value)| match key.as_str() {
        "context" | "dockerfile" => (&**key, value.strip_prefix("./").unwrap_or(value)),
        key => (key, &**value),
    });
    let is_said = |(key, value): &(&str, &str)| match *key {
        "context" => !matches!(*value, "" | "."),
        "dockerfile" => *value != "Dockerfile",
        _ => true,
    };
    values.filter(is_said).collect()
}
