//! Calls that start a process, or the server as a part of the program.

use super::command::Seen;
use super::eval::Reader;
use super::flags::is_flag;
use super::syntax::Node;
use super::value::Val;
use crate::{Hides, is_one_of};

/// Whether a function starts a process.
pub fn starts(callee: &Val<'_>) -> bool {
    const BEGINS: [&str; 6] = [
        "subprocess.",
        "os.exec",
        "os.spawn",
        "os.posix_spawn",
        "pexpect.",
        "pty.spawn",
    ];
    callee.may_be(|one| {
        let path = one.path();
        BEGINS.iter().any(|begin| path.starts_with(begin))
            || path.contains("create_subprocess_")
            || matches!(path, "os.system" | "os.popen" | "Popen")
    })
}

/// Whether a program starts the server with the arguments that it was given itself.
pub fn hands_on(text: &str) -> bool {
    let own = ["sys.argv", "runpy.run_"];
    (is_server(text) || text.contains("launch_server"))
        && own.iter().any(|word| text.contains(word))
}

/// What starts the server inside of the program.
pub fn is_engine(path: &str) -> bool {
    path.ends_with("sglang.Engine") || path.ends_with("sglang.Runtime")
}

pub fn is_server(text: &str) -> bool {
    let module = ["sglang.launch_server", "sglang.srt.entrypoints"];
    // No "sglang server" in a message.
    let ends = |(at, word): (usize, &str)| {
        let next = text[at + word.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    };
    module.iter().any(|word| text.contains(word)) || text.match_indices("sglang serve").any(ends)
}

impl<'t> Reader<'t> {
    /// A call that starts a process, or the server as a part of the program.
    pub fn process(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let path = callee.path();
        let own = |word| self.program.files[node.file()].source.text.contains(word);
        let takes_arguments = path.ends_with("ServerArgs") && path.contains("sglang")
            || path == "argparse.Namespace" && own("ServerArgs.from_cli_args");
        if is_engine(path) || takes_arguments {
            return self.engine(node);
        }
        let parses = is_one_of("parse_args parse_known_args", node.callee_name())
            && own("ServerArgs.add_cli_args");
        if path.ends_with("prepare_server_args") || path.starts_with("runpy.run_") || parses {
            return self.arguments_of_program(node);
        }
        if !starts(callee) {
            return;
        }
        let args = node.argument_values();
        let Some(first) = args.first().copied() else {
            return;
        };
        let shells = [
            "os.system",
            "os.popen",
            "subprocess.getoutput",
            "subprocess.getstatusoutput",
        ];
        let shell = node.text_of("arguments").contains("shell=True")
            || path.ends_with("_shell")
            || shells.contains(&path);
        if shell {
            for ctx in self.each_context(node, &[first], Hides::Variables) {
                let value = self.at(first, &ctx);
                value
                    .each()
                    .iter()
                    .for_each(|one| self.shell_reads(first, one));
            }
            return;
        }
        let words = self.value(first).elements();
        let words = words.unwrap_or_else(|| args.iter().map(|arg| self.value(*arg)).collect());
        if words.iter().filter_map(Val::as_str).any(is_server) {
            let words = words.iter().map(|word| word.display().unwrap_or_default());
            self.started_by(node, &words.collect::<Vec<_>>());
        }
        let text = |at: usize| words.get(at).and_then(Val::as_str).unwrap_or_default();
        let program = match (text(0), text(1)) {
            ("", _) => 0,
            (name, "-m") if name.contains("python") => 2,
            (name, _) if name.contains("python") => 1,
            _ => 0,
        };
        let mut texts = words.iter().filter_map(Val::as_str);
        if !texts.any(is_server) {
            self.note_program(node, &words, program);
        }
        let not_known = |word: &Val<'_>| match word {
            Val::Env(_, under) => under.as_str().is_none(),
            word => matches!(word, Val::Unknown | Val::Lost),
        };
        if words.get(program).is_some_and(not_known)
            && let Some(flag) = words.iter().find(|word| is_flag(word))
        {
            self.unknown_programs.push((node, flag.clone()));
        }
        if text(0).ends_with("printenv") {
            for name in words.iter().skip(1).filter_map(Val::as_str) {
                self.add_plain_read(node, name, None);
            }
        } else if text(1).starts_with('-') && text(1).ends_with('c') && text(0).ends_with("sh") {
            let script = words.get(2).cloned().unwrap_or(Val::Unknown);
            self.shell_reads(node, &script);
        }
    }

    /// Programs that are not known, and that take flags which no command of the server has.
    pub fn unknown_programs(&mut self) {
        for (call, flag) in std::mem::take(&mut self.unknown_programs) {
            let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
            let first = flag.pieces().first().and_then(Val::as_str).map(name);
            let flags = &self.facts.flags;
            if !flags
                .iter()
                .any(|given| Some(&given.flag) == first.as_ref())
            {
                let what = "the program that takes these flags is not known";
                self.not_read(call, what, &[Hides::Flags]);
            }
        }
    }

    /// What a program that parses its own command line is given: a list, or `sys.argv`.
    fn arguments_of_program(&mut self, call: Node<'t>) {
        let Some(first) = call.argument_values().first().copied() else {
            return;
        };
        let name = self.value(first);
        let runs = self.program.starts_server(first.text())
            || name.as_str().is_some_and(is_server)
            || !call.callee_name().starts_with("run_");
        if !runs {
            return;
        }
        self.facts.launches = true;
        let mut seen = Seen::default();
        if !call.callee_name().starts_with("run_") && !first.text().contains("sys.argv") {
            return self.collect_parts(first, &mut seen);
        }
        let file = call.ancestors().last().unwrap_or(call);
        let sets = file.subtree().filter(|node| {
            let target = node.text_of("left");
            target.starts_with("sys.argv") && node.kind().ends_with("assignment")
                || node.kind() == "call" && node.text_of("function").starts_with("sys.argv.")
        });
        for change in sets.collect::<Vec<_>>() {
            self.collect_change(change, &mut seen);
        }
    }

    /// `sglang.Engine(model_path=…)`: its arguments are the server's.
    pub fn engine(&mut self, node: Node<'t>) {
        self.facts.launches = true;
        let flag = |name: &str| format!("--{}", name.replace('_', "-"));
        for argument in node.arguments().collect::<Vec<_>>() {
            match (argument.kind(), argument.field("value")) {
                ("keyword_argument", Some(value)) => {
                    for ctx in self.each_context(argument, &[value], Hides::Flags) {
                        let value = self.at(value, &ctx);
                        self.add_flag(argument, &flag(argument.text_of("name")), Some(&value));
                    }
                }
                ("dictionary_splat", _) => {
                    let inner = argument.child(0).map(|inner| self.value(inner));
                    let Some(Val::Dict(items)) = inner else {
                        let what = "these arguments of the engine were not followed";
                        self.not_read(argument, what, &[Hides::Flags]);
                        continue;
                    };
                    for (key, value) in items.iter() {
                        let flag = flag(key.as_str().unwrap_or_default());
                        self.add_flag(argument, &flag, Some(value));
                    }
                }
                _ => {}
            }
        }
    }
}
