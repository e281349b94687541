//! Programs that supervisor's configuration starts, and files that the Python names.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::run::{Invocation, When};
use super::{Hides, Reader, RepoPath, Run, Source, python, shell};

impl Reader<'_> {
    pub fn programs(&mut self) {
        for (path, entry) in self.tree.entries() {
            if entry.mode.is_file() {
                let same = self.names.entry(path.name().to_vec()).or_default();
                same.push(path.clone());
            }
        }
        let sources = self.interface.sources.values().filter(|source| {
            let name = source.path.name();
            name.ends_with(b".conf") || name.ends_with(b".ini")
        });
        for source in sources.cloned().collect::<Vec<Source>>() {
            let held = self.holds(&source.path);
            self.supervisor(&source, if held { When::Start } else { When::Never });
        }
        self.mentioned();
    }

    /// Scripts and programs that a Python file names in quotes: it may start them.
    fn mentioned(&mut self) {
        for source in self.interface.sources.values() {
            if !source.path.name().ends_with(b".py") {
                continue;
            }
            for end in [".sh\"", ".sh'", ".py\"", ".py'"] {
                for (at, _) in source.text.match_indices(end) {
                    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
                    let from = source.text[..at].trim_end_matches(is_part).len();
                    let name = &source.text[from..at + end.len() - 1];
                    let files = self.names.get(name.as_bytes()).into_iter().flatten();
                    self.mentions.extend(files.cloned());
                }
            }
        }
    }

    /// Scripts and programs that Python may start and that hand their arguments on to the server.
    pub fn launchers(&self, sources: &BTreeMap<RepoPath, Source>) -> BTreeSet<String> {
        let hands_on = |source: &&Source| {
            if source.path.name().ends_with(b".py") {
                return python::hands_on(&source.text);
            }
            shell::parse(&source.text).commands.iter().any(|command| {
                let all = |word: &shell::Word| matches!(&*word.text, "$@" | "$*");
                command.sglang().is_some() && command.words.iter().any(all)
            })
        };
        let mentioned = self.mentions.iter().filter_map(|path| sources.get(path));
        let name = |source: &Source| String::from_utf8_lossy(source.path.name()).into_owned();
        mentioned.filter(hands_on).map(name).collect()
    }

    /// Files that a Python program names and that it may read its tables from.
    pub fn data(&self) -> Result<Vec<Source>> {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let texts = self.interface.sources.values().chain(&self.inline);
        let words: BTreeSet<&str> = texts
            .flat_map(|source| source.text.split(|c| !is_word(c)))
            .filter(|word| word.split_once('.').is_some_and(|(_, end)| end != "py"))
            .collect();
        // `load_dotenv()` takes it without being told.
        let loads = |source: &Source| source.text.contains("load_dotenv");
        let dotenv = self.interface.sources.values().any(loads).then_some(".env");
        let words: BTreeSet<&str> = words.into_iter().chain(dotenv).collect();
        let mut found = Vec::new();
        for path in words
            .iter()
            .filter_map(|word| self.names.get(word.as_bytes()))
            .flatten()
        {
            let size = self.tree.entries().get(path).and_then(|entry| entry.size);
            let most = python::LARGEST_DATA;
            if !self.holds(path) || size.is_some_and(|size| size > most as u64) {
                continue;
            }
            let bytes = self.tree.read(path)?;
            let source = Source::new(path.clone(), &bytes);
            if bytes.len() <= most && source.trouble().is_none() {
                found.push(source);
            }
        }
        Ok(found)
    }

    /// `command=` of each program; `%(ENV_NAME)s` is the variable NAME.
    pub fn supervisor(&mut self, source: &Source, when: When) {
        for (start, line) in source.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let range = start..start + line.len();
            if key.trim() == "files" && when == When::Start {
                let what = "what the files say that are included here is not read";
                let hides = [Hides::Variables, Hides::Flags];
                self.unread.push(source.unread(range.clone(), what, &hides));
            }
            if !matches!(key.trim(), "command" | "environment" | "directory" | "user") {
                continue;
            }
            let (before, behind) = source.text.split_at(start);
            let says_never = |text: &str| text.replace(' ', "").contains("autostart=false");
            let mut section = before
                .rsplit("\n[")
                .take(1)
                .chain(behind.split("\n[").take(1));
            let when = if section.any(says_never) {
                When::Never
            } else {
                when
            };
            let mut text = value.replace("%%", "%");
            while let Some(at) = text.find("%(ENV_") {
                let Some(length) = text[at..].find(")s") else {
                    break;
                };
                let name = format!("${{{}}}", &text[at + 6..at + length]);
                text.replace_range(at..at + length + 2, &name);
            }
            let mut script = shell::parse(&text);
            for command in &mut script.commands {
                for word in &mut command.words {
                    word.range = range.clone();
                }
            }
            for read in &mut script.reads {
                read.range = range.clone();
            }
            if key.trim() != "command" {
                script.commands.clear();
            }
            if key.trim() == "environment" && when == When::Start {
                for (name, value) in pairs(value) {
                    let place = source.place(range.clone());
                    self.interface.exports.push((name, value, place));
                }
            }
            script.unread.clear();
            let run = Run {
                script,
                base: 0,
                workdir: None,
                place: source.place(range),
            };
            let file = source.path.clone();
            self.jobs.push(Invocation { file, run, when });
        }
    }
}

/// `NAME="value",OTHER=value`, as supervisor writes an environment.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut quote = None;
    let parts = text.split(|c: char| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        c == ',' && quote.is_none()
    });
    parts
        .filter_map(|part| part.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
        .collect()
}
