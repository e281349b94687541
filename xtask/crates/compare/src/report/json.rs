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
            let mut fact = json!({
                "id": item.id,
                "verdict": item.verdict,
                "open": item.open,
                "old": value(item.old.as_ref()),
                "new": value(item.new.as_ref()),
                "now": item.now,
                "part_of": item.part_of,
                "places": {"old": places(item.old.as_ref()), "new": places(item.new.as_ref())},
                "why": item.why,
                "help": item.help,
                "reason": item.reason,
            });
            if let Some(upstream) = &self.upstream {
                fact["upstream"] = value(upstream.facts.get(&item.id));
            }
            fact
        };
        let facts: Vec<Value> = self.items.iter().map(fact).collect();
        let gap = |(side, gap): (&str, &Unread)| json!({"side": side, "place": gap.place.to_string(), "text": gap.text, "what": gap.what, "may_hide": gap.may_hide});
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

fn value(fact: Option<&Fact>) -> Value {
    fact.map_or(Value::Null, |fact| json!(fact.value))
}

fn places(fact: Option<&Fact>) -> Vec<String> {
    let places = fact.into_iter().flat_map(|fact| &fact.places);
    places.map(ToString::to_string).collect()
}
