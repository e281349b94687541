//! Searches configuration, history and layers for the build's token and for other secrets. Never shows
//! a secret.

use std::collections::BTreeSet;

use super::inspect::InspectedImage;
use super::layers::Layers;
use super::{Seen, shorten};
use crate::report::Check;
use crate::token::SHORTEST;
use xtask_core::output::cut;
use xtask_core::secret::{is_secret, masked, token};

/// Files that hold passwords or tokens, by how their paths end.
const CREDENTIALS: &str = "\
    .env .netrc .pypirc .git-credentials .docker/config.json .aws/credentials .ssh/id_rsa \
    .ssh/id_ed25519 .kaggle/kaggle.json .huggingface/token huggingface/token \
    huggingface/stored_tokens huggingface-cache/hub/token run/secrets/HF_TOKEN";

const MOST: usize = 60;

pub fn hidden(text: &str, secret: Option<&str>) -> String {
    let secret = secret.filter(|secret| !secret.is_empty());
    let replaced = secret.map(|secret| text.replace(secret, "***"));
    masked(replaced.as_deref().unwrap_or(text)).into_owned()
}

pub fn shown_value(name: &str, value: &str, token: Option<&str>) -> String {
    if is_secret(name) && !is_reference(value) {
        "***".to_owned()
    } else {
        hidden(value, token)
    }
}

pub fn is_credentials(path: &str) -> bool {
    let mut ends = CREDENTIALS.split(' ');
    ends.any(|end| path == end || path.ends_with(&format!("/{end}")))
}

pub fn check(seen: &Seen, layers: &Layers) -> Check {
    let mut wrong = configuration(seen);
    wrong.extend(history(seen));
    // A secret in the configuration is reported with its name.
    if !layers.tokens.is_empty() && wrong.is_empty() {
        wrong.push(
            "the image's description, as docker saves it, has the value of HF_TOKEN".to_owned(),
        );
    }
    wrong.extend(in_layers(seen, layers));
    let fine = match seen.token {
        Some(_) => format!(
            "HF_TOKEN is in none of {} layers, nor in configuration or history",
            layers.layers.len()
        ),
        None => format!(
            "no HF_TOKEN of {SHORTEST} bytes or more was given to look for; nothing in configuration, \
             history and file names looks like a secret"
        ),
    };
    let check = Check::judged(
        "secrets",
        wrong,
        "anyone who pulls the image can read these, and what a later step deletes is still in its \
         layer: revoke the value, and give it to the build as a secret (`RUN \
         --mount=type=secret`), never as ENV, ARG or file",
        fine,
    );
    check.warn(layers.unread())
}

/// The kind of secret that a value is, if it seems to be one.
fn suspicion(name: &str, value: &str, given: Option<&str>) -> Option<String> {
    if given.is_some_and(|given| value.contains(given)) {
        return Some("the value of HF_TOKEN".to_owned());
    } else if let Some(kind) = token(value) {
        return Some(format!("what looks like {kind}"));
    }
    let is_value = is_secret(name) && !is_reference(value);
    is_value.then(|| "a value for what is a secret by its name".to_owned())
}

/// Whether a value only says where the secret comes from: a variable, a command, a file.
fn is_reference(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    value.is_empty() || value.starts_with(['$', '`', '<', '/'])
}

/// The secrets in what the image sets beyond its base image.
fn configuration(seen: &Seen) -> Vec<String> {
    fn settings(image: &InspectedImage) -> Vec<(String, &str, String)> {
        let env = image.env.iter();
        let env = env.map(|(name, value)| (format!("ENV {name}"), &**name, value.clone()));
        let labels = image.labels.iter();
        let labels = labels.map(|(name, value)| (format!("LABEL {name}"), "", value.clone()));
        let command = [image.entrypoint.join(" "), image.cmd.join(" ")].join(" ");
        let command = ("ENTRYPOINT or CMD".to_owned(), "", command);
        env.chain(labels).chain([command]).collect()
    }
    let inherited = seen.base_image().map(settings).unwrap_or_default();
    let mut own = settings(&seen.image);
    own.retain(|setting| !inherited.contains(setting));
    let wrong = own.iter().filter_map(|(place, name, value)| {
        let what = suspicion(name, value, seen.token)?;
        Some(format!("{place} holds {what}"))
    });
    wrong.collect()
}

