//! Why a build failed, from the end of what the builder printed: the step, its last lines, and what
//! to do. Pure.

/// So many of the step's lines are said again.
const LINES: usize = 12;

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step as the builder counts it: `[5/9] RUN pip install x`.
    pub step: Option<String>,
    /// The last lines that the step printed.
    pub lines: Vec<String>,
    /// What the builder said at last.
    pub error: String,
    /// What to do about it.
    pub help: String,
}

/// Reads the end of a builder's output, colours and all. `program` is how docker is called in what
/// is advised.
pub fn read(tail: &[u8], program: &str) -> Failure {
    let stripped = anstream::adapter::strip_bytes(tail).into_vec();
    let text = String::from_utf8_lossy(&stripped);
    // A terminal's lines end with a carriage return, and some are written over.
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.trim_end_matches('\r'))
        .map(|line| line.rsplit('\r').next().unwrap_or(line).trim_end())
        .filter(|line| !line.is_empty())
        .collect();
    let rule = |line: &&str| line.len() >= 6 && line.chars().all(|c| c == '-');
    // Between the two rules at the end stands the step, with what it printed.
    let begin = lines.iter().rposition(|line| line.starts_with(" > "));
    let end = begin.and_then(|begin| {
        let mut after = lines[begin..].iter();
        after.position(rule).map(|length| begin + length)
    });
    let step = begin.map(|begin| {
        let line = lines[begin].trim_start_matches(" > ");
        line.strip_suffix(':').unwrap_or(line).to_owned()
    });
    let printed = match (begin, end) {
        (Some(begin), Some(end)) => &lines[begin + 1..end],
        _ => &[],
    };
    let mut said: Vec<&str> = printed.iter().map(|line| without_number(line)).collect();
    if said.is_empty() {
        // Line by line the builder has said them already, and does not say them again.
        said = of_failed_step(&lines);
    }
    let last = |lines: &[&str]| {
        let from = lines.len().saturating_sub(LINES);
        lines[from..].iter().map(|l| (*l).to_owned()).collect()
    };
    // After the step come the place in the Dockerfile, which may be framed, and the error.
    let after = end.map_or(lines.as_slice(), |end| &lines[end + 1..]);
    let error = after
        .iter()
        .rev()
        .find(|line| line.starts_with("ERROR: ") || line.contains("failed to "))
        .or_else(|| after.iter().rev().find(|line| is_usage(line)))
        .or_else(|| after.iter().rev().find(|line| !rule(line)))
        .map_or("docker did not say why", |line| {
            line.trim_start_matches("ERROR: ")
        });
    let lines = if step.is_some() {
        last(&said)
    } else {
        Vec::new()
    };
    Failure {
        help: help(&said, error, step.as_deref().unwrap_or_default(), program),
        step,
        lines,
        error: error.to_owned(),
    }
}

/// Whether a client says that it was called wrongly; behind that it only names its help.
fn is_usage(line: &str) -> bool {
    [
        "invalid argument",
        "unknown flag",
        "unknown shorthand flag",
        "flag needs an argument",
        "invalid reference format",
        "invalid tag",
    ]
    .iter()
    .any(|words| line.contains(words))
}

/// What the step that ended with an error printed: `#9 0.512 text`, until `#9 ERROR: …`.
fn of_failed_step<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let number = lines.iter().rev().find_map(|line| {
        let (number, rest) = line.split_once(' ')?;
        (number.starts_with('#') && rest.starts_with("ERROR: ")).then_some(number)
    });
    let Some(number) = number else {
        return Vec::new();
    };
    lines
        .iter()
        .filter(|line| line.split(' ').next() == Some(number))
        // What is no step's own has no time in front of it.
        .filter(|line| {
            let time = line.split(' ').nth(1).unwrap_or_default();
            time.contains('.') && time.parse::<f32>().is_ok()
        })
        .map(|line| without_number(line))
        .collect()
}

/// A step's line without the number of the step and the time: `#9 0.512 text`, `0.512 text`.
fn without_number(line: &str) -> &str {
    let line = line.trim_start();
    let rest = match line.strip_prefix('#').and_then(|rest| rest.split_once(' ')) {
        Some((number, rest)) if number.chars().all(|c| c.is_ascii_digit()) => rest,
        _ => line,
    };
    match rest.split_once(' ') {
        Some((time, text)) if time.contains('.') && time.parse::<f32>().is_ok() => text,
        _ => rest,
    }
}

