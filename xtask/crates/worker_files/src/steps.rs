//! Which commands of a build leave nothing in the image that anybody could miss.

use super::shell::Command;

/// Whether a command has no lasting effect, or none beyond what is known of it.
pub fn has_no_effect(command: &Command) -> bool {
    let program = command.program();
    let text = |index: usize| command.word(index);
    if !command.writes.is_empty() {
        return false;
    }
    let asks = command.run().len() == 2
        && matches!(
            text(1),
            "--version" | "-V" | "-version" | "--help" | "-h" | "version"
        );
    let is_purge = |words: &[&str]| {
        let mut rest = command
            .run()
            .iter()
            .skip(1)
            .filter(|word| !word.text.starts_with('-'));
        words
            .iter()
            .all(|word| rest.next().is_some_and(|next| next.text == *word))
    };
    if asks {
        return true;
    }
    match program {
        "" | "rm" | "rmdir" | "mkdir" | "cd" | "pushd" | "popd" | "set" | "echo" | "printf"
        | "true" | "false" | ":" | "[" | "[[" | "test" | "exit" | "return" | "ls" | "cat"
        | "which" | "type" | "export" | "unset" | "local" | "readonly" | "trap" | "sleep"
        | "wait" | "pwd" | "date" | "shopt" | "umask" | "ulimit" | "df" | "du" | "nproc"
        | "uname" | "env" | "printenv" | "id" | "whoami" | "nvidia-smi" | "grep" | "egrep"
        | "head" | "tail" | "sort" | "cut" | "tr" | "wc" | "basename" | "dirname" | "realpath"
        | "readlink" | "hash" | "break" | "continue" | "shift" | "read" | "declare" | "jq"
        | "awk" | "ccache" | "sha256sum" | "md5sum" | "kill" | "source" | "." | "command"
        | "sync" | "fi" | "done" | "file" | "stat" | "time" => true,
        "sed" => !command
            .run()
            .iter()
            .any(|word| word.text.starts_with("-i") || word.text == "--in-place"),
        "find" => !command
            .run()
            .iter()
            .any(|word| word.text == "-exec" || word.text == "-execdir"),
        "apt-get" | "apt" | "aptitude" => ["update", "clean", "autoclean", "autoremove"]
            .iter()
            .any(|verb| is_purge(&[verb])),
        "apk" => is_purge(&["update"]) || is_purge(&["cache", "clean"]),
        "yum" | "dnf" | "microdnf" => is_purge(&["clean"]) || is_purge(&["makecache"]),
        "conda" | "mamba" | "micromamba" => is_purge(&["clean"]),
        "pip" | "pip3" | "uv" => {
            is_purge(&["cache"])
                || ["list", "freeze", "check", "show"]
                    .iter()
                    .any(|verb| is_purge(&[verb]))
        }
        "npm" | "yarn" | "pnpm" => is_purge(&["cache"]),
        _ => {
            let module = command.run().iter().position(|word| word.text == "-m");
            program.starts_with("python")
                && module.is_some_and(|at| text(at + 1) == "pip" && text(at + 2) == "cache")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_nothing_is_known() {
        let effects = |text: &str| -> Vec<String> {
            let script = crate::shell::parse(text);
            let kept = script
                .commands
                .iter()
                .filter(|command| !has_no_effect(command));
            kept.map(Command::line).collect()
        };
        let nothing = "set -eux; apt-get -qq update && apt-get clean\nrm -rf /var/lib/apt/lists/*; mkdir -p /a; cd /a\necho x 2>&1; pip cache purge; python3 --version; conda clean -afy; python3 -m pip cache purge\ntrue; sed -n 1p f; find / -name x -delete";
        assert_eq!(effects(nothing), [""; 0]);
        assert_eq!(
            effects(
                "ldconfig; wget https://x\ngit clone y; sed -i s/a/b/ f; echo a > f; curl x | bash; chmod +x /s"
            ),
            [
                "ldconfig",
                "wget https://x",
                "git clone y",
                "sed -i s/a/b/ f",
                "echo a",
                "curl x",
                "bash",
                "chmod +x /s"
            ]
        );
    }
}
