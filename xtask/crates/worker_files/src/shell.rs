//! Shell: scripts, RUN lines and commands in shell form. Words, the variables they use, and what
//! they install. This is no shell: it sees words and separators, which is what facts need.

use std::collections::BTreeSet;
use std::ops::Range;

/// A word of a command, quotes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// In bytes of the script.
    pub range: Range<usize>,
}

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    pub words: Vec<Word>,
}

/// `$NAME` or `${NAME…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// Behind `:-`, `-`, `:=` or `=`.
    pub default: Option<String>,
    pub range: Range<usize>,
}

/// A script, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub commands: Vec<Command>,
    /// Variables that the script uses and does not set before.
    pub reads: Vec<Variable>,
    /// Variables that it sets, with the place of the assignment.
    pub sets: Vec<(String, Range<usize>)>,
}

/// Reads a script.
pub fn parse(text: &str) -> Script {
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        script: Script::default(),
        command: Command::default(),
        set: BTreeSet::new(),
    };
    reader.run();
    reader.script
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    script: Script,
    command: Command,
    set: BTreeSet<String>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn run(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if matches!(self.bytes.get(self.at + 1), Some(b'\n' | b'\r')) => {
                    self.at += 2;
                    self.comment_lines();
                }
                b'#' => self.skip_line(),
                b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'`' => {
                    self.end_command();
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                _ => self.word(),
            }
        }
        self.end_command();
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    /// Comment lines inside a continued command belong to nobody: Dockerfiles allow them.
    fn comment_lines(&mut self) {
        loop {
            let rest = &self.text[self.floor()..];
            let line = rest.split('\n').next().unwrap_or_default();
            if line.trim_start().starts_with('#') && rest.len() > line.len() {
                self.at = self.floor() + line.len() + 1;
            } else {
                return;
            }
        }
    }

    fn floor(&self) -> usize {
        let mut at = self.at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn word(&mut self) {
        let start = self.at;
        let mut text: Vec<u8> = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' | b'`' => break,
                b'\\' => {
                    if matches!(self.bytes.get(self.at + 1), Some(b'\n' | b'\r')) {
                        break;
                    }
                    text.extend(self.bytes.get(self.at + 1));
                    self.at += 2;
                }
                b'\'' => {
                    self.at += 1;
                    while let Some(byte) = self.peek() {
                        self.at += 1;
                        if byte == b'\'' {
                            break;
                        }
                        text.push(byte);
                    }
                }
                b'"' => {
                    self.at += 1;
                    while let Some(byte) = self.peek() {
                        if byte == b'"' {
                            self.at += 1;
                            break;
                        }
                        if byte == b'\\' {
                            text.extend(self.bytes.get(self.at + 1));
                            self.at += 2;
                        } else if byte == b'$' {
                            self.dollar(&mut text);
                        } else {
                            text.push(byte);
                            self.at += 1;
                        }
                    }
                }
                b'$' => {
                    if !self.dollar(&mut text) {
                        break;
                    }
                }
                _ => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at = self.at.min(self.bytes.len());
        let text = String::from_utf8_lossy(&text).into_owned();
        self.push(text, start..self.at);
    }

    /// Reads what begins with a dollar sign; false when a command substitution begins.
    fn dollar(&mut self, text: &mut Vec<u8>) -> bool {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'(') => {
                text.extend(b"$(");
                // What is inside is read as commands of their own.
                self.at += 1;
                let mut depth = 1usize;
                let inner = self.at;
                while let Some(byte) = self.peek() {
                    match byte {
                        b'(' => depth += 1,
                        b')' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                    self.at += 1;
                }
                let end = self.at.min(self.bytes.len());
                self.at = (end + 1).min(self.bytes.len());
                if let Some(code) = self.text.get(inner..end) {
                    for (name, range) in variables(code) {
                        self.read(name, None, inner + range.start..inner + range.end);
                    }
                }
                true
            }
            Some(b'{') => {
                let end = self.bytes[self.at..].iter().position(|&b| b == b'}');
                let end = end.map_or(self.bytes.len(), |n| self.at + n);
                let inside = self.text.get(self.at + 1..end).unwrap_or_default();
                let name: String = inside
                    .trim_start_matches(['#', '!'])
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                let rest = inside.get(name.len()..).unwrap_or_default();
                let default = [":-", ":=", "-", "="]
                    .iter()
                    .find_map(|mark| rest.strip_prefix(mark))
                    .filter(|d| !d.is_empty())
                    .map(str::to_owned);
                for (name, _) in variables(rest) {
                    self.read(name, None, start..end);
                }
                self.at = (end + 1).min(self.bytes.len());
                text.extend_from_slice(self.bytes.get(start..self.at).unwrap_or_default());
                self.read(name, default, start..self.at);
                true
            }
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                while self
                    .peek()
                    .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
                {
                    self.at += 1;
                }
                let name = self
                    .text
                    .get(start + 1..self.at)
                    .unwrap_or_default()
                    .to_owned();
                text.extend_from_slice(&self.bytes[start..self.at]);
                self.read(name, None, start..self.at);
                true
            }
            _ => {
                text.push(b'$');
                true
            }
        }
    }

    fn read(&mut self, name: String, default: Option<String>, range: Range<usize>) {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if is_name && !self.set.contains(&name) {
            self.script.reads.push(Variable {
                name,
                default,
                range,
            });
        }
    }

    fn push(&mut self, text: String, range: Range<usize>) {
        let first = self.command.words.is_empty();
        let builtin = self.command.words.first().map(|w| w.text.clone());
        let assigns = first || matches!(builtin.as_deref(), Some("export" | "local" | "declare"));
        if assigns
            && let Some((name, _)) = text.split_once('=')
            && is_name(name)
        {
            self.set.insert(name.to_owned());
            self.script.sets.push((name.to_owned(), range.clone()));
            if first {
                return;
            }
        }
        let loops = matches!(builtin.as_deref(), Some("for" | "read" | "getopts"));
        if loops && is_name(&text) && text != "in" {
            self.set.insert(text.clone());
        }
        // Words that only lead to the command itself.
        let leads = [
            "then", "do", "else", "if", "while", "until", "!", "{", "sudo", "exec", "elif",
        ];
        if first && leads.contains(&text.as_str()) {
            return;
        }
        if !text.is_empty() || !first {
            self.command.words.push(Word { text, range });
        }
    }

    fn end_command(&mut self) {
        let command = std::mem::take(&mut self.command);
        if !command.words.is_empty() {
            self.script.commands.push(command);
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The variables that a piece of text uses.
pub fn variables(text: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('$') {
        let rest = text[at + 1..].trim_start_matches('{');
        let skipped = text.len() - at - 1 - rest.len();
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if is_name(&name) {
            let end = at + 1 + skipped + name.len();
            found.push((name, at..end));
        }
    }
    found
}

/// Who installs a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    Pip,
    Apt,
}

impl Command {
    fn is(&self, index: usize, word: &str) -> bool {
        self.words.get(index).is_some_and(|w| w.text == word)
    }

    /// The program that runs, without its folder.
    pub fn program(&self) -> &str {
        let first = self.words.first().map_or("", |w| w.text.as_str());
        first.rsplit('/').next().unwrap_or(first)
    }

    /// What the command installs: who, and the words that name packages. Requirements files are
    /// named with `-r`.
    pub fn installs(&self) -> Option<(Manager, Vec<&Word>)> {
        let program = self.program();
        let python = program.starts_with("python");
        let (manager, from) =
            if python && self.is(1, "-m") && self.is(2, "pip") && self.is(3, "install") {
                (Manager::Pip, 4)
            } else if program == "uv" && self.is(1, "pip") && self.is(2, "install") {
                (Manager::Pip, 3)
            } else if program.starts_with("pip") && self.is(1, "install") {
                (Manager::Pip, 2)
            } else if matches!(program, "apt-get" | "apt") {
                let install = self.words.iter().position(|w| w.text == "install")?;
                (Manager::Apt, install + 1)
            } else {
                return None;
            };
        let takes_value = [
            "-i",
            "--index-url",
            "--extra-index-url",
            "-f",
            "--find-links",
            "-t",
            "--target",
            "-c",
            "--constraint",
            "--python",
            "--prefix",
            "--root",
            "-o",
            "-p",
            "--trusted-host",
            "--timeout",
            "--retries",
            "--cache-dir",
        ];
        let mut packages = Vec::new();
        let mut words = self.words.iter().skip(from);
        while let Some(word) = words.next() {
            if matches!(
                word.text.as_str(),
                "-r" | "--requirement" | "--requirements"
            ) || takes_value.contains(&word.text.as_str())
            {
                words.next();
            } else if !word.text.starts_with('-') && !word.text.starts_with(['<', '>']) {
                packages.push(word);
            }
        }
        Some((manager, packages))
    }

    /// The command's words as one line.
    pub fn line(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|w| w.text.as_str()).collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_installs_and_variables_of_a_run_line() {
        let script = parse(
            "apt-get update -y \\\n    && apt-get install -y curl \"git\" # why\npython3 -m pip install --upgrade -r /r.txt 'sglang[all]>=0.4' -i https://x/y\n",
        );
        let installed: Vec<String> = script
            .commands
            .iter()
            .filter_map(Command::installs)
            .flat_map(|(_, words)| words)
            .map(|w| w.text.clone())
            .collect();
        assert_eq!(installed, ["curl", "git", "sglang[all]>=0.4"]);
    }

    #[test]
    fn variables_are_read_unless_the_script_sets_them() {
        let script = parse(
            "A=1\nexport B=\"$C\"\necho $A ${B} ${D:-x} $(cat $E) '$F'\nfor g in $H; do echo $g; done\nif [ -n \"$I\" ]; then :; fi\n",
        );
        let reads: Vec<_> = script.reads.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(reads, ["C", "D", "E", "H", "I"]);
        assert_eq!(script.reads[1].default.as_deref(), Some("x"));
    }

    #[test]
    fn nothing_hangs_or_panics_on_unfinished_text() {
        for text in [
            "$",
            "${",
            "$(",
            "\"",
            "'",
            "\\",
            "a\\",
            "${é}",
            "$(é",
            "`",
            "\u{0}$\u{0}",
        ] {
            parse(text);
        }
    }
}
