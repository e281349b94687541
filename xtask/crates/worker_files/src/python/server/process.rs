//! Calls that start a process, or the server as a part of the program.

use std::collections::BTreeSet;

use super::command::Seen;
use super::flags::is_flag;
use crate::Hides;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};

/// Whether a function starts a process.
pub fn starts_process(callee: &Val<'_>) -> bool {
    const BEGINS: &str = "subprocess. os.exec os.spawn os.posix_spawn pexpect. pty.spawn";
    callee.may_be(|one| {
        let path = one.path();
        BEGINS.split(' ').any(|begin| path.starts_with(begin))
            || path.contains("create_subprocess_")
            || matches!(path, "os.system" | "os.popen" | "Popen")
    })
}

/// Whether a program starts the server with the arguments that it was given itself.
pub fn hands_on(text: &str) -> bool {
    let forwarding = ["sys.argv", "runpy.run_"];
    (is_server(text) || text.contains("launch_server"))
        && forwarding.iter().any(|word| text.contains(word))
}

/// What starts the server inside of the program.
pub fn is_engine(path: &str) -> bool {
    path.ends_with("sglang.Engine") || path.ends_with("sglang.Runtime")
}

pub fn is_server(text: &str) -> bool {
    let module = ["sglang.launch_server", "sglang.srt.entrypoints"];
    // A message may say "sglang server".
    let ends = |(at, word): (usize, &str)| {
        let next = text[at + word.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    };
    module.iter().any(|word| text.contains(word)) || text.match_indices("sglang serve").any(ends)
}

/// Which word of a command names the program, behind Python itself.
fn program_among(words: &[Val<'_>]) -> usize {
    let text = |at: usize| words.get(at).and_then(Val::as_str).unwrap_or_default();
    match (text(0), text(1)) {
        (name, "-m") if name.contains("python") => 2,
        (name, _) if name.contains("python") => 1,
        _ => 0,
    }
}

/// The names of the flags in a value, besides those before; `None` where there may be others.
fn flags_in(mut all: BTreeSet<String>, value: &Val<'_>) -> Option<BTreeSet<String>> {
    match value {
        Val::Any(items) | Val::List(items) => items.iter().try_fold(all, flags_in),
        Val::Unknown | Val::Lost | Val::Never | Val::Ext(_) | Val::Method(..) | Val::Dict(_) => {
            None
        }
        value => {
            for text in value
                .pieces()
                .iter()
                .flat_map(Val::each)
                .filter_map(Val::as_str)
            {
                let words = text
                    .split([' ', '\n', '='])
                    .filter(|word| word.starts_with("--"));
                all.extend(words.map(str::to_owned));
            }
            // What is not known in a text of several words may be a flag.
            let is_open = |one: &Val<'_>| matches!(one, Val::Unknown | Val::Lost);
            let has_space = |one: &Val<'_>| one.as_str().is_some_and(|text| text.contains(' '));
            let pieces = value.pieces();
            let is_known = !pieces.iter().any(is_open) || !pieces.iter().any(has_space);
            (is_known && !all.contains("--")).then_some(all)
        }
    }
}

impl<'t> Reader<'t> {
    /// A call that starts a process, or the server as a part of the program.
    pub fn process(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let path = callee.path();
        let file_has = |word| self.program.files[node.file()].source.text.contains(word);
        let takes_arguments = path.ends_with("ServerArgs") && path.contains("sglang")
            || path == "argparse.Namespace" && file_has("ServerArgs.from_cli_args");
        if is_engine(path) || takes_arguments {
            self.facts.started.push(None);
            return self.engine(node);
        }
        let parses = is_among("parse_args parse_known_args", node.callee_name())
            && file_has("ServerArgs.add_cli_args");
        if path.ends_with("prepare_server_args") || path.starts_with("runpy.run_") || parses {
            self.facts.started.push(None);
            return self.arguments_of_program(node);
        }
        let Some(first) = node.argument(0).filter(|_| starts_process(callee)) else {
            return;
        };
        const SHELLS: &str = "os.system os.popen subprocess.getoutput subprocess.getstatusoutput";
        if node.text_of("arguments").contains("shell=True")
            || path.ends_with("_shell")
            || is_among(SHELLS, path)
        {
            self.facts.started.push(None);
            for ctx in self.each_context(node, &[first], Hides::Variables) {
                for value in self.at(first, &ctx).each() {
                    self.shell_reads(first, value);
                    self.shell_programs(node, value);
                }
            }
            return;
        }
        let args = node.argument_values();
        let words = self.value(first).elements();
        let words = words.unwrap_or_else(|| args.iter().map(|arg| self.value(*arg)).collect());
        self.started_words(node, &words);
    }

    /// The programs that a text starts in a shell.
    fn shell_programs(&mut self, node: Node<'t>, text: &Val<'t>) {
        let Some(text) = text.as_str() else { return };
        for command in crate::shell::parse(text).commands {
            let words = command.words.iter().map(|word| Val::text(&word.text));
            let words: Vec<Val<'t>> = words.collect();
            self.note_program(node, &words, program_among(&words));
        }
    }

    /// The words of a process that is started.
    fn started_words(&mut self, node: Node<'t>, words: &[Val<'t>]) {
        let text = |at: usize| words.get(at).and_then(Val::as_str).unwrap_or_default();
        let program = program_among(words);
        let serves = text(0).ends_with("sglang") && text(1) == "serve";
        let is_server = serves || words.iter().filter_map(Val::as_str).any(is_server);
        if is_server && self.program.reaches(node) {
            let mut rest = words.iter().skip(usize::from(words.len() > 1));
            let flags = rest.try_fold(BTreeSet::new(), flags_in);
            self.facts.started.push(flags);
        }
        if is_server {
            let fresh = node.keyword("env").filter(|env| self.is_fresh(*env));
            let before = ["env", "-i"].map(str::to_owned).into_iter();
            let before = before.filter(|_| fresh.is_some());
            let words = words.iter().map(|word| word.display().unwrap_or_default());
            self.started_by(node, &before.chain(words).collect::<Vec<_>>());
        } else if words
            .first()
            .is_some_and(|first| first.path() == "sys.executable")
        {
            let python = std::iter::once(Val::text("python3"));
            let words: Vec<Val<'t>> = python.chain(words[1..].iter().cloned()).collect();
            self.note_program(node, &words, program_among(&words));
        } else {
            self.note_program(node, words, program);
        }
        let is_unknown = |word: &Val<'_>| match word {
            Val::Env(_, under) => under.as_str().is_none(),
            word => matches!(word, Val::Unknown | Val::Lost),
        };
        if words.get(program).is_some_and(is_unknown)
            && let Some(flag) = words.iter().find(|word| is_flag(word))
        {
            self.unknown_programs.push((node, flag.clone()));
        }
        if text(0).ends_with("printenv") {
            for name in words.iter().skip(1).filter_map(Val::as_str) {
                self.add_plain_read(node, name, None);
            }
        } else if text(1).starts_with('-') && text(1).ends_with('c') && text(0).ends_with("sh") {
            self.shell_reads(node, words.get(2).unwrap_or(&Val::Unknown));
        }
    }

    /// Whether an environment that a process is given holds nothing of the worker's own.
    fn is_fresh(&mut self, env: Node<'t>) -> bool {
        let is_literal =
            |dict: &Node<'_>| dict.is("dictionary") && dict.children().all(|one| one.is("pair"));
        let set = match env.kind() {
            "identifier" => self.definitions_of(env),
            _ => vec![env],
        };
        let variable = self.program.variable(env);
        let changes = variable.and_then(|key| self.program.changes.get(&key));
        let mut changes = changes.into_iter().flatten();
        // `env[name] = value` in a loop may copy the worker's own.
        let sets_one = |by: &Node<'_>| {
            let key = by.field("left").and_then(|left| left.field("subscript"));
            by.is("assignment") && key.is_some_and(|key| key.is("string"))
        };
        !set.is_empty() && set.iter().all(is_literal) && changes.all(sets_one)
    }

    /// Programs that are not known, and that take flags which no command of the server has.
    pub fn unknown_programs(&mut self) {
        for (call, flag) in std::mem::take(&mut self.unknown_programs) {
            let first = flag.pieces().first().and_then(Val::as_str);
            let name = first.and_then(|text| text.split('=').next());
            let mut flags = self.facts.flags.iter();
            if !flags.any(|given| Some(&*given.flag) == name) {
                self.flags_unread(call, "the program that takes these flags is not known");
            }
        }
    }

    /// What a program that parses its own command line is given: a list, or `sys.argv`.
    fn arguments_of_program(&mut self, call: Node<'t>) {
        let Some(first) = call.argument(0) else {
            return;
        };
        let name = self.value(first);
        let is_run = call.callee_name().starts_with("run_");
        let is_server =
            self.program.starts_server(first.text()) || name.as_str().is_some_and(is_server);
        if is_run && !is_server {
            return;
        }
        self.facts.launches = true;
        let mut seen = Seen::default();
        if !is_run && !first.text().contains("sys.argv") {
            return self.collect_parts(first, &mut seen);
        }
        let file = call.ancestors().last().unwrap_or(call);
        for node in file.subtree() {
            let is_set =
                node.kind().ends_with("assignment") && node.text_of("left").starts_with("sys.argv");
            if is_set || node.is("call") && node.text_of("function").starts_with("sys.argv.") {
                self.collect_change(node, &mut seen);
            }
        }
    }

    /// `sglang.Engine(model_path=…)`: its arguments are the server's.
    fn engine(&mut self, node: Node<'t>) {
        self.facts.launches = true;
        let flag = |name: &str| format!("--{}", name.replace('_', "-"));
        for argument in node.arguments() {
            match (argument.kind(), argument.field("value")) {
                ("keyword_argument", Some(value)) => {
                    for ctx in self.each_context(argument, &[value], Hides::Flags) {
                        let flag = flag(argument.text_of("name"));
                        self.note_keyword_flag(argument, &flag, value, &ctx);
                    }
                }
                ("dictionary_splat", _) => {
                    let inner = argument.child(0).map(|inner| self.value(inner));
                    let Some(Val::Dict(items)) = inner else {
                        let what = "these arguments of the engine were not followed";
                        self.flags_unread(argument, what);
                        continue;
                    };
                    for (key, value) in items.iter() {
                        let key = key.as_str().unwrap_or_default();
                        self.note_item_flag(argument, key, &flag(key), value);
                    }
                }
                _ => {}
            }
        }
    }
}
