//! A command's program behind those that only run it (`exec`, `timeout 5`), and the flags that it
//! gives to `SGLang`.

use std::ops::Range;

use super::{Command, Word, is_name, variables};
use crate::is_one_of;

/// A flag that a command gives to `SGLang`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFlag {
    pub flag: String,
    /// What follows it: nothing for a switch.
    pub value: Option<String>,
    /// The variables that the value uses.
    pub from: Vec<String>,
    pub range: Range<usize>,
}

/// Programs that only print their arguments, or look for them.
pub(super) const PRINTERS: &str = "echo set printf grep egrep pgrep pkill logger cat";

/// The text with `$NAME` for `${NAME}` where that means the same.
pub fn without_braces(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let next = after[end..].strip_prefix('}');
        let next = next.filter(|next| is_name(&after[..end]) && !next.starts_with(is_part));
        let named = next.map(|next| (&after[..end], next));
        out += before;
        let (name, next) = named.unwrap_or(("{", after));
        out += "$";
        out += name;
        rest = next;
    }
    out + rest
}

impl Command {
    pub(super) fn new(words: Vec<Word>) -> Self {
        let start = start(&words);
        Self {
            words,
            start,
            ..Self::default()
        }
    }

    pub fn run(&self) -> &[Word] {
        self.words.get(self.start..).unwrap_or_default()
    }

    /// The program that runs, without its folder.
    pub fn program(&self) -> &str {
        let first = self.word(0);
        // `$(which python3) -m pip`
        let mut asked = ["$(which ", "$(command -v "].iter();
        let inner = asked.find_map(|ask| first.strip_prefix(ask)?.strip_suffix(')'));
        let first = inner.unwrap_or(first);
        first.rsplit('/').next().unwrap_or(first)
    }

    /// What the program is started through, with its options: `numactl --cpunodebind=0`.
    pub fn started_through(&self) -> String {
        started_through(&self.words)
    }

    /// What is set for the program alone: in front of it, or by `env`.
    pub fn set_for_it(&self) -> impl Iterator<Item = (&str, &str)> {
        let before = self.words.iter().take(self.start);
        let by_env = before.filter_map(|word| word.text.split_once('='));
        let by_env = by_env.filter(|(name, _)| is_name(name));
        let in_front = self.sets.iter().map(|(name, value)| (&**name, &**value));
        in_front.chain(by_env)
    }

    /// The text that the command writes to a file: `cat > FILE <<EOF`, `echo TEXT > FILE`.
    pub fn written(&self) -> Option<(&str, String, Range<usize>)> {
        let words = self.run();
        let target = self.writes.first().map(String::as_str);
        if let (Some((text, range)), "cat" | "tee") = (&self.input, self.program()) {
            let target = target.or_else(|| words.get(1).map(|word| &*word.text))?;
            return Some((target, text.clone(), range.clone()));
        }
        let mut words = words
            .iter()
            .skip(1)
            .filter(|word| !word.text.starts_with('-'));
        let first = words.next()?;
        let texts = words.map(|word| word.text.as_str());
        let text = match self.program() {
            "echo" => {
                [&*first.text]
                    .into_iter()
                    .chain(texts)
                    .collect::<Vec<_>>()
                    .join(" ")
                    + "\n"
            }
            "printf" if first.text.contains('%') => texts.map(|text| format!("{text}\n")).collect(),
            "printf" => first.text.clone(),
            _ => return None,
        };
        Some((target?, text.replace("\\n", "\n"), first.range.clone()))
    }

    pub fn line(&self) -> String {
        let words: Vec<&str> = self.run().iter().map(|word| word.text.as_str()).collect();
        without_braces(&words.join(" "))
    }

    /// The text of an argument, the program being number 0.
    pub fn word(&self, index: usize) -> &str {
        self.run().get(index).map_or("", |word| word.text.as_str())
    }

    /// The flags that the command gives to `SGLang`'s server, if it starts that.
    pub fn server_flags(&self) -> Option<Vec<ServerFlag>> {
        let words = self.run();
        let text = |index: usize| self.word(index);
        let module = (0..words.len()).find(|&i| {
            text(i) == "-m" && matches!(by_default(text(i + 1)), "sglang.launch_server" | "sglang")
                || text(i).ends_with("sglang/launch_server.py")
        });
        let from = match module {
            Some(at) if !is_one_of(PRINTERS, self.program()) => at + 1,
            _ if self.program() == "sglang" && text(1) == "serve" => 2,
            _ => return None,
        };
        let mut given = Vec::new();
        let mut rest = words[from.min(words.len())..].iter().peekable();
        while let Some(word) = rest.next() {
            let flag = word.text.split('=').next().unwrap_or_default();
            if !flag.starts_with("--") {
                continue;
            }
            let mut add = |value: Option<&str>| {
                let names = value.map(variables).unwrap_or_default();
                given.push(ServerFlag {
                    flag: flag.to_owned(),
                    value: value.map(str::to_owned),
                    from: names.into_iter().map(|(name, _)| name).collect(),
                    range: word.range.clone(),
                });
            };
            if let Some((_, value)) = word.text.split_once('=') {
                add(Some(value));
                continue;
            }
            let may_be = |next: &&Word| !next.text.starts_with("--") && next.text != "$@";
            let first = rest.next_if(|next| may_be(next) && word.may_take(next));
            let Some(first) = first else {
                add(None);
                continue;
            };
            // `--lora-paths a=b c=d`
            let is_value = |next: &&Word| {
                !next.choice && word.may_take(next) && !next.text.starts_with(['-', '$', '`'])
            };
            let mut value = first.text.clone();
            while let Some(more) = rest.next_if(is_value) {
                value = format!("{value} {}", more.text);
            }
            add(Some(&value));
            let is_other = |next: &&Word| next.choice && !next.text.starts_with("--");
            while let Some(other) = rest.next_if(is_other) {
                add(Some(&other.text));
            }
        }
        Some(given)
    }