/// What to do about a failure that is known.
fn help(lines: &[&str], error: &str, step: &str, program: &str) -> String {
    let printed = lines.join("\n");
    let all = format!("{printed}\n{error}");
    let has = |words: &[&str]| words.iter().any(|word| all.contains(word));
    let lower = error.to_lowercase();
    let network = has(&[
        "no such host",
        "i/o timeout",
        "connection refused",
        "network is unreachable",
        "Temporary failure in name resolution",
        "server misbehaving",
        "TLS handshake timeout",
        "dial tcp",
        "dns error",
        "ConnectError",
        "ConnectionError",
        "MaxRetryError",
    ]);
    if has(&["no space left on device", "No space left on device"]) {
        return format!(
            "the disk that docker uses is full: `{program} system df` says by what, and \
             `{program} builder prune` takes away what earlier builds left"
        );
    }
    if step.is_empty() && is_usage(error) {
        return "docker does not take what it is called with: see to `--tag`, `--base-image` and what \
                follows `--`; `--print` shows the command"
            .to_owned();
    }
    if step.contains("metadata for") || lower.contains("failed to resolve source metadata") {
        return "the registry of the base image can't be reached, or doesn't have it: `--base-image \
                IMAGE` builds on another one, such as one that is on this machine already"
            .to_owned();
    }
    if has(&[
        "pull access denied",
        "manifest unknown",
        "failed to load metadata",
    ]) {
        return "there is no such base image: see to its name, or log in with `docker login`; \
                `--base-image IMAGE` builds on another one"
            .to_owned();
    }
    if printed.contains("download_model: ") {
        let gated = [
            "GatedRepo",
            "gated",
            "401",
            "403",
            "Unauthorized",
            "RepositoryNotFound",
            "restricted",
        ];
        if gated.iter().any(|word| printed.contains(word)) {
            return "the model's page wants a token: put HF_TOKEN into the environment or .env, of \
                    an account to which the model is open"
                .to_owned();
        }
        return "the model was not fetched: see to its name and `--revision`, and that a build \
                reaches the Hugging Face Hub"
            .to_owned();
    }
    if error.contains("not found") && (has(&["cache key", "failed to walk"])) {
        return "the Dockerfile copies what isn't in the build context: `cargo xtask build-image \
                --check` tells what"
            .to_owned();
    }
    if has(&[
        "dockerfile parse error",
        "Dockerfile parse error",
        "unknown instruction",
    ]) {
        return "mend the Dockerfile: `cargo xtask build-image --check` tells where".to_owned();
    }
    if has(&[
        "UnknownIssuer",
        "CERTIFICATE_VERIFY_FAILED",
        "certificate signed by unknown",
    ]) {
        return "the base image does not know the authority behind a certificate: it needs that of \
                your network's proxy, and SSL_CERT_FILE set to where it lies"
            .to_owned();
    }
    if has(&["exit code: 137", "signal: killed", "Killed"]) {
        return "the step was ended for want of memory: give docker more".to_owned();
    }
    if network {
        return "the step did not reach the network: a proxy can be given as `-- --build-arg \
                https_proxy=ADDRESS`"
            .to_owned();
    }
    "mend the step and build again: what came before it is kept; `-- --no-cache` leaves out what \
     earlier builds kept"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> Failure {
        read(text.as_bytes(), "docker")
    }

    #[test]
    fn the_step_and_its_last_lines_are_found() {
        // Docker 20.10.
        let said = failure(
            "#8 [5/9] RUN false\n#8 sha256:abc\n#8 0.311 one\n#8 0.412 two: 3\n\
             #8 ERROR: executor failed running [/bin/sh -c false]: exit code: 1\n------\n \
             > [5/9] RUN false:\n#8 0.311 one\n#8 0.412 two: 3\n------\n\
             executor failed running [/bin/sh -c false]: exit code: 1\n",
        );
        assert_eq!(said.step.as_deref(), Some("[5/9] RUN false"));
        assert_eq!(said.lines, ["one", "two: 3"]);
        assert_eq!(
            said.error,
            "executor failed running [/bin/sh -c false]: exit code: 1"
        );
        assert!(said.help.starts_with("mend the step"), "{}", said.help);
        // The same, where nothing stands between the rules.
        let said = failure(
            "#8 [5/9] RUN false\n#8 sha256:abc\n#8 0.311 one\n#6 0.3 other\n#8 12.41 two: 3\n\
             #8 ERROR: executor failed running [/bin/sh -c false]: exit code: 1\n------\n \
             > [5/9] RUN false:\n------\n\
             executor failed running [/bin/sh -c false]: exit code: 1\n",
        );
        assert_eq!(said.lines, ["one", "two: 3"]);
        // Buildx, on a terminal: colours, carriage returns, and the place in the Dockerfile.
        let said = failure(
            "\u{1b}[1A\u{1b}[31m => ERROR [2/2] RUN false\u{1b}[0m  0.1s\r\n------\r\n \
             > [2/2] RUN false:\r\n0.133 was here\r\n------\r\nDockerfile:3\r\n\
             --------------------\r\n   1 |     FROM x\r\n   3 | >>> RUN false\r\n\
             --------------------\r\nERROR: failed to solve: process \"/bin/sh -c false\" did not \
             complete successfully: exit code: 1\r\n",
        );
        assert_eq!(said.step.as_deref(), Some("[2/2] RUN false"));
        assert_eq!(said.lines, ["was here"]);
        assert!(
            said.error.starts_with("failed to solve: process"),
            "{}",
            said.error
        );
    }

    #[test]
    fn a_builder_that_says_little_is_no_trouble() {
        for line in [
            "unknown flag: --nonsense",
            "invalid argument \"A b\" for \"-t, --tag\" flag: invalid reference format",
            "ERROR: invalid tag \"A b\": invalid reference format",
        ] {
            let said = failure(&format!("{line}\nSee 'docker build --help'.\n"));
            assert_eq!(said.step, None);
            assert_eq!(said.error, line.trim_start_matches("ERROR: "));
            assert!(said.help.contains("`--tag`"), "{}", said.help);
        }
        assert_eq!(failure("").error, "docker did not say why");
        assert_eq!(
            failure(" > [1/2] RUN x:\n").step.as_deref(),
            Some("[1/2] RUN x")
        );
        let many: String = (0..40).map(|n| format!("#5 1.0 line {n}\n")).collect();
        let said = failure(&format!(" > [1/1] RUN x:\n{many}------\nbad\n"));
        assert_eq!(said.lines.len(), LINES);
        assert_eq!(said.lines[LINES - 1], "line 39");
    }

    #[test]
    fn known_failures_are_told_the_way_out() {
        let step = |step: &str, line: &str, error: &str| {
            failure(&format!(
                "------\n > {step}:\n#5 0.1 {line}\n------\n{error}\n"
            ))
            .help
        };
        let run = "[4/9] RUN x";
        for (help, way) in [
            (
                step(
                    "[internal] load metadata for docker.io/lmsysorg/sglang:v0.5.19-cu129",
                    "",
                    "failed to solve with frontend dockerfile.v0: failed to create LLB definition: \
                     failed to do request: Head \"https://x\": dial tcp: no such host",
                ),
                "--base-image",
            ),
            (
                step(
                    run,
                    "",
                    "ERROR: failed to solve: x: pull access denied, repository does not exist",
                ),
                "docker login",
            ),
            (
                step(run, "cp: error: No space left on device", "exit code: 1"),
                "builder prune",
            ),
            (
                step(
                    run,
                    "download_model: a/b could not be fetched: GatedRepoError: 401 Client Error",
                    "exit code: 1",
                ),
                "HF_TOKEN",
            ),
            (
                step(
                    run,
                    "download_model: a/b could not be fetched: ConnectError: [Errno -3] Temporary",
                    "exit code: 1",
                ),
                "Hugging Face",
            ),
            (
                step(
                    "[2/3] COPY a.py ./",
                    "",
                    "failed to compute cache key: \"/a.py\" not found: not found",
                ),
                "--check",
            ),
            (
                step(
                    run,
                    "invalid peer certificate: UnknownIssuer",
                    "exit code: 2",
                ),
                "SSL_CERT_FILE",
            ),
            (
                step(run, "", "did not complete successfully: exit code: 137"),
                "memory",
            ),
            (
                step(run, "dial tcp 1.2.3.4:443: i/o timeout", "exit code: 1"),
                "https_proxy",
            ),
        ] {
            assert!(help.contains(way), "{way}: {help}");
        }
    }
}
