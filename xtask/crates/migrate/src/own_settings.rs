//! Writes what a fork set and installed itself into the new worker, where one line does that there:
//! variables of the image, defaults of the Hub's form, packages and build steps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::Result;

use super::plan::{Planned, Planner};
use compare::{ForkChange, Setting, env_assignment};
use worker_files::rewrite::Change;
use worker_files::{dockerfile, hub};
use xtask_core::tree::{Entries, RepoPath, Tree};

/// Puts a value into the Hub's listing: the line of that, and the text.
type InListing = fn(&[u8], &str, &str) -> Option<(usize, String)>;

/// Values by name, each with the changes that it settles.
type Values = BTreeMap<String, (String, Vec<usize>)>;

/// What can be written, each with the changes of the fork that it settles, by their number.
#[derive(Default)]
struct Settings {
    variables: Values,
    listing: Values,
    apt: BTreeMap<String, usize>,
    requirements: BTreeMap<String, usize>,
    steps: Vec<(String, Vec<usize>)>,
}

impl Planner<'_> {
    /// Writes what upstream's files lack of the fork's changes since `base`. What it writes is not
    /// listed as left behind any more.
    pub fn write_settings(&self, built: &mut Planned, base: &dyn Tree) -> Result<()> {
        let own = built.plan.own.as_ref();
        let Some(own) = own.filter(|own| own.carried && built.plan.conflicts.is_empty()) else {
            return Ok(());
        };
        let settings = Settings::of(&own.changes, base, &self.at.ours)?;
        let mut settled: BTreeSet<usize> = BTreeSet::new();
        let lines = settings.instructions();
        if !lines.is_empty() {
            let change = |text: &[u8]| dockerfile::with_lines(text, &lines);
            let what = "what this fork sets and installs itself";
            if self.rewrite(built, "Dockerfile", what, change)? {
                settled.extend(settings.variables.values().flat_map(|(_, numbers)| numbers));
                settled.extend(settings.apt.values());
                settled.extend(settings.steps.iter().flat_map(|(_, numbers)| numbers));
            }
        }
        let change = |text: &[u8]| settings.in_listing(text);
        if self.rewrite(built, ".runpod/hub.json", "what this fork offers", change)? {
            settled.extend(settings.listing.values().flat_map(|(_, numbers)| numbers));
        }
        if !settings.requirements.is_empty() {
            let lines = settings.requirements.keys().map(String::as_str);
            let lines: Vec<&str> = lines.collect();
            let change = |text: &[u8]| with_requirements(text, &lines);
            let what = "what this fork installs itself";
            if self.rewrite(built, "requirements.txt", what, change)? {
                settled.extend(settings.requirements.values());
            }
        }
        if let Some(own) = &mut built.plan.own {
            let mut number = 0..;
            own.changes.retain(|_| {
                number
                    .next()
                    .is_none_or(|number| !settled.contains(&number))
            });
        }
        Ok(())
    }

    /// Changes a file of the result, where it is there and can be.
    fn rewrite(
        &self,
        built: &mut Planned,
        path: &str,
        what: &str,
        change: impl FnOnce(&[u8]) -> Option<(usize, String)>,
    ) -> Result<bool> {
        let result = self.at.tree(&built.entries, "the result");
        let Some(before) = result.read_file(path)? else {
            return Ok(false);
        };
        let Some((line, after)) = change(&before) else {
            return Ok(false);
        };
        let what = what.to_owned();
        let changes = vec![Change { line, what }];
        self.put(built, &path.into(), [&before, after.as_bytes()], changes)?;
        Ok(true)
    }
}

impl Settings {
    fn of(changes: &[ForkChange], base: &dyn Tree, ours: &dyn Tree) -> Result<Self> {
        let mut settings = Self::default();
        let open = changes.iter().enumerate().filter(|(_, it)| it.is_open);
        let mut in_dockerfile: BTreeMap<&RepoPath, Vec<(usize, &ForkChange)>> = BTreeMap::new();
        for (number, change) in open.clone() {
            if change.path.name() == b"Dockerfile" {
                let of_file = in_dockerfile.entry(&change.path).or_default();
                of_file.push((number, change));
            }
        }
        let mut done = BTreeSet::new();
        for (path, changes) in in_dockerfile {
            let text = |tree: &dyn Tree| -> Result<String> {
                let text = tree.read(path)?;
                Ok(String::from_utf8_lossy(&text).into_owned())
            };
            if !base.entries().contains_key(path) {
                continue;
            }
            let (before, after) = (text(base)?, text(ours)?);
            for (lines, step) in dockerfile::added_steps(&before, &after) {
                let numbers = within(&lines, &changes);
                if !numbers.is_empty() && !names_file(step, ours.entries()) {
                    done.extend(numbers.iter().copied());
                    settings.steps.push((step.replace("\r\n", "\n"), numbers));
                }
            }
        }
        for (number, change) in open.filter(|(number, _)| !done.contains(number)) {
            let added = change.what.strip_prefix("added");
            let added = added.map(|rest| rest.strip_prefix(": ").unwrap_or(rest));
            if let Some(set) = &change.set {
                let (all, name, value) = match set {
                    Setting::Variable(name, value) => (&mut settings.variables, name, value),
                    Setting::Listing(name, value) => (&mut settings.listing, name, value),
                };
                let known = all.entry(name.clone());
                let (first, numbers) = known.or_insert_with(|| (value.clone(), Vec::new()));
                if first == value {
                    numbers.push(number);
                }
            } else if let Some((name, "")) = change.id.strip_prefix("apt:").zip(added) {
                settings.apt.insert(name.to_owned(), number);
            } else if let Some((name, version)) = change.id.strip_prefix("pip:").zip(added)
                && let Some(line) = requirement(name, version)
            {
                settings.requirements.insert(line, number);
            }
        }
        Ok(settings)
    }

