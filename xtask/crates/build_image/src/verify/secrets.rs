//! Searches configuration, history and layers for the build's token and anything like one. Never
//! shows what it finds.

use std::collections::BTreeSet;

use super::super::Check;
use super::super::token::SHORTEST;
use super::Seen;
use super::layers::{Keep, Layers};
use xtask_core::output::cut;
use xtask_core::secret::{is_secret, token};
use xtask_core::tree::RepoPath;

/// Files that hold passwords or tokens, by how their paths end.
const CREDENTIALS: &[&str] = &[
    ".env",
    ".netrc",
    ".pypirc",
    ".git-credentials",
    ".docker/config.json",
    ".aws/credentials",
    ".ssh/id_rsa",
    ".ssh/id_ed25519",
    ".kaggle/kaggle.json",
    ".huggingface/token",
    "huggingface/token",
    "huggingface/stored_tokens",
    "huggingface-cache/hub/token",
    "run/secrets/HF_TOKEN",
];

/// Takes a token out of what is shown.
pub fn hidden(text: &str, secret: Option<&str>) -> String {
    let text = match secret {
        Some(secret) if !secret.is_empty() => text.replace(secret, "***"),
        _ => text.to_owned(),
    };
    // Split after separators, so that only the token is replaced.
    let divides = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let words = text.split_inclusive(divides).map(|word| {
        let bare = word.trim_end_matches(divides);
        let shown = if token(bare).is_some() { "***" } else { bare };
        format!("{shown}{}", &word[bare.len()..])
    });
    words.collect()
}

/// What may be shown of a variable's value.
pub fn shown_value(name: &str, value: &str, token: Option<&str>) -> String {
    if is_secret(name) && !is_reference(value) {
        "***".to_owned()
    } else {
        hidden(value, token)
    }
}

/// What to keep of a file that goes by.
pub fn keep(path: &str) -> Keep {
    if is_credentials(path) {
        Keep::Path
    } else {
        Keep::Nothing
    }
}

fn is_credentials(path: &str) -> bool {
    CREDENTIALS.iter().any(|end| {
        path.strip_suffix(end)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
    })
}

/// The token to search for, and whether the given one is too short for that.
pub fn sought(given: Option<&str>) -> (Option<&str>, bool) {
    match given {
        Some(short) if short.len() < SHORTEST => (None, true),
        given => (given, false),
    }
}

pub fn check(seen: &Seen, layers: &Layers) -> Check {
    let mut wrong = Vec::new();
    configuration(seen, &mut wrong);
    history(seen, &mut wrong);
    in_layers(seen, layers, &mut wrong);
    let count = layers.layers.len();
    let without = "nothing in configuration, history and file names looks like a secret";
    let in_order = match seen.token {
        Some(_) => {
            format!("HF_TOKEN is in none of {count} layers, nor in configuration or history")
        }
        None if seen.too_short => format!(
            "the HF_TOKEN that was given is shorter than {SHORTEST} bytes, which is too short to be \
             looked for; {without}"
        ),
        None => {
            format!("no HF_TOKEN was given, so there was no value to look for; {without}")
        }
    };
    let check = Check::judged(
        "secrets",
        wrong,
        "anyone who pulls the image can read these: revoke the value, and \
         give it to the build as a secret (`RUN --mount=type=secret`), never as ENV, ARG or file",
        in_order,
    );
    check.doubted(layers.unread())
}

/// Why a value must not be where everybody reads it.
fn suspicion(name: &str, value: &str, given: Option<&str>) -> Option<String> {
    if given.is_some_and(|given| value.contains(given)) {
        Some("the value of HF_TOKEN".to_owned())
    } else if let Some(kind) = token(value) {
        Some(format!("what looks like {kind}"))
    } else if is_secret(name) && !is_reference(value) {
        Some("a value for what is a secret by its name".to_owned())
    } else {
        None
    }
}

/// Whether a value only says where the secret comes from: a variable, a command, a file.
fn is_reference(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    value.is_empty() || value.starts_with(['$', '`', '<', '/'])
}