/// The secrets in the steps after the base image's.
fn history(seen: &Seen) -> Vec<String> {
    let base = seen.base.as_ref().map_or(&[][..], |(_, history)| history);
    let is_on_base = seen.history.starts_with(base);
    let inherited = if is_on_base { base.len() } else { 0 };
    let mut wrong = Vec::new();
    // Every later step repeats a build argument.
    let mut reported = BTreeSet::new();
    for (number, text) in seen.history.iter().enumerate().skip(inherited) {
        let named = text.split_whitespace().filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let what = suspicion(name, value, seen.token);
            Some((name, what.filter(|_| is_name)?))
        });
        let mut found: Vec<(&str, String)> = named.collect();
        let whole = suspicion("", text, seen.token);
        found.extend(whole.filter(|_| found.is_empty()).map(|what| ("", what)));
        let (number, shown) = (number + 1, shown(text, seen.token));
        for (name, what) in found {
            let words = format!("step {number} of the history ({shown}) has {what}");
            if name.is_empty() {
                wrong.push(words);
            } else if reported.insert(name) {
                wrong.push(format!("{words}: {name}"));
            }
        }
    }
    wrong
}

/// The beginning of a step, without the values of its arguments.
fn shown(text: &str, token: Option<&str>) -> String {
    let shown = |word: &str| match word.split_once('=') {
        Some((name, value)) => format!("{name}={}", shown_value(name, value, token)),
        None => word.to_owned(),
    };
    let words: Vec<String> = text.split_whitespace().map(shown).collect();
    cut(&hidden(&words.join(" "), token), MOST)
}

/// The files that contain the token or are meant for passwords.
fn in_layers(seen: &Seen, layers: &Layers) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, layer) in layers.layers.iter().enumerate() {
        for path in &layer.tokens {
            let path = hidden(path, seen.token);
            wrong.push(format!(
                "layer {number} has the value of HF_TOKEN in /{path}"
            ));
        }
        let named = layer.kept.iter().filter(|path| is_credentials(path));
        let own = named.filter(|path| number >= seen.base_layers() && !layer.tokens.contains(path));
        wrong.extend(
            own.map(|path| format!("layer {number} has /{path}, a file for passwords and tokens")),
        );
    }
    shorten(&mut wrong, "files more");
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::layers::ImageLayer;
    use super::*;
    use crate::report::CheckStatus;

    const TOKEN: &str = "hf_0123456789abcdefghijABCDEFGHIJklmn";

    fn steps(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    /// `token` is what was given to the build.
    fn judge(
        env: &[(&str, &str)],
        lines: &[&str],
        layers: Vec<ImageLayer>,
        token: Option<&str>,
    ) -> Check {
        let image = |env: &[(&str, &str)]| InspectedImage {
            env: env
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
            ..InspectedImage::default()
        };
        let base = InspectedImage {
            layers: vec!["sha256:base".into()],
            ..image(&[("INDEX_PASSWORD", "the base's own")])
        };
        let before = steps(&["RUN export A_TOKEN=base"]);
        let seen = Seen {
            image: image(env),
            history: [before.clone(), steps(lines)].concat(),
            base: Some((base, before)),
            token,
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
        assert!(check.words[0].contains("no HF_TOKEN of 8 bytes"));
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
        low.kept.insert("root/.netrc".into());
        let mut top = ImageLayer::default();
        top.kept.insert("root/.env".into());
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
            "layer 0 has the value of HF_TOKEN in /tmp/x\n",
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
            "(COPY (secret) /x) has what looks like a Hugging Face token",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        assert!(!all.contains("opensesame") && !all.contains(TOKEN), "{all}");
    }
}
