//! The arguments of calls.

use std::rc::Rc;

use super::value::Val;

/// The arguments of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Args<'t> {
    pub positional: Vec<Val<'t>>,
    pub named: Vec<(Rc<str>, Val<'t>)>,
    /// Starred arguments that are not known: `*x`, `**x`.
    pub more: Vec<Val<'t>>,
}

impl<'t> Args<'t> {
    pub fn of(positional: Vec<Val<'t>>) -> Self {
        Self {
            positional,
            ..Self::default()
        }
    }

    /// An argument by its place or its name.
    pub fn get(&self, index: usize, name: &str) -> Option<&Val<'t>> {
        let named = || self.named.iter().find(|(own, _)| &**own == name);
        self.positional.get(index).or_else(|| Some(&named()?.1))
    }

    pub fn named(&self, name: &str) -> Option<&Val<'t>> {
        self.get(usize::MAX, name)
    }

    /// Adds the arguments of `*value` or `**value`.
    pub fn spread(&mut self, value: &Val<'t>) {
        match value {
            Val::List(items) => self.positional.extend(items.iter().cloned()),
            Val::Dict(items) => {
                let named = items.iter();
                let named = named.filter_map(|(k, v)| Some((k.as_str()?.into(), v.clone())));
                self.named.extend(named);
            }
            other => self.more.push(other.clone()),
        }
    }

    /// The arguments of a partial call with those that come later.
    pub fn then(&self, later: &Self) -> Self {
        let mut all = self.clone();
        all.positional.extend(later.positional.iter().cloned());
        all.named.retain(|(name, _)| later.named(name).is_none());
        all.named.extend(later.named.iter().cloned());
        all.more.extend(later.more.iter().cloned());
        all
    }
}
