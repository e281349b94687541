//! What was not understood on either side.

use std::fmt::Write as _;

use super::super::facts::{AREAS, Fact};
use super::super::unread::UnreadFact;
use super::{Item, Judge, Verdict};
use worker_files::Hides;

const LOOK: &str = "Look at what became of it, and record that; or let --execute try it.";

impl Judge<'_> {
    pub fn unread(&mut self) {
        for gap in &self.old.unread {
            let (text, place) = (gap.unread.text.clone(), gap.unread.place.clone());
            let place = Fact::single("text", text, vec![place]);
            let same =
                "It was not read, but it and what it depends on are the same in both workers.";
            let why = format!("{}: it may hide {}.", gap.unread.what, hides(gap));
            self.push(if gap.is_in(&self.new.unread) {
                Item::new(&gap.id, Verdict::Kept, &place, None).why(same)
            } else {
                let item = Item::new(&gap.id, Verdict::Unread, &place, None);
                item.why(why).help(LOOK)
            });
        }
        let new = self.new.unread.iter();
        let new: Vec<&UnreadFact> = new.filter(|gap| !gap.is_in(&self.old.unread)).collect();
        for item in self.items.values_mut() {
            let area = AREAS.iter().find(|(area, ..)| *area == item.area());
            let Some((.., Some(hides))) = area else {
                continue;
            };
            let mut places = new.iter().filter(|gap| gap.unread.may_hide.contains(hides));
            let Some(first) = places.next() else { continue };
            let others = match places.count() {
                0 => String::new(),
                n => format!(" (and {n} more that were not read)"),
            };
            let place = &first.unread.place;
            // What modules of this layout's own hold is declared in their tables.
            let is_declared = place.file.to_string().starts_with("sglang_worker/");
            if item.verdict == Verdict::Missing && item.open && !is_declared {
                let _ = write!(item.why, " Unless {place} reads it{others}.");
            } else if item.verdict == Verdict::Kept && *hides == Hides::Flags && is_decided(item) {
                item.change(format!(
                    "Whether it is still the same can't be told: {place} adds to the command line, and was not read{others}."
                ));
                LOOK.clone_into(&mut item.help);
            }
        }
    }
}

/// Whether a kept fact holds a value that another part of the command line may override. What a
/// variable decides on now is judged with that.
fn is_decided(item: &Item) -> bool {
    let by_variable = |fact: &Fact| fact.has("from");
    let mut sides = [&item.old, &item.new].into_iter().flatten();
    item.old.as_ref().is_some_and(|fact| fact.has("value")) && !sides.any(by_variable)
}

/// What a gap may hide, as a list for a sentence.
fn hides(gap: &UnreadFact) -> String {
    let words = gap.unread.may_hide.iter().map(|may| match may {
        Hides::Variables => "variables",
        Hides::Flags => "flags",
        Hides::JobInput => "job input",
        Hides::Packages => "packages and build steps",
        Hides::Image => "image settings",
        Hides::Settings => "settings",
    });
    words.collect::<Vec<_>>().join(", ")
}
