//! Which commands of a build leave nothing in the image that anybody could miss.

use crate::is_one_of;
use crate::shell::Command;

/// Programs that leave nothing, whatever their arguments.
pub const HARMLESS: &str = "rm rmdir mkdir cd pushd popd set echo printf true false : [ [[ test exit \
    return ls cat which type export unset local readonly trap sleep wait pwd date shopt umask ulimit \
    df du nproc uname env printenv id whoami nvidia-smi grep egrep head tail sort cut tr wc basename \
    dirname realpath readlink hash break continue shift read declare jq awk ccache sha256sum md5sum \
    kill source . command sync fi done file stat time";

/// Whether a command has no lasting effect, or none beyond what is known of it.
pub fn has_no_effect(command: &Command) -> bool {
    let program = command.program();
    let arguments = || command.run().iter().skip(1).map(|word| word.text.as_str());
    if !command.writes.is_empty() {
        return false;
    }
    let asks = "--version -V -version --help -h version";
    if command.run().len() == 2 && is_one_of(asks, command.word(1)) {
        return true;
    }
    // Whether the command's first words that are no options are one of these subcommands.
    let runs = |subcommands: &[&str]| {
        let plain = || arguments().filter(|word| !word.starts_with('-'));
        let is = |subcommand: &&str| {
            let words = subcommand.split(' ');
            plain().take(words.clone().count()).eq(words)
        };
        subcommands.iter().any(is)
    };
    match program {
        "" => true,
        _ if is_one_of(HARMLESS, program) => true,
        "sed" => !arguments().any(|word| word.starts_with("-i") || word == "--in-place"),
        "find" => !arguments().any(|word| matches!(word, "-exec" | "-execdir")),
        "apt-get" | "apt" | "aptitude" => runs(&["update", "clean", "autoclean", "autoremove"]),
        "apk" => runs(&["update", "cache clean"]),
        "yum" | "dnf" | "microdnf" => runs(&["clean", "makecache"]),
        "conda" | "mamba" | "micromamba" => runs(&["clean"]),
        "pip" | "pip3" | "uv" => runs(&["cache", "list", "freeze", "check", "show"]),
        "npm" | "yarn" | "pnpm" => runs(&["cache"]),
        _ => {
            let mut module = arguments().skip_while(|word| *word != "-m").skip(1);
            program.starts_with("python")
                && module.next() == Some("pip")
                && module.next() == Some("cache")
        }
    }
}

/// Whether a command of a start script only waits for programs, ends them, or starts followed ones.
pub fn only_watches(command: &Command) -> bool {
    const WATCHES: &str = "pkill pgrep killall logger clear tee xargs seq timeout supervisord";
    let program = command.program();
    let hosts = ["localhost", "127.0.0.1", "0.0.0.0"];
    let asks_itself = |word: &crate::shell::Word| hosts.iter().any(|host| word.text.contains(host));
    program.starts_with(['$', '"'])
        || is_one_of(WATCHES, program)
        || is_one_of("curl wget nc", program) && command.run().iter().any(asks_itself)
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
