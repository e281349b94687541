//! The report for programs; `docs/compare.md` describes it.

use serde_json::{Map, Value, json};

use super::super::facts::Fact;
use super::super::judge::{Item, Verdict};
use super::Report;
use worker_files::Unread;

impl Report {
    pub fn json(&self) -> String {
        let mut summary = Map::new();
        for (verdict, word) in Verdict::ALL {
            summary.insert(word.to_owned(), json!(self.count(verdict)));
        }
        summary.insert("open".to_owned(), json!(self.open().count()));
        summary.insert("stale".to_owned(), json!(self.stale.len()));
        let fact = |item: &Item| {
            let mut fact = json!(item);
            let both = [&item.old, &item.new].map(|side| places(side.as_ref()));
            fact["places"] = json!({"old": both[0], "new": both[1]});
            if let Some(upstream) = &self.upstream {
                fact["upstream"] = json!(upstream.facts.get(&item.id));
            }
            fact
        };
        let facts: Vec<Value> = self.items.iter().map(fact).collect();
        let gap = |(side, gap): (&str, &Unread)| {
            let place = gap.place.to_string();
            json!({"side": side, "place": place, "text": gap.text, "what": gap.what, "may_hide": gap.may_hide})
        };
        let unread: Vec<Value> = self.gaps().map(gap).collect();
        let root = json!({
            "version": 1,
            "old": self.old.name,
            "new": self.new.tree.describe(),
            "summary": summary,
            "entries": self.entries,
            "facts": facts,
            "executed": self.executed,
            "unread": unread,
            "stale": self.stale,
            "base": self.old.base.as_ref().map(|base| &base.commit),
            "offered": self.offered,
            "notes": self.notes,
        });
        let mut text = serde_json::to_string_pretty(&root).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn places(fact: Option<&Fact>) -> Vec<String> {
    let places = fact.into_iter().flat_map(|fact| &fact.places);
    places.map(ToString::to_string).collect()
}