    /// The Hub's listing with these values. A default of its form is stronger than the image's, so it
    /// changes too.
    fn in_listing(&self, text: &[u8]) -> Option<(usize, String)> {
        let variables = self.variables.iter();
        let variables = variables.map(|of| (hub::with_default as InListing, of));
        let listing = self.listing.iter();
        let all = variables.chain(listing.map(|of| (hub::with_setting as InListing, of)));
        all.fold(
            None,
            |done: Option<(usize, String)>, (with, (name, (value, _)))| {
                let before = done.as_ref().map_or(text, |(_, text)| text.as_bytes());
                let Some((line, after)) = with(before, name, value) else {
                    return done;
                };
                let first = done.map_or(line, |(first, _)| line.min(first));
                Some((first, after))
            },
        )
    }

    /// The instructions of a Dockerfile that do this, with what they are for.
    fn instructions(&self) -> String {
        let mut lines = String::new();
        if !self.apt.is_empty() {
            let names: Vec<&str> = self.apt.keys().map(String::as_str).collect();
            lines += &format!(
                "RUN apt-get update && apt-get install -y --no-install-recommends {} \\\n    \
                 && rm -rf /var/lib/apt/lists/*\n",
                names.join(" ")
            );
        }
        for (step, _) in &self.steps {
            lines += &format!("{step}\n");
        }
        let variables = self.variables.iter();
        let variables = variables.filter_map(|(name, (value, _))| env_assignment(name, value));
        let variables: Vec<String> = variables.collect();
        if !variables.is_empty() {
            lines += &format!("ENV {}\n", variables.join(" \\\n    "));
        }
        if lines.is_empty() {
            return lines;
        }
        format!("# What this fork sets and installs itself.\n{lines}")
    }
}

/// The changes that stand in these lines, by their number, if all that stands there was added.
fn within(lines: &Range<usize>, changes: &[(usize, &ForkChange)]) -> Vec<usize> {
    let here = changes.iter().filter(|(_, it)| lines.contains(&it.line));
    let here: Vec<&(usize, &ForkChange)> = here.collect();
    let is_added = here.iter().all(|(_, it)| it.what.starts_with("added"));
    let numbers = here.iter().filter(|_| is_added).map(|(number, _)| *number);
    numbers.collect()
}

/// Whether a build step names a file of the fork, which may lie elsewhere in the new image.
fn names_file(step: &str, entries: &Entries) -> bool {
    let words = step.split(|c: char| c.is_whitespace() || "/\"'=;&|()".contains(c));
    let words: BTreeSet<&[u8]> = words.map(str::as_bytes).collect();
    let mut parts = entries
        .keys()
        .flat_map(|path| path.as_bytes().split(|&byte| byte == b'/'));
    parts.any(|part| words.contains(part))
}

/// The line of requirements.txt for a package with a version as it is told; `None` for more than that.
fn requirement(name: &str, version: &str) -> Option<String> {
    if version.contains(char::is_whitespace) {
        return None;
    }
    match version.strip_prefix('@') {
        Some(address) => Some(format!("{name} @ {address}")),
        None if version.is_empty() || version.starts_with(['=', '<', '>', '~', '!']) => {
            Some(format!("{name}{version}"))
        }
        None => None,
    }
}

