//! What all calls give to each function's parameters, and what it gives back; and which of that a
//! value was made from, so that it is made again only when one of these grew.

use super::Map;
use super::syntax::Node;
use super::value::Val;

#[derive(Default)]
pub struct Tables<'t> {
    entries: Map<Node<'t>, Entry<'t>>,
    /// How often an entry grew.
    pub clock: u32,
}

struct Entry<'t> {
    params: Vec<(&'t str, Val<'t>)>,
    result: Val<'t>,
    /// When each of the two grew last.
    grew: [u32; 2],
}

/// Which entries something was made from, by their numbers; beyond [`MOST`], any.
#[derive(Default, Clone)]
pub struct Uses(Vec<u32>);

/// More entries than these are not told apart.
const MOST: usize = 32;

/// A value, when it was made, and what from.
pub struct Known<'t> {
    pub value: Val<'t>,
    pub at: u32,
    pub uses: Uses,
}

impl Uses {
    fn add(&mut self, one: u32) {
        if self.0.len() <= MOST && !self.0.contains(&one) {
            self.0.push(one);
        }
    }

    pub fn and(&mut self, other: &Self) {
        other.0.iter().for_each(|one| self.add(*one));
    }
}

impl<'t> Tables<'t> {
    fn entry(&mut self, function: Node<'t>) -> (u32, &mut Entry<'t>) {
        let entry = self.entries.entry(function);
        let number = u32::try_from(entry.index()).unwrap_or(u32::MAX / 2) * 2;
        let empty = || Entry {
            params: Vec::new(),
            result: Val::Never,
            grew: [0, 0],
        };
        (number, entry.or_insert_with(empty))
    }

    /// What all calls give to a function's parameters.
    pub fn params(&mut self, function: Node<'t>, uses: &mut Uses) -> &mut Vec<(&'t str, Val<'t>)> {
        let (number, entry) = self.entry(function);
        uses.add(number);
        &mut entry.params
    }

    /// What a function gives back.
    pub fn result(&mut self, function: Node<'t>, uses: &mut Uses) -> &mut Val<'t> {
        let (number, entry) = self.entry(function);
        uses.add(number + 1);
        &mut entry.result
    }

    /// Notes that what a function's parameters are given grew, or what it gives back.
    pub fn grew(&mut self, function: Node<'t>, result: bool) {
        self.clock += 1;
        let clock = self.clock;
        self.entry(function).1.grew[usize::from(result)] = clock;
    }

    /// Whether none of these grew since.
    pub fn same_since(&self, at: u32, uses: &Uses) -> bool {
        let same = |number: &u32| {
            let entry = self.entries.get_index((number / 2) as usize);
            entry.is_some_and(|(_, entry)| entry.grew[(number % 2) as usize] <= at)
        };
        at == self.clock || uses.0.len() <= MOST && uses.0.iter().all(same)
    }
}
