//! The stages of a Dockerfile: which are built on one another, and which files come from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Instruction;
use super::expand::{Values, expand};
use super::reader::field;

/// A stage: its instructions, what it is built on, and what it copies from.
pub struct Stage {
    pub range: Range<usize>,
    base: String,
    copied: Vec<String>,
}

pub struct Stages {
    pub all: Vec<Stage>,
    pub first: usize,
    names: BTreeMap<String, Vec<usize>>,
}

impl Stages {
    pub fn new(instructions: &[Instruction], given: &Values) -> Self {
        let is_from = |instruction: &Instruction| instruction.keyword == "FROM";
        let first = instructions.iter().position(is_from);
        let mut stages = Self {
            all: Vec::new(),
            first: first.unwrap_or(instructions.len()),
            names: BTreeMap::new(),
        };
        let mut values = Values::new();
        for (index, instruction) in instructions.iter().enumerate() {
            if stages.all.is_empty() && instruction.keyword == "ARG" {
                for (name, value) in instruction.assignments() {
                    let default = value.map(|value| expand(&value, &values));
                    let known = given.get(&name.text).cloned().or(default);
                    values.extend(known.map(|value| (name.text, value)));
                }
            }
            if is_from(instruction) {
                let words = instruction.words(0).into_iter();
                let words = words.filter(|word| !word.text.starts_with("--"));
                let words = words.map(|word| expand(&word.text, &values).to_lowercase());
                let words: Vec<String> = words.collect();
                if words.get(1).is_some_and(|mark| mark == "as") && words.len() > 2 {
                    let same = stages.names.entry(words[2].clone()).or_default();
                    same.push(stages.all.len());
                }
                stages.all.push(Stage {
                    range: index..index,
                    base: words.into_iter().next().unwrap_or_default(),
                    copied: Vec::new(),
                });
            }
            let Some(stage) = stages.all.last_mut() else {
                continue;
            };
            stage.range.end = index + 1;
            if matches!(instruction.keyword.as_str(), "COPY" | "RUN") {
                for option in instruction.options().0 {
                    let from = option.text.strip_prefix("--from=");
                    let mount = || field(option.text.strip_prefix("--mount=")?, &["from"]);
                    stage.copied.extend(from.or_else(mount).map(str::to_owned));
                }
            }
        }
        stages
    }

    /// The stage of that name before another one.
    fn called(&self, name: &str, before: usize) -> Option<usize> {
        let stages = self.names.get(name)?;
        let count = stages.partition_point(|&stage| stage < before);
        count.checked_sub(1).map(|at| stages[at])
    }

    /// The stage that another one copies from.
    fn named(&self, name: &str, before: usize) -> Option<usize> {
        let lower = name.to_lowercase();
        let number = || lower.parse().ok().filter(|&number: &usize| number < before);
        self.called(&lower, before).or_else(number)
    }

    pub fn below(&self, stage: usize) -> Option<usize> {
        self.called(&self.all[stage].base, stage)
    }

    /// The image that a stage is built on in the end, by its name as COPY has it.
    pub fn origin(&self, name: &str, before: usize) -> Option<String> {
        let stage = self.named(name, before);
        let last = std::iter::successors(stage, |&stage| self.below(stage)).last()?;
        Some(self.all[last].base.clone())
    }

    /// The last stage behind those that it is built on.
    pub fn chain(&self) -> Vec<usize> {
        let last = self.all.len().checked_sub(1);
        let chain = std::iter::successors(last, |&stage| self.below(stage));
        let mut chain: Vec<usize> = chain.collect();
        chain.reverse();
        chain
    }

    /// The other stages that the image's files come from, in order.
    pub fn parts(&self, chain: &[usize]) -> BTreeSet<usize> {
        let mut parts: BTreeSet<usize> = chain.iter().copied().collect();
        let mut open = chain.to_vec();
        while let Some(stage) = open.pop() {
            let copied = self.all[stage].copied.iter();
            let copied = copied.filter_map(|name| self.named(name, stage));
            for next in copied.chain(self.below(stage)) {
                if parts.insert(next) {
                    open.push(next);
                }
            }
        }
        parts.retain(|stage| !chain.contains(stage));
        parts
    }
}