fn configuration(seen: &Seen, wrong: &mut Vec<String>) {
    let (image, base) = (&seen.image, seen.base.as_ref().map(|base| &base.image));
    let own = |value, inherited: Option<&String>| inherited != Some(value);
    for (name, value) in &image.env {
        let is_own = own(value, base.and_then(|base| base.env.get(name)));
        if let Some(what) = suspicion(name, value, seen.token).filter(|_| is_own) {
            wrong.push(format!("ENV {name} holds {what}"));
        }
    }
    for (name, value) in &image.labels {
        let is_own = own(value, base.and_then(|base| base.labels.get(name)));
        if let Some(what) = suspicion("", value, seen.token).filter(|_| is_own) {
            wrong.push(format!("LABEL {name} holds {what}"));
        }
    }
    let command = [image.entrypoint.join(" "), image.cmd.join(" ")].join(" ");
    if let Some(what) = suspicion("", &command, seen.token) {
        wrong.push(format!("ENTRYPOINT or CMD holds {what}"));
    }
}

fn history(seen: &Seen, wrong: &mut Vec<String>) {
    let base = seen.base.as_ref().map_or(&[][..], |base| &base.history);
    let inherited = if seen.history.starts_with(base) {
        base.len()
    } else {
        0
    };
    // Every later step repeats a build argument.
    let mut told = BTreeSet::new();
    for (number, step) in seen.history.iter().enumerate().skip(inherited) {
        let text = &step.created_by;
        let shown = shown(text, seen.token);
        let step = format!("step {} of the history ({shown})", number + 1);
        let mut found = BTreeSet::new();
        for word in text.split_whitespace() {
            if let Some((name, value)) = word.split_once('=')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && let Some(what) = suspicion(name, value, seen.token)
            {
                if told.insert(name.to_owned()) {
                    wrong.push(format!("{step} has {what}: {name}"));
                }
                found.insert(what);
            }
        }
        let whole = suspicion("", text, seen.token).filter(|what| !found.contains(what));
        wrong.extend(whole.map(|what| format!("{step} has {what}")));
    }
}

/// The beginning of a step, without the values of its arguments.
fn shown(text: &str, token: Option<&str>) -> String {
    const MOST: usize = 60;
    let words = text
        .split_whitespace()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if is_secret(name) && !is_reference(value) => format!("{name}=***"),
            _ => hidden(word, token),
        });
    cut(&words.collect::<Vec<_>>().join(" "), MOST)
}

fn in_layers(seen: &Seen, layers: &Layers, wrong: &mut Vec<String>) {
    const MOST: usize = 10;
    let mut more = 0;
    let base_layers = seen.base.as_ref().map_or(0, |base| base.layers);
    for (number, layer) in layers.layers.iter().enumerate() {
        for path in &layer.tokens {
            if wrong.len() >= MOST {
                more += 1;
                continue;
            }
            let gone = if is_gone(layers, number, path) {
                ", which a later step deletes: it is still in the layer"
            } else {
                ""
            };
            let path = hidden(path, seen.token);
            wrong.push(format!(
                "layer {number} has the value of HF_TOKEN in /{path}{gone}"
            ));
        }
        let named = layer.things.keys().filter(|path| is_credentials(path));
        for path in named.filter(|path| number >= base_layers && !layer.tokens.contains(path)) {
            wrong.push(format!(
                "layer {number} has /{path}, a file for passwords and tokens"
            ));
        }
    }
    if more > 0 {
        wrong.push(format!("and {more} files more that have it"));
    }
    // A secret in the configuration was reported with its name above.
    if !layers.tokens.is_empty() && wrong.is_empty() {
        wrong.push(
            "the image's description, as docker saves it, has the value of HF_TOKEN".to_owned(),
        );
    }
}

fn is_gone(layers: &Layers, number: usize, path: &str) -> bool {
    let above = layers.layers.iter().skip(number + 1);
    let mut gone = above.flat_map(|layer| layer.gone.iter().chain(&layer.emptied));
    gone.any(|gone| RepoPath::from(path).is_within(gone))
}

#[cfg(test)]
mod tests {
    use super::super::super::CheckStatus;
    use super::super::Base;
    use super::super::inspect::{HistoryStep, InspectedImage};
    use super::super::layers::{ImageLayer, Thing};
    use super::*;

    const TOKEN: &str = "hf_0123456789abcdefghijABCDEFGHIJklmn";

    fn steps(lines: &[&str]) -> Vec<HistoryStep> {
        let step = |line: &&str| HistoryStep {
            created_by: (*line).to_owned(),
            size: 0,
        };
        lines.iter().map(step).collect()
    }

