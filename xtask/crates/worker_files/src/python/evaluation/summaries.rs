//! Summaries of functions: the joined arguments and the joined result of each. A cached value
//! records the summaries that it depends on, so that it is computed again only when one of them
//! grew.

use super::value::Val;
use crate::python::Map;
use crate::python::program::node::Node;

#[derive(Default)]
pub struct Summaries<'t> {
    entries: Map<Node<'t>, Entry<'t>>,
    /// Counts the growth of summaries.
    pub clock: u32,
}

struct Entry<'t> {
    params: Vec<(&'t str, Val<'t>)>,
    result: Val<'t>,
    /// When the parameters and the result grew last.
    grew: [u32; 2],
}

/// The summaries that a value depends on, by number; beyond [`MOST`], all.
#[derive(Default, Clone)]
pub struct Uses(Vec<u32>);

/// The most summaries that are recorded one by one.
const MOST: usize = 32;

/// A cached value, when it was computed, and the summaries that it depends on.
pub struct Known<'t> {
    pub value: Val<'t>,
    pub at: u32,
    pub uses: Uses,
}

/// The cached values of expressions in no context, as a join or exact.
#[derive(Default)]
pub struct Joined<'t> {
    known: Vec<Known<'t>>,
    /// By file and node: one more than the place among `known`, or 0.
    places: Vec<Vec<[u32; 2]>>,
}

impl<'t> Joined<'t> {
    pub fn get(&mut self, node: Node<'t>, exact: bool) -> Option<&mut Known<'t>> {
        let place = self.places.get(node.file())?.get(node.number())?[usize::from(exact)];
        self.known.get_mut((place as usize).checked_sub(1)?)
    }

    pub fn insert(&mut self, node: Node<'t>, exact: bool, known: Known<'t>) {
        if let Some(place) = self.get(node, exact) {
            *place = known;
            return;
        }
        self.known.push(known);
        if self.places.len() <= node.file() {
            self.places.resize_with(node.file() + 1, Vec::new);
        }
        let of_file = &mut self.places[node.file()];
        if of_file.is_empty() {
            of_file.resize(node.syntax.nodes.len(), [0, 0]);
        }
        let place = u32::try_from(self.known.len()).unwrap_or_default();
        of_file[node.number()][usize::from(exact)] = place;
    }
}

impl Uses {
    fn add(&mut self, one: u32) {
        if self.0.len() <= MOST && !self.0.contains(&one) {
            self.0.push(one);
        }
    }

    pub fn and(&mut self, other: &Self) {
        for number in &other.0 {
            self.add(*number);
        }
    }
}

impl<'t> Summaries<'t> {
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

    /// The joined arguments of a function.
    pub fn params(&mut self, function: Node<'t>, uses: &mut Uses) -> &mut Vec<(&'t str, Val<'t>)> {
        let (number, entry) = self.entry(function);
        uses.add(number);
        &mut entry.params
    }

    /// The joined result of a function.
    pub fn result(&mut self, function: Node<'t>, uses: &mut Uses) -> &mut Val<'t> {
        let (number, entry) = self.entry(function);
        uses.add(number + 1);
        &mut entry.result
    }

    /// Notes that a summary grew: its parameters, or its result.
    pub fn grew(&mut self, function: Node<'t>, result: bool) {
        self.clock += 1;
        let clock = self.clock;
        self.entry(function).1.grew[usize::from(result)] = clock;
    }

    /// Whether none of these summaries grew since.
    pub fn same_since(&self, at: u32, uses: &Uses) -> bool {
        let same = |number: &u32| {
            let entry = self.entries.get_index((number / 2) as usize);
            entry.is_some_and(|(_, entry)| entry.grew[(number % 2) as usize] <= at)
        };
        at == self.clock || uses.0.len() <= MOST && uses.0.iter().all(same)
    }
}
