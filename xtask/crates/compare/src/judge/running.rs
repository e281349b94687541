//! Variables, flags, routes, job input and the Python API.

use super::super::facts::Fact;
use super::{Item, Judge, Verdict, difference};
use xtask_core::sglang;

impl Judge<'_> {
    /// Variables that the running worker reads.
    pub fn environment(&mut self) {
        for (name, old, new) in self.ids("env") {
            let id = format!("env:{name}");
            let item = match (old, new) {
                (Some(old), Some(new)) => self.variable_kept(&id, old, new),
                (Some(old), None) => self.variable_gone(name, &id, old),
                (None, Some(new)) => {
                    let item = Item::new(&id, Verdict::Added, None, Some(new));
                    match self.refused(new) {
                        Some(why) => item.open().why(why).help(DROP_FLAG),
                        None => item,
                    }
                }
                (None, None) => continue,
            };
            self.push(item);
        }
    }

    /// Why the pinned `SGLang` would refuse the flag that a variable drives.
    fn refused(&self, new: &Fact) -> Option<String> {
        let flag = new.get("flag")?;
        (!self.takes(flag)).then(|| {
            format!(
                "It still passes {flag}, which {} doesn't take ({}): the server ends with exit \
                 code 2.",
                self.sglang,
                sglang::history(flag)
            )
        })
    }

    fn variable_kept(&self, id: &str, old: &Fact, new: &Fact) -> Item {
        if let Some(why) = self.refused(new) {
            return Item::new(id, Verdict::Retired, Some(old), Some(new))
                .open()
                .why(why)
                .help(DROP_FLAG);
        }
        // Code that goes by a table of flags decides on defaults where it can't be followed.
        let keys: &[&str] = if new.get("by").is_some() {
            &["how"]
        } else {
            &["default", "how"]
        };
        let mut differences = Self::differences(old, new, Some(keys));
        // To drive a flag at all is more than before.
        if old.get("flag").is_none() {
            differences.retain(|difference| !difference.starts_with("how "));
        }
        let mut notes = Vec::new();
        match (old.get("flag"), new.get("flag")) {
            (Some(was), Some(is)) if was != is && self.same_flag(was, is) => {
                notes.push(format!("It drives {is} now, which is the same as {was}."));
            }
            (Some(was), Some(is)) if was != is && self.succeeds(was, is) => {
                notes.push(format!(
                    "It drives {is} now, which SGLang names instead of {was}."
                ));
            }
            (was, is) if was != is && was.is_some() => {
                differences.push(difference("flag", was, is));
            }
            (None, Some(is)) => notes.push(format!("It drives {is} now.")),
            _ => {}
        }
        let words = |fact: &Fact| -> Vec<String> {
            let on = fact.get("on").unwrap_or_default();
            on.split_whitespace().map(str::to_owned).collect()
        };
        let is: Vec<String> = words(new);
        let lost: Vec<String> = words(old).into_iter().filter(|w| !is.contains(w)).collect();
        if !is.is_empty() && !lost.is_empty() {
            differences.push(format!("{} no longer switches it on", lost.join(" or ")));
        }
        if differences.is_empty() {
            Item::new(id, Verdict::Kept, Some(old), Some(new)).why(notes.join(" "))
        } else {
            Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why(format!("{}.", differences.join("; ")))
                .help("Endpoints that leave it unset, or set it as before, behave differently: give it back what it had, or record why not.")
        }
    }

    fn variable_gone(&mut self, name: &str, id: &str, old: &Fact) -> Item {
        let Some(flag) = old.get("flag") else {
            return Item::new(id, Verdict::Missing, Some(old), None)
                .why("The new worker doesn't read it: endpoints that set it are ignored.")
                .help(format!("Read {name} again, or record what to set instead."));
        };
        let same_role = self
            .new
            .area("env")
            .filter(|(_, fact)| fact.get("flag").is_some_and(|f| self.same_flag(flag, f)))
            .map(|(other, fact)| (other.to_owned(), fact))
            .min_by_key(|(other, _)| {
                // Of several names for one flag, the one that nobody had yet is the new name.
                (self.old.get(&format!("env:{other}")).is_some(), other.len())
            });
        if let Some((other, fact)) = same_role {
            let driven = fact.get("flag").unwrap_or(flag);
            let role = if driven == flag {
                format!("Both drive {flag}")
            } else {
                format!("It drove {flag}, which SGLang calls {driven} now")
            };
            self.renamed.insert(name.to_owned(), other.clone());
            return Item::new(id, Verdict::Renamed, Some(old), Some(fact))
                .now(format!("env:{other}"))
                .why(format!(
                    "{role}, but endpoints that set {name} are ignored: the new worker reads only {other}."
                ))
                .help(format!("Let the worker read {name} too, where {other} is not set."));
        }
        let history = sglang::history(flag);
        let instead = self.instead(&history);
        if self.takes(flag) {
            return Item::new(id, Verdict::Missing, Some(old), None)
                .why(format!(
                    "It drove {flag}, which {} still takes; nothing sets it now.",
                    self.sglang
                ))
                .help(format!(
                    "Read {name} again and pass {flag}, or record why not."
                ));
        }
        Item::new(id, Verdict::Retired, Some(old), None)
            .why(format!(
                "It drove {flag}, which {} doesn't have: {history}.",
                self.sglang
            ))
            .help(instead)
    }

    /// What a user sets instead of a flag that is gone.
    fn instead(&self, history: &sglang::History) -> String {
        let Some(successor) = history.successor.or(history.nearest) else {
            return "Nothing to set instead.".to_owned();
        };
        let (flag, value) = successor.split_once([' ', '=']).unwrap_or((successor, ""));
        let variable = self
            .new
            .area("env")
            .find(|(_, fact)| fact.get("flag").is_some_and(|f| self.same_flag(flag, f)));
        match variable {
            Some((name, _)) if value.is_empty() => format!("Set {name} instead."),
            Some((name, _)) => format!("Set {name}={value} instead."),
            None => format!("SGLang names {successor}; no variable of the new worker sets it."),
        }
    }

    /// Flags of the server's command line. Those that a variable decides on belong to it.
    pub fn flags(&mut self) {
        for (flag, old, new) in self.ids("flag") {
            let id = format!("flag:{flag}");
            let item = match (old, new) {
                (Some(old), Some(new)) => {
                    let fixed = Self::differences(old, new, Some(&["value"]));
                    let both_fixed = old.get("value").is_some() && new.get("value").is_some();
                    if both_fixed && !fixed.is_empty() {
                        Item::new(&id, Verdict::Changed, Some(old), Some(new))
                            .why(format!("{}.", fixed.join("; ")))
                            .help("If that is meant, record why.")
                    } else {
                        Item::new(&id, Verdict::Kept, Some(old), Some(new))
                    }
                }
                (None, new) => Item::new(&id, Verdict::Added, None, new),
                (Some(old), None) => self.flag_gone(flag, &id, old),
            };
            self.push(item);
        }
    }

    fn flag_gone(&self, flag: &str, id: &str, old: &Fact) -> Item {
        let other = self
            .new
            .area("flag")
            .find(|(other, _)| self.same_flag(flag, other));
        let item = if let Some((other, fact)) = other {
            let verdict = if self.canonical(flag) == self.canonical(other) {
                Verdict::Kept
            } else {
                Verdict::Renamed
            };
            Item::new(id, verdict, Some(old), Some(fact))
                .now(format!("flag:{other}"))
                .why(format!("{other} is the same flag in {}.", self.sglang))
        } else if self.takes(flag) {
            Item::new(id, Verdict::Missing, Some(old), None)
                .why(format!(
                    "{} still takes it; the new worker never passes it.",
                    self.sglang
                ))
                .help("Pass it again, or record why not.")
        } else {
            let history = sglang::history(flag);
            Item::new(id, Verdict::Retired, Some(old), None)
                .why(format!("{} doesn't have it: {history}.", self.sglang))
                .help(self.instead(&history))
        };
        let owner = old
            .get("from")
            .unwrap_or_default()
            .split_whitespace()
            .next();
        match owner {
            Some(owner) if self.item(&format!("env:{owner}")).is_some() => {
                item.part_of(format!("env:{owner}"))
            }
            // A plain rename of the flag itself asks nothing of anybody.
            _ if item.verdict == Verdict::Renamed => Item {
                open: false,
                ..item
            },
            _ => item,
        }
    }

    /// Routes, job input and the settings of `runpod.serverless.start`.
    pub fn requests(&mut self) {
        for (route, old, new) in self.ids("route") {
            let id = format!("route:{route}");
            let item = match (old, new) {
                (Some(old), Some(new)) => {
                    let methods = |fact: &Fact| -> Vec<String> {
                        let all = fact.get("method").unwrap_or_default();
                        all.split_whitespace().map(str::to_owned).collect()
                    };
                    let now = methods(new);
                    let any = now.iter().any(|m| m == "*");
                    let lost = methods(old).into_iter().any(|m| !any && !now.contains(&m));
                    if lost {
                        let differences = Self::differences(old, new, Some(&["method"]));
                        Item::new(&id, Verdict::Changed, Some(old), Some(new))
                            .why(format!("{}.", differences.join("; ")))
                            .help("If that is meant, record why.")
                    } else {
                        Item::new(&id, Verdict::Kept, Some(old), Some(new))
                    }
                }
                (Some(old), None) if self.reachable(old) => {
                    Item::new(&id, Verdict::Kept, Some(old), None)
                        .why("The worker doesn't ask for it by itself any more; jobs can.")
                }
                (Some(old), None) => Item::new(&id, Verdict::Missing, Some(old), None)
                    .why("The new worker never asks the server for it.")
                    .help("Let jobs reach it again, or record why not."),
                (None, new) => Item::new(&id, Verdict::Added, None, new),
            };
            self.push(item);
        }
        for (path, old, new) in self.ids("input") {
            let id = format!("input:{path}");
            let item = match (old, new) {
                (Some(old), Some(new)) if old.get("needed").is_none() && new.get("needed").is_some() => {
                    Item::new(&id, Verdict::Changed, Some(old), Some(new))
                        .why("Jobs without it worked and fail now.")
                        .help("Give it a default.")
                }
                (Some(_), Some(_)) => Item::new(&id, Verdict::Kept, old, new),
                (Some(_), None) => Item::new(&id, Verdict::Missing, old, None)
                    .why("The new handler doesn't look at it: jobs that use it are understood differently.")
                    .help("Handle it again, or record what jobs have to say instead."),
                (None, _) => Item::new(&id, Verdict::Added, None, new),
            };
            self.push(item);
        }
        self.simple(
            "serverless",
            "The new worker doesn't hand it to runpod.serverless.start.",
            "Hand it over again, or record why not.",
        );
    }

    /// Whether jobs can name the route of a request that is made with the same method.
    fn reachable(&self, old: &Fact) -> bool {
        let open = self
            .new
            .area("route")
            .filter(|(route, _)| route.starts_with('{'));
        let methods: Vec<&str> = open
            .filter_map(|(_, fact)| fact.get("method"))
            .flat_map(str::split_whitespace)
            .collect();
        let wanted = old.get("method").unwrap_or_default();
        !methods.is_empty()
            && wanted
                .split_whitespace()
                .all(|m| methods.contains(&m) || methods.contains(&"*"))
    }

    /// Classes, functions and signatures.
    pub fn python(&mut self) {
        for (name, old, new) in self.ids("python") {
            let id = format!("python:{name}");
            let item = match (old, new) {
                (Some(old), Some(new)) => {
                    let differences =
                        Self::differences(old, new, Some(&["kind", "signature", "module"]));
                    let only_added = {
                        let (was, is) = (old.get("signature"), new.get("signature"));
                        old.get("kind") == new.get("kind")
                            && old.get("module") == new.get("module")
                            && extends(was.unwrap_or_default(), is.unwrap_or_default())
                    };
                    if differences.is_empty() || only_added {
                        Item::new(&id, Verdict::Kept, Some(old), Some(new))
                            .why(differences.join("; "))
                    } else {
                        Item::new(&id, Verdict::Changed, Some(old), Some(new))
                            .why(format!("{}.", differences.join("; ")))
                            .help("Code that imports it may break: keep what it took, or record why not.")
                    }
                }
                (Some(old), None) => {
                    let item = Item::new(&id, Verdict::Missing, Some(old), None)
                        .why("The new worker's modules don't have it: code that imports it breaks.")
                        .help("Bring it back, or record what to use instead.");
                    // A method goes with its class.
                    match name.split_once('.') {
                        Some((class, _)) if self.new.get(&format!("python:{class}")).is_none() => {
                            item.part_of(format!("python:{class}"))
                        }
                        _ => item,
                    }
                }
                (None, new) => Item::new(&id, Verdict::Added, None, new),
            };
            self.push(item);
        }
    }
}

const DROP_FLAG: &str = "Don't pass it to this SGLang, or pin one that takes it.";

/// Whether a signature only got more parameters that have defaults.
fn extends(old: &str, new: &str) -> bool {
    let (old, new) = (old.trim_end_matches(')'), new.trim_end_matches(')'));
    let Some(rest) = new.strip_prefix(old) else {
        return false;
    };
    let rest = rest.trim_start_matches(',');
    rest.starts_with(' ') && rest.split(',').all(|parameter| parameter.contains('='))
}
