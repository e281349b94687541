//! Flags that SGLang's release refuses or no longer has.

use super::super::facts::{ALONE, Fact};
use super::{Item, Judge, Verdict};
use worker_files::Place;
use xtask_core::sglang;

impl Judge<'_> {
    /// The item of a flag that is still passed, where the pinned `SGLang` refuses it. A table that the
    /// build makes anew has only what the image's `SGLang` takes.
    pub fn refused(&self, flag: &str, new: &Fact, item: Item) -> Option<Item> {
        let is_made = |place: &Place| {
            let mut steps = self.new.area("step").map(|(step, _)| step);
            let written = ["--output ", "> "].map(|by| format!("{by}{}", place.file));
            steps.any(|step| written.iter().any(|it| step.contains(it)))
        };
        let (history, sglang) = (sglang::history(flag), &self.sglang);
        let why = format!(
            "It still passes {flag}, which {sglang} doesn't take ({history}): the server ends with exit code 2."
        );
        let help = "Don't pass it to this SGLang, or pin one that takes it.";
        let is_kept = || new.places.is_empty() || !new.places.iter().all(is_made);
        let is_refused = self.takes(flag) == Some(false) && is_kept();
        is_refused.then(|| item.open(why).help(help))
    }

    /// A flag that the pinned release surely lacks.
    pub fn flag_retired(&self, flag: &str, id: &str, old: &Fact) -> Option<Item> {
        let history = sglang::history(flag);
        // What the newest known release lacks, a newer one will not have again.
        let is_over = self.is_newer && history.seen.is_some() && self.lacks(flag);
        if self.takes(flag) != Some(false) && !is_over {
            return None;
        }
        if history.seen.is_none() {
            let (first, last) = sglang::known_releases();
            let why = format!(
                "It was passed as {flag}, which is unknown to SGLang {first} to {last}: a build of SGLang of its own may take it."
            );
            return Some(Item::missing(id, old).why(why));
        }
        let why = format!("{flag} is not in {}: {history}.", self.sglang);
        let retired = Item::new(id, Verdict::Retired, old, None).why(why);
        let named = history.successor.or(history.nearest);
        let named = named.map(|named| (named, named.split_once([' ', '=']).unwrap_or((named, ""))));
        let is_taken = |(_, (flag, _)): &(&str, (&str, &str))| self.takes(flag) != Some(false);
        let Some((successor, (flag, value))) = named.filter(is_taken) else {
            return Some(retired);
        };
        // What the flag was given itself, where that need not be put into other words.
        let own = old
            .get("value")
            .filter(|own| *own != ALONE && !old.has("from"));
        let is_own = value.is_empty() && history.successor.is_some();
        let value = if is_own {
            own.unwrap_or_default()
        } else {
            value
        };
        Some(retired.help(match self.driver(flag) {
            Some(name) if value.is_empty() || value.contains(['<', '$', '(']) => {
                format!("Set {name} instead.")
            }
            Some(name) => format!("Set {name}={value} instead."),
            None => format!("SGLang names {successor}; no variable of the new worker sets it."),
        }))
    }

    /// `, which SGLang X still takes`, where that is so.
    pub fn support_note(&self, flag: &str) -> String {
        if self.takes(flag) == Some(true) {
            return format!(", which {} still takes", self.sglang);
        }
        let disputed = self.disputed(flag).map(|who| format!(", which {who}"));
        disputed.unwrap_or_default()
    }

    /// `SGLang X takes and Y does not`, where the pinned release between them is not known.
    pub fn disputed(&self, flag: &str) -> Option<String> {
        let [older, newer] = self.tables.as_slice() else {
            return None;
        };
        let (takes, lacks) = match [older, newer].map(|table| table.flag(flag).is_some()) {
            [true, false] => (older.release(), newer.release()),
            [false, true] => (newer.release(), older.release()),
            _ => return None,
        };
        Some(format!("SGLang {takes} takes and {lacks} does not"))
    }
}
