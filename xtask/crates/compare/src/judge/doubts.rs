//! What is not known of the `SGLang` that the new worker runs: of a release that has no table, or
//! where nothing pins one.

use super::super::facts::{Fact, Facts};
use super::values::show;
use super::{Item, Judge, Verdict, attribute, default_of, known, same_value};
use xtask_core::sglang::{self, Table};

/// By which release's flags a worker is judged, where that is not the one that it pins.
pub fn release_note(new: &Facts) -> Option<String> {
    let newest = Table::newest().release();
    let base = new
        .in_image("FROM")
        .map(|base| format!(" (the base image is `{base}`)"));
    let unpinned = format!(
        "The new worker pins no release of SGLang{}",
        base.unwrap_or_default()
    );
    let is_server = new.has("step:start SGLang");
    let note = match new.sglang.as_deref() {
        None => format!(
            "{unpinned}: which flags it takes, and what it does without them, is not judged."
        ),
        Some(taken) if new.is_by_table => format!(
            "{unpinned}: flags and their defaults are judged by those of {taken}, from which sglang_flags.json was made."
        ),
        Some(pinned) if sglang::order(pinned, newest).is_gt() => format!(
            "SGLang {pinned} is newer than all releases that are known here: flags and their defaults are judged by those of {newest}."
        ),
        Some(_) => return None,
    };
    is_server.then_some(note)
}

