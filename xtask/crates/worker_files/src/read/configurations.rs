//! SGLang's configuration files, which `--config` names.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Hides, Reader, RepoPath, Source, yaml};
use crate::json::{JsonKind, JsonNode, Member};
use crate::python::{FlagGiven, FlagValue};

impl Reader<'_> {
    /// Replaces `--config FILE` by the flags in that file, if the repository has it.
    pub fn read_configurations(&mut self) -> Result<()> {
        let all = std::mem::take(&mut self.interface.python.flags);
        // Flags that are always in the command win.
        let fixed = all.iter().filter(|given| given.is_fixed());
        let fixed: BTreeSet<String> = fixed.map(|given| given.flag.clone()).collect();
        let mut read = BTreeSet::new();
        for given in all {
            let file = match &given.value {
                FlagValue::Fixed(file) if given.flag == "--config" => {
                    let is_elsewhere = file.starts_with('/') && self.copied.is_some();
                    let named = || self.resolve(file, None).into_iter().next();
                    let found = self.in_image(file, None);
                    found.or_else(|| named().filter(|_| !is_elsewhere))
                }
                _ => None,
            };
            let is_read = |file: &RepoPath| !read.insert((file.clone(), given.runs, given.reached));
            if file.as_ref().is_some_and(is_read) {
                continue;
            }
            let source = file.map(|file| self.source(&file)).transpose()?.flatten();
            let Some(source) = source else {
                self.interface.python.flags.push(given);
                continue;
            };
            let root = yaml::read(&source, &[Hides::Flags], &mut self.unread);
            let flags = configured(&source, &yaml::typed(&root, &source.text), &given);
            let more = flags.into_iter().filter(|one| !fixed.contains(&one.flag));
            self.interface.python.flags.extend(more);
        }
        Ok(())
    }
}

/// The flags in a file as `SGLang` reads them: `true` is a switch, and `false` no flag.
fn configured(source: &Source, root: &JsonNode, given: &FlagGiven) -> Vec<FlagGiven> {
    let flag = |member: &Member| {
        let value = match &member.value.kind {
            JsonKind::Bool(true) => FlagValue::Alone,
            JsonKind::Bool(false) | JsonKind::Null => return None,
            JsonKind::Array(items) => {
                let texts: Option<Vec<String>> = items.iter().map(JsonNode::scalar).collect();
                FlagValue::Fixed(texts?.join(" "))
            }
            _ => FlagValue::Fixed(member.value.scalar()?),
        };
        Some(FlagGiven {
            flag: format!("--{}", member.key.replace('_', "-")),
            value,
            from: Vec::new(),
            place: member.place(source),
            ..given.clone()
        })
    };
    root.members().iter().filter_map(flag).collect()
}