/// A list of requirements with more lines, and the number of the first.
fn with_requirements(text: &[u8], lines: &[&str]) -> Option<(usize, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut after = text.to_owned();
    if !after.is_empty() && !after.ends_with('\n') {
        after += end;
    }
    let number = after.matches('\n').count() + 1;
    for line in lines {
        after += line;
        after += end;
    }
    Some((number, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use compare::Exposed;
    use xtask_core::tree::Memory;

    const ENGINE: &str = "import os, subprocess\ncommand = [\"python3\", \"-m\", \"sglang.launch_server\"]\n\
        parser = os.getenv(\"TOOL_CALL_PARSER\")\nif parser:\n    command += [\"--tool-call-parser\", parser]\n\
        subprocess.run(command)\n";
    const DOCKERFILE: &str = "FROM lmsysorg/sglang:v0.5.9\nRUN apt-get update && apt-get install -y curl\n\
        COPY engine.py check.sh requirements.txt /\nRUN pip install -r /requirements.txt\n\
        CMD [\"python3\", \"/engine.py\"]\n";

    fn worker(engine: &str, dockerfile: &str, requirements: &str) -> Memory {
        Memory::new()
            .with("engine.py", engine)
            .with("check.sh", "nvidia-smi\n")
            .with("Dockerfile", dockerfile)
            .with("requirements.txt", requirements)
    }

    /// What is written for a fork, and the ids of what is left.
    fn written(
        engine: &str,
        dockerfile: &str,
        requirements: &str,
    ) -> (String, Vec<String>, Vec<String>) {
        let base = worker(ENGINE, DOCKERFILE, "runpod\n");
        let fork = worker(engine, dockerfile, requirements);
        let [old, own, new] = [&base, &fork, &base].map(|it| Exposed::read(it).unwrap());
        let changes = own.changes(&old, &new);
        let settings = Settings::of(&changes, &base, &fork).unwrap();
        let numbers = settings.steps.iter().flat_map(|(_, numbers)| numbers);
        let numbers = numbers.chain(settings.variables.values().flat_map(|(_, numbers)| numbers));
        let numbers = numbers.chain(settings.apt.values());
        let done: BTreeSet<usize> = numbers
            .chain(settings.requirements.values())
            .copied()
            .collect();
        let left = changes.iter().enumerate();
        let left = left.filter(|(number, it)| it.is_open && !done.contains(number));
        let left = left.map(|(_, it)| it.id.clone()).collect();
        let requirements = settings.requirements.keys().cloned().collect();
        (settings.instructions(), requirements, left)
    }

    #[test]
    fn what_one_line_does_is_written() {
        let engine = ENGINE.replace("_PARSER\")", "_PARSER\", \"qwen25\")");
        let dockerfile = DOCKERFILE.replace("-y curl", "-y curl ffmpeg").replace(
            "CMD",
            "RUN pip install boto3\nRUN update-ca-certificates --fresh\nENV REGION=\"eu west\" LEVEL=2\nCMD",
        );
        let (lines, requirements, left) = written(
            &engine,
            &dockerfile,
            "runpod\nours @ git+https://a.example/ours@v1\nuvloop>=0.20\n",
        );
        assert_eq!(
            lines,
            "# What this fork sets and installs itself.\n\
             RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg \\\n    \
             && rm -rf /var/lib/apt/lists/*\nRUN pip install boto3\nRUN update-ca-certificates --fresh\n\
             ENV LEVEL=2 \\\n    REGION=\"eu west\" \\\n    TOOL_CALL_PARSER=qwen25\n"
        );
        assert_eq!(
            requirements,
            ["ours @ git+https://a.example/ours@v1", "uvloop>=0.20"]
        );
        assert_eq!(left, [""; 0]);
    }

    #[test]
    fn what_the_image_set_is_stronger_than_a_default() {
        let engine = ENGINE.replace("_PARSER\")", "_PARSER\", \"qwen25\")");
        let dockerfile = DOCKERFILE.replace("CMD", "ENV TOOL_CALL_PARSER=llama3\nCMD");
        let (lines, ..) = written(&engine, &dockerfile, "runpod\n");
        let expected = "# What this fork sets and installs itself.\nENV TOOL_CALL_PARSER=llama3\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_needs_a_person_is_left() {
        let engine = ENGINE.replace("_PARSER\")", "_PARSER\", open(\"/parser\").read())");
        let dockerfile = DOCKERFILE.replace(
            "CMD",
            "ARG KIND\nRUN bash /check.sh --all\nRUN fetch --kind $KIND\n\
             ENV HF_TOKEN=hf_aB3dE5gH7jK9mN1pQ3sT5vW7yZ PYTHONPATH=/src KIND=$KIND\nCMD",
        );
        let (lines, requirements, left) = written(&engine, &dockerfile, "runpod==1.7.0\n");
        assert_eq!(lines, "");
        assert_eq!(requirements, [""; 0]);
        for id in [
            "env:TOOL_CALL_PARSER",
            "image:HF_TOKEN",
            "image:PYTHONPATH",
            "image:KIND",
            "pip:runpod",
        ] {
            assert!(left.iter().any(|it| it == id), "{id} of {left:?}");
        }
        assert!(
            left.iter().filter(|it| it.starts_with("step:")).count() == 2,
            "{left:?}"
        );
    }
}