impl Judge<'_> {
    /// Marks what is the same as far as can be told, and passes a flag of which the known neighbours
    /// of the pinned release disagree.
    pub fn doubts(&mut self) {
        let is_same_release = self.old.sglang == self.new.sglang;
        let items = self.items.values().filter_map(|item| {
            let is_judged = matches!(item.verdict, Verdict::Kept | Verdict::Added);
            let is_asked = is_judged && !item.open && !(is_same_release && item.old.is_some());
            Some((item.id.clone(), self.doubt_of(item).filter(|_| is_asked)?))
        });
        for (id, doubt) in items.collect::<Vec<_>>() {
            if let Some(item) = self.items.get_mut(&id) {
                *item = std::mem::take(item).unsure(doubt);
            }
        }
    }

    fn doubt_of(&self, item: &Item) -> Option<String> {
        let (area, name) = item.id.split_once(':')?;
        let (old, new) = (item.old.as_ref(), item.new.as_ref());
        if let Some(name) = name.strip_suffix(".options").filter(|_| area == "hub") {
            let flag = self.new.variable(name)?.get("flag")?;
            let sides = [old, new].into_iter().flatten();
            let mut values = sides.flat_map(|fact| fact.parts("values", "\n"));
            let is_unknown = values.any(|value| self.refuses(flag, value).is_none());
            let why = || format!("whether {} takes all choices is not known.", self.pinned());
            return is_unknown.then(why);
        }
        let is_variable = area == "env";
        let flag = match area {
            "flag" => name,
            "env" => new?.get("flag")?,
            _ => return None,
        };
        let key = if is_variable { "default" } else { "value" };
        // A flag that a variable decides on is told with that.
        let [was, is] = [old, new].map(|fact| fact.filter(|it| is_variable || !it.has("from")));
        let is = is.filter(|_| old.is_some() || !is_variable);
        let set = self.set_by_image(&item.id).filter(|_| is_variable);
        let is = set.or(attribute(is, key));
        let is_passed = new.is_some_and(Fact::is_reached);
        let passed = is_passed.then(|| self.taken_doubt(flag)).flatten();
        passed.or_else(|| self.default_doubt(flag, attribute(was, key), is))
    }

    /// What is not known of a flag that is passed: whether the pinned release takes it.
    fn taken_doubt(&self, flag: &str) -> Option<String> {
        if self.takes(flag).is_some() || self.tables.is_empty() {
            return None;
        }
        let newest = || {
            format!(
                "SGLang {}, the newest known, does not",
                Table::newest().release()
            )
        };
        let who = self.disputed(flag).unwrap_or_else(newest);
        let pinned = self.pinned();
        Some(format!(
            "whether {pinned} takes the flag is not known: {who}."
        ))
    }

    /// What is not known of a value that one worker passes where the other passes none: whether the
    /// pinned release does the same by itself.
    pub fn default_doubt(&self, flag: &str, was: Option<&str>, is: Option<&str>) -> Option<String> {
        let [was, is] = [was, is].map(|value| value.filter(|value| !value.is_empty()));
        let value = was.xor(is)?;
        let [older, newer] = self.tables.as_slice() else {
            return None;
        };
        let own = |table: &Table| Some(default_of(known(*table, flag)?.1));
        let both = [own(older)?, own(newer)?];
        let same = both.each_ref().map(|own| same_value(own, value));
        (same[0] != same[1]).then(|| {
            let [before, after] = both.each_ref().map(|own| show(Some(own)));
            let (pinned, older, newer) = (self.pinned(), older.release(), newer.release());
            format!(
                "what {pinned} does without {flag} is not known: it is {before} in {older}, {after} in {newer}."
            )
        })
    }

    /// Whether a value is surely not what the pinned release does without the flag.
    pub fn is_no_default(&self, flag: &str, value: &str) -> bool {
        let own = |table: &Table| Some(default_of(known(*table, flag)?.1));
        let is_other = |table| own(table).is_some_and(|own| !same_value(&own, value));
        !self.tables.is_empty() && self.tables.iter().all(is_other)
    }

    /// The release that the new worker runs, without what it is judged by.
    pub fn pinned(&self) -> &str {
        self.sglang.split(" (").next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::compared;
    use super::super::unsure;
    use super::*;
    use xtask_core::tree::Memory;

    fn worker(tag: &str, flag: &str, value: &str) -> Memory {
        let start = "CMD [\"python3\", \"/engine.py\"]";
        let image = format!("FROM lmsysorg/sglang:{tag}\nCOPY . /\n{start}\n");
        let command = "import os, subprocess\nopen('/sglang_flags.json')\nc = ['python3', '-m', 'sglang.launch_server']";
        let add = format!("v = {value}\nif v: c += ['{flag}', v]");
        let engine = format!("{command}\n{add}\nsubprocess.Popen(c)\n");
        let tree = Memory::new().with("Dockerfile", image);
        tree.with("engine.py", engine)
    }

    #[test]
    fn what_the_known_neighbours_of_a_release_disagree_on_is_a_note() {
        // By itself 0.5.2 did `round_robin`, and 0.5.10 does `auto`.
        let balance = |value: &str| worker("v0.5.9-cu129", "--load-balance-method", value);
        let judged = |was: &str, is: &str| {
            let old = worker("v0.5.2-cu126", "--load-balance-method", was);
            let items = compared(&old, &balance(is));
            let open = items
                .iter()
                .any(|it| it.open && ["env", "flag"].contains(&it.area()));
            (open, unsure(&items).join("\n"))
        };
        let told = "what SGLang 0.5.9 does without --load-balance-method is not known: it is `round_robin` in 0.5.2, `auto` in 0.5.10.";
        let read = "os.getenv('BALANCE')";
        for (was, is, id) in [
            ("'auto'", "''", "flag:--load-balance-method"),
            ("''", "'auto'", "flag:--load-balance-method"),
            ("os.getenv('BALANCE', 'auto')", read, "env:BALANCE"),
            (read, "os.getenv('BALANCE', 'auto')", "env:BALANCE"),
        ] {
            assert_eq!(judged(was, is), (false, format!("{id}: {told}")), "{was}");
        }
        assert!(
            judged("'total_tokens'", "''").0,
            "neither does that by itself"
        );
        assert!(judged("os.getenv('BALANCE', 'total_tokens')", read).0);
    }

    #[test]
    fn what_a_release_without_a_table_may_take_is_a_note() {
        let note = |tag: &str, flag: &str| {
            let old = worker("v0.5.2-cu126", "--dtype", "'half'");
            let items = compared(&old, &worker(tag, flag, "os.getenv('A_ONE')"));
            let both = unsure(&items).join("\n");
            both.replace(&format!("env:A_ONE, flag:{flag}: "), "")
        };
        let told = "whether SGLang 0.5.9 takes the flag is not known: SGLang 0.5.10 takes and 0.5.2 does not.";
        assert_eq!(note("v0.5.9-cu129", "--admin-api-key"), told);
        let newest = Table::newest().release();
        let told = format!(
            "whether SGLang 0.99.1 takes the flag is not known: SGLang {newest}, the newest known, does not."
        );
        assert_eq!(note("v0.99.1-cu129", "--enable-ep-moe"), told);
        assert_eq!(note("v0.99.1-cu129", "--dtype"), "");
        assert_eq!(note("v0.5.10-cu129", "--admin-api-key"), "");
    }

    #[test]
    fn the_release_that_flags_are_judged_by_is_told_where_it_is_not_pinned() {
        let note = |tag: &str, table: bool| {
            let tree = worker(tag, "--dtype", "'half'");
            let flags = r#"{"version": "0.5.19", "flags": {"--dtype": {"kind": "value"}}}"#;
            let tree = if table {
                tree.with("sglang_flags.json", flags)
            } else {
                tree
            };
            release_note(&Facts::read(&tree).unwrap()).unwrap_or_default()
        };
        assert!(note("latest", true).contains("`lmsysorg/sglang:latest`): flags and their"));
        assert!(note("latest", true).contains("by those of 0.5.19, from which"));
        assert!(note("latest", false).contains("is not judged"));
        assert!(note("v0.99.1-cu129", false).starts_with("SGLang 0.99.1 is newer than all"));
        assert_eq!(note("v0.5.9-cu129", true), "");
    }
}
