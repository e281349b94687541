//! Which functions' calls a value was made from, so that it is kept until one of them is called in
//! a new way.

use super::quick::{self, Map};
use super::syntax::Node;

/// A set of functions, by its number; 0 is none.
pub type Set = u32;

#[derive(Default)]
pub struct Deps<'t> {
    /// The functions, each with when it was last called in a new way.
    functions: Map<Node<'t>, u32>,
    sets: quick::Set<Vec<u32>>,
    unions: Map<(Set, Set), Set>,
    now: u32,
}

/// A value with what it was made from, and when.
pub struct Kept<V> {
    pub value: V,
    of: Set,
    at: u32,
}

impl<'t> Deps<'t> {
    pub fn of(&mut self, function: Node<'t>) -> Set {
        let entry = self.functions.entry(function);
        let index = entry.index();
        entry.or_default();
        self.number(vec![u32::try_from(index).unwrap_or(u32::MAX)])
    }

    fn number(&mut self, set: Vec<u32>) -> Set {
        Set::try_from(self.sets.insert_full(set).0 + 1).unwrap_or(Set::MAX)
    }

    fn members(&self, set: Set) -> &[u32] {
        let set = set
            .checked_sub(1)
            .and_then(|at| self.sets.get_index(at as usize));
        set.map_or(&[], Vec::as_slice)
    }

    pub fn union(&mut self, a: Set, b: Set) -> Set {
        if a == b || b == 0 {
            return a;
        }
        if a == 0 {
            return b;
        }
        let key = (a.min(b), a.max(b));
        if let Some(known) = self.unions.get(&key) {
            return *known;
        }
        let mut all = [self.members(a), self.members(b)].concat();
        all.sort_unstable();
        all.dedup();
        let set = self.number(all);
        self.unions.insert(key, set);
        set
    }

    pub fn functions(&self, set: Set) -> Vec<Node<'t>> {
        let at = |index: &u32| self.functions.get_index(*index as usize);
        let all = self.members(set).iter().filter_map(at);
        all.map(|(function, _)| *function).collect()
    }

    /// Notes that a function is called in a new way.
    pub fn called(&mut self, function: Node<'t>) {
        self.now += 1;
        self.functions.insert(function, self.now);
    }

    pub fn keep<V>(&self, value: V, of: Set) -> Kept<V> {
        Kept {
            value,
            of,
            at: self.now,
        }
    }

    /// What was kept, as long as it holds.
    pub fn fresh<'k, V>(&self, kept: Option<&'k Kept<V>>) -> Option<(&'k V, Set)> {
        let kept = kept?;
        let holds = kept.at == self.now
            || self.members(kept.of).iter().all(|index| {
                let called = self.functions.get_index(*index as usize);
                called.is_none_or(|(_, at)| *at <= kept.at)
            });
        holds.then_some((&kept.value, kept.of))
    }
}