    /// Arguments of the server's command that the shell fills in: no flags, and no values of flags.
    pub fn filled_in(&self) -> Vec<&Word> {
        if self.server_flags().is_none() {
            return Vec::new();
        }
        let is_argument = |pair: &&[Word]| {
            let [before, word] = pair else { return false };
            word.text.starts_with(['$', '`']) && !before.may_take(word)
        };
        let words = self.run().windows(2).filter(is_argument);
        words.map(|pair| &pair[1]).collect()
    }
}

/// `${NAME:-default}` is its default.
fn by_default(word: &str) -> &str {
    let inner = word.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
    let parts = inner.and_then(|inner| inner.split_once('-'));
    parts.map_or(word, |(_, default)| default)
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

pub fn started_through(words: &[impl AsRef<str>]) -> String {
    const CHANGE_NOTHING: &str = "exec command builtin time nohup";
    let words = words[..start(words)].iter().map(AsRef::as_ref);
    let words = words.filter(|word| !is_one_of(CHANGE_NOTHING, word));
    words.collect::<Vec<_>>().join(" ")
}

/// Programs that only run another one, with those of their options that take a value.
const RUNNERS: [(&str, &str); 8] = [
    ("sudo", "-u -g -h -p -C -D -r -t"),
    ("env", "-u --unset -C --chdir"),
    ("exec", "-a"),
    ("nice", "-n"),
    ("ionice", "-c -n"),
    ("timeout", "-s -k --signal --kill-after"),
    ("stdbuf", "-o -e -i"),
    (
        "numactl",
        "-N --cpunodebind -m --membind -C --physcpubind -i --interleave -p --preferred",
    ),
];
const PLAIN_RUNNERS: &str = "catchsegv nohup time tini dumb-init command builtin setsid unbuffer gosu \
    su-exec catatonit taskset chrt";
const ENVIRONMENTS: &str = "conda mamba micromamba uv poetry pipenv pdm";

/// The index of the program, behind those that only run it.
pub(super) fn start(words: &[impl AsRef<str>]) -> usize {
    let mut at = 0;
    let text = |at: usize| words.get(at).map_or("", AsRef::as_ref);
    loop {
        let name = text(at).rsplit('/').next().unwrap_or_default();
        let runner = RUNNERS.iter().find(|(runner, _)| *runner == name);
        // `conda run -n NAME PROGRAM`, `uv run PROGRAM`, `poetry run PROGRAM`
        let runs = text(at + 1) == "run" && is_one_of(ENVIRONMENTS, name);
        // `python -m uv pip install`
        if name.starts_with("python") && text(at + 1) == "-m" && text(at + 2) == "uv" {
            at += 2;
            continue;
        }
        let valued = match runner {
            Some((_, options)) => options,
            None if runs => {
                "-n --name -p --prefix --with --python --extra --group --no-group --only-group \
                 --directory --project --env-file"
            }
            // `runuser -u app -- pip install`
            None if name == "runuser" && text(at + 1) == "-u" => "-u -g -G",
            None if is_one_of(PLAIN_RUNNERS, name) => "",
            None => return at.min(words.len()),
        };
        at += usize::from(runs);
        // `command -v NAME` only asks where a program is.
        if name == "command" && text(at + 1).starts_with(['-']) {
            return at;
        }
        at += 1;
        while let Some(word) = words.get(at).map(AsRef::as_ref) {
            let is_set = name == "env" || name == "sudo" && !word.starts_with('/');
            let sets = is_set && word.contains('=');
            if !word.is_empty() && is_one_of(valued, word) {
                at += 2;
            } else if word.starts_with('-') && word.len() > 1 || sets {
                at += 1;
            } else {
                break;
            }
        }
        if matches!(name, "timeout" | "gosu" | "su-exec" | "taskset" | "chrt") {
            at += 1;
        }
        if at >= words.len() {
            return words.len().saturating_sub(1);
        }
    }
}