    /// `token` is what was given to the build.
    fn judge(
        env: &[(&str, &str)],
        lines: &[&str],
        layers: Vec<ImageLayer>,
        token: Option<&str>,
    ) -> Check {
        let (token, too_short) = sought(token);
        let image = |env: &[(&str, &str)]| InspectedImage {
            env: env
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
            ..InspectedImage::default()
        };
        let base = Base {
            image: image(&[("INDEX_PASSWORD", "the base's own")]),
            history: steps(&["RUN export A_TOKEN=base"]),
            layers: 1,
        };
        let seen = Seen {
            image: image(env),
            history: [base.history.clone(), steps(lines)].concat(),
            base: Some(base),
            token,
            too_short,
            ..Seen::default()
        };
        let layers = Layers {
            layers,
            ..Layers::default()
        };
        check(&seen, &layers)
    }

    #[test]
    fn a_clean_image_passes_and_says_whether_there_was_a_value_to_look_for() {
        let env = [
            ("INDEX_PASSWORD", "the base's own"),
            ("A", "1"),
            ("HF_TOKEN", ""),
        ];
        let lines = [
            "RUN --mount=type=secret,id=HF_TOKEN export HF_TOKEN=$(cat /run/secrets/HF_TOKEN)",
            "RUN |2 MODEL=x HF_TOKEN= /bin/sh -c true",
        ];
        let check = judge(&env, &lines, vec![ImageLayer::default()], Some(TOKEN));
        assert_eq!(check.verdict, CheckStatus::Passed, "{check:?}");
        assert!(check.words[0].contains("none of 1 layers"));
        let check = judge(&env, &lines, vec![], None);
        assert_eq!(check.verdict, CheckStatus::Passed, "{check:?}");
        assert!(check.words[0].contains("no HF_TOKEN was given"));
        // A text this short is in many a file.
        let check = judge(&[("A", "short")], &lines, vec![], Some("short"));
        assert_eq!(check.verdict, CheckStatus::Passed, "{check:?}");
        let words = "the HF_TOKEN that was given is shorter than 8 bytes";
        assert!(check.words[0].starts_with(words), "{check:?}");
    }

    #[test]
    fn the_token_is_found_everywhere_and_never_shown() {
        let value = format!("x{TOKEN}");
        let run = format!("RUN curl -H \"Authorization: Bearer {TOKEN}\" https://x");
        let argument = format!("RUN |1 KEY_OF={TOKEN} /bin/sh -c true");
        let mut low = ImageLayer {
            tokens: vec!["root/.netrc".into(), "tmp/x".into()],
            ..ImageLayer::default()
        };
        low.things.insert("root/.netrc".into(), Thing::File(None));
        let mut top = ImageLayer::default();
        top.gone.insert("tmp".into());
        top.things.insert("root/.env".into(), Thing::File(None));
        let check = judge(
            &[("ANY", &value)],
            &[&run, &argument, &argument],
            vec![low, top],
            Some(TOKEN),
        );
        assert_eq!(check.verdict, CheckStatus::Failed);
        let all = check.words.join("\n");
        for part in [
            "ENV ANY holds the value of HF_TOKEN",
            "step 2 of the history (RUN curl",
            "step 3 of the history (RUN |1 KEY_OF=***",
            "layer 0 has the value of HF_TOKEN in /root/.netrc\n",
            "layer 0 has the value of HF_TOKEN in /tmp/x, which a later step deletes",
            "layer 1 has /root/.env, a file for passwords",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        assert!(!all.contains("step 4"), "said once: {all}");
        assert!(!all.contains(TOKEN), "{all}");
    }

    #[test]
    fn without_a_token_names_and_shapes_tell() {
        let check = judge(
            &[("API_KEY", "opensesame"), ("OTHER", TOKEN)],
            &["ARG GITHUB_TOKEN=opensesame", &format!("COPY {TOKEN} /x")],
            vec![],
            None,
        );
        assert_eq!(check.verdict, CheckStatus::Failed);
        let all = check.words.join("\n");
        for part in [
            "ENV API_KEY holds a value for what is a secret by its name",
            "ENV OTHER holds what looks like a Hugging Face token",
            "(ARG GITHUB_TOKEN=***) has a value for what is a secret by its name: GITHUB_TOKEN",
            "(COPY *** /x) has what looks like a Hugging Face token",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        assert!(!all.contains("opensesame") && !all.contains(TOKEN), "{all}");
    }
}
