//! The image's configuration against the Dockerfile's, and against what workers of the legacy
//! layout found in theirs.

use std::collections::BTreeMap;

use super::super::Check;
use super::expected_image::ExpectedImage;
use super::inspect::InspectedImage;
use worker_files::dockerfile::expand;

/// What RunPod runs.
const PLATFORM: &str = "linux/amd64";

/// Whether RunPod can run it at all.
pub fn platform(image: &InspectedImage) -> Check {
    if image.platform == PLATFORM {
        return Check::passed("platform", PLATFORM);
    }
    let words = format!(
        "the image is for {}, and RunPod runs {PLATFORM}: build it with `--platform {PLATFORM}` on \
         a base image for it",
        image.platform
    );
    Check::failed("platform", words)
}

/// ENTRYPOINT, CMD, WORKDIR and USER.
pub fn command(
    image: &InspectedImage,
    made: &ExpectedImage,
    base: Option<&InspectedImage>,
) -> Check {
    let folder = |path: &String| match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    // An ENTRYPOINT of the Dockerfile's takes the base image's CMD away.
    let cmd = base.filter(|_| made.entrypoint.is_none());
    let (cmd, entrypoint) = (
        cmd.map(|base| line(&base.cmd)),
        base.map(|base| line(&base.entrypoint)),
    );
    let workdir = made.workdir.as_ref().or(base.map(|base| &base.workdir));
    let user = base.map(|base| base.user.clone());
    let compared = [
        ("CMD", made.cmd.clone().or(cmd), line(&image.cmd)),
        (
            "ENTRYPOINT",
            made.entrypoint.clone().or(entrypoint),
            line(&image.entrypoint),
        ),
        ("WORKDIR", workdir.map(folder), folder(&image.workdir)),
        ("USER", made.user.clone().or(user), image.user.clone()),
    ];
    let wrong = compared.into_iter().filter_map(|(what, wanted, is)| {
        let wanted = wanted.filter(|wanted| *wanted != is)?;
        Some(format!(
            "{what} is `{is}`, and by the Dockerfile it is `{wanted}`"
        ))
    });
    let all = [image.entrypoint.clone(), image.cmd.clone()].concat();
    Check::judged(
        "command",
        wrong.collect(),
        "build the image from this Dockerfile, or write down there what is meant",
        format!("{} in {}", line(&all), folder(&image.workdir)),
    )
}

/// A command as a Dockerfile writes it: what a shell runs stands alone.
fn line(words: &[String]) -> String {
    match words {
        [shell, option, line] if shell == "/bin/sh" && option == "-c" => line.clone(),
        words => words.join(" "),
    }
}

/// ENV as the Dockerfile and the base image have it. `hide` takes a name and its value, and gives
/// what may be shown of the value.
pub fn environment(
    image: &InspectedImage,
    made: &ExpectedImage,
    base: Option<&InspectedImage>,
    hide: &dyn Fn(&str, &str) -> String,
) -> Check {
    let (mut wrong, mut unknown, mut compared) = (Vec::new(), Vec::new(), 0);
    for (name, wanted) in &made.env {
        match (wanted, image.env.get(name)) {
            (_, None) => wrong.push(format!("{name} is not set, and the Dockerfile sets it")),
            (None, Some(_)) => unknown.push(name.as_str()),
            (Some(wanted), Some(is)) if wanted == is => compared += 1,
            (Some(wanted), Some(is)) => {
                let (is, wanted) = (hide(name, is), hide(name, wanted));
                wrong.push(format!(
                    "{name} is `{is}`, and by the Dockerfile it is `{wanted}`"
                ));
            }
        }
    }
    if let Some(base) = base {
        let inherited = image.env.iter();
        for (name, value) in inherited.filter(|(name, _)| !made.env.contains_key(*name)) {
            let is = hide(name, value);
            match base.env.get(name) {
                None => wrong.push(format!(
                    "{name} is set to `{is}`, which neither the Dockerfile nor the base image does"
                )),
                Some(own) if own == value => compared += 1,
                Some(own) => wrong.push(format!(
                    "{name} is `{is}`, and in the base image it is `{}`",
                    hide(name, own)
                )),
            }
        }
    }
    let check = Check::judged(
        "environment",
        wrong,
        "build the image from this Dockerfile; if it was, something later in the build sets them",
        format!("{compared} variables as they should be"),
    );
    let unknown = Some(unknown).filter(|unknown| !unknown.is_empty());
    check.and(unknown.map(|unknown| {
        format!(
            "not compared, as the base image is not known: {}",
            unknown.join(", ")
        )
    }))
}

/// What the record says of the legacy image's variables.
#[derive(Debug, Default)]
pub struct Promise {
    pub variables: BTreeMap<String, String>,
    /// Those that may be different: a reason is on record.
    pub accepted: BTreeMap<String, String>,
}

/// Where users of a worker put modules of their own: the root, where that was on Python's path.
const MODULES: &str = "PYTHONPATH";

/// Whether what the legacy image set still means the same to what runs in this one.
pub fn promise(image: &InspectedImage, made: &ExpectedImage, promise: Option<&Promise>) -> Check {
    const NAME: &str = "legacy promise";
    let Some(promise) = promise else {
        return Check::skipped(
            NAME,
            "no .xtask/baseline.json says what the legacy worker's image set; \
             `cargo xtask compare OLD --write-baseline` writes it",
        );
    };
    let (mut wrong, mut elsewhere, mut kept) = (Vec::new(), Vec::new(), 0);
    for (name, promised) in &promise.variables {
        let promised = expand(promised, &image.env);
        let is = match image.env.get(name) {
            Some(is) if *is == promised => {
                kept += 1;
                continue;
            }
            Some(is) => format!("is `{is}`"),
            // Compare judges the Dockerfile, renamed variables and all.
            None if !made.env.contains_key(name) => {
                elsewhere.push(name.as_str());
                continue;
            }
            None => "is not set".to_owned(),
        };
        wrong.push(format!(
            "{name} {is}, and in the legacy image it was `{promised}`"
        ));
    }
    let mut notes = Vec::new();
    // A reason may have been given for another part of it: what users lose is said either way.
    if let Some(lost) = root_lost(image, promise) {
        if promise.accepted.contains_key(MODULES) {
            notes.push(format!("{lost}; a reason is on record"));
        } else {
            wrong.push(lost);
        }
    }
    if !elsewhere.is_empty() {
        notes.push(format!(
            "no longer set by the Dockerfile, which `cargo xtask compare` judges: {}",
            elsewhere.join(", ")
        ));
    }
    let check = Check::judged(
        NAME,
        wrong,
        "set them so in the Dockerfile, or accept a change with \
         `cargo xtask compare --accept image:NAME --reason …`",
        format!("{kept} variables as in the legacy image"),
    );
    check.and(notes)
}

/// What is said where modules at the root were found in the legacy image and are no longer.
fn root_lost(image: &InspectedImage, promise: &Promise) -> Option<String> {
    let mut recorded = [&promise.variables, &promise.accepted].into_iter();
    let promised = recorded.find_map(|record| record.get(MODULES))?;
    let names_root = |path: &str| path.split(':').any(|folder| folder == "/");
    let is = image.env.get(MODULES).map_or("", String::as_str);
    (names_root(&expand(promised, &image.env)) && !names_root(is)).then(|| {
        format!(
            "{MODULES} is `{is}` and does not name `/`, as it did in the legacy image: modules that \
             users put there are no longer found"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::CheckStatus;
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn variables(text: &str) -> BTreeMap<String, String> {
        let pairs = text
            .split_whitespace()
            .filter_map(|word| word.split_once('='));
        pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    fn image(env: &str) -> InspectedImage {
        InspectedImage {
            platform: "linux/amd64".into(),
            cmd: words("python3 handler.py"),
            workdir: "/worker".into(),
            env: variables(env),
            ..InspectedImage::default()
        }
    }

    fn made(env: &str) -> ExpectedImage {
        ExpectedImage {
            cmd: Some("python3 handler.py".into()),
            workdir: Some("/worker/".into()),
            env: variables(env)
                .into_iter()
                .map(|(a, b)| (a, Some(b)))
                .collect(),
            ..ExpectedImage::default()
        }
    }

    fn plain(_: &str, value: &str) -> String {
        value.to_owned()
    }

    #[test]
    fn another_platform_fails() {
        let mut image = image("");
        assert_eq!(platform(&image).verdict, CheckStatus::Passed);
        image.platform = "linux/arm64".into();
        let check = platform(&image);
        assert_eq!(check.verdict, CheckStatus::Failed);
        assert!(
            check.words[0].contains("--platform linux/amd64"),
            "{check:?}"
        );
    }

    #[test]
    fn a_command_or_folder_other_than_the_dockerfile_s_fails() {
        let base = InspectedImage {
            entrypoint: words("/start.sh"),
            ..image("")
        };
        let mut image = InspectedImage {
            entrypoint: words("/start.sh"),
            ..image("")
        };
        let check = command(&image, &made(""), Some(&base));
        assert_eq!(check.words, ["/start.sh python3 handler.py in /worker"]);
        image.cmd = vec!["/bin/sh".into(), "-c".into(), "python3 other.py".into()];
        image.workdir = "/".into();
        image.entrypoint.clear();
        image.user = "me".into();
        let check = command(&image, &made(""), Some(&base));
        assert_eq!(check.verdict, CheckStatus::Failed);
        let all = check.words.join("\n");
        for part in [
            "CMD is `python3 other.py`, and by the Dockerfile it is `python3 handler.py`",
            "ENTRYPOINT is ``, and by the Dockerfile it is `/start.sh`",
            "WORKDIR is `/`, and by the Dockerfile it is `/worker`",
            "USER is `me`",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
    }

    #[test]
    fn variables_are_those_of_the_dockerfile_and_of_the_base_image() {
        let base = image("PATH=/bin TZ=UTC");
        let wanted = made("A=1 B=2");
        let check = |env: &str| environment(&image(env), &wanted, Some(&base), &plain);
        assert_eq!(
            check("PATH=/bin TZ=UTC A=1 B=2").verdict,
            CheckStatus::Passed
        );
        let bad = check("PATH=/sbin TZ=UTC A=9 NEW=x");
        assert_eq!(bad.verdict, CheckStatus::Failed);
        let all = bad.words.join("\n");
        for part in [
            "A is `9`",
            "B is not set",
            "NEW is set to `x`",
            "PATH is `/sbin`",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        let mut open = made("A=1");
        open.env.insert("P".into(), None);
        let check = environment(&image("A=1 P=/ X=1"), &open, None, &plain);
        assert_eq!(check.verdict, CheckStatus::Passed);
        assert!(check.words[1].contains('P'), "{check:?}");
    }

    #[test]
    fn modules_at_the_root_are_found_as_before_or_a_reason_is_on_record() {
        let path = || variables("PYTHONPATH=/:/src");
        let judged = |env: &str, promised: &Promise| {
            promise(&image(env), &made("PYTHONPATH=/worker"), Some(promised))
        };
        let mut recorded = Promise {
            variables: path(),
            ..Promise::default()
        };
        let lost = judged("PYTHONPATH=/worker", &recorded);
        assert_eq!(lost.verdict, CheckStatus::Failed, "{lost:?}");
        assert!(lost.words[1].contains("does not name `/`"), "{lost:?}");
        recorded = Promise {
            accepted: path(),
            ..Promise::default()
        };
        let lost = judged("PYTHONPATH=/worker", &recorded);
        assert_eq!(lost.verdict, CheckStatus::Passed, "{lost:?}");
        let said = "no longer found; a reason is on record";
        assert!(lost.words[1].ends_with(said), "{lost:?}");
        let kept = judged("PYTHONPATH=/:/sgl", &recorded);
        assert_eq!(kept.words, ["0 variables as in the legacy image"]);
        // Where the legacy image did not name the root, nobody found anything there.
        recorded.accepted = variables("PYTHONPATH=/src");
        let never = judged("PYTHONPATH=/worker", &recorded);
        assert_eq!(never.words, ["0 variables as in the legacy image"]);
    }

    #[test]
    fn the_legacy_image_s_variables_keep_their_values() {
        let kept = Promise {
            variables: variables("BASE_PATH=$BASE_PATH HF_HOME=$BASE_PATH/cache OLD=1"),
            ..Promise::default()
        };
        let wanted = made("BASE_PATH=/v HF_HOME=/v/cache PYTHONPATH=/");
        let check = |env: &str| promise(&image(env), &wanted, Some(&kept));
        let good = check("BASE_PATH=/v HF_HOME=/v/cache PYTHONPATH=/x:/");
        assert_eq!(good.verdict, CheckStatus::Passed);
        assert!(good.words[1].contains("OLD"), "{good:?}");
        let bad = check("BASE_PATH=/v HF_HOME=/cache PYTHONPATH=/worker");
        assert_eq!(bad.verdict, CheckStatus::Failed);
        assert!(bad.words[0].contains("HF_HOME is `/cache`"), "{bad:?}");
        let none = promise(&image(""), &wanted, None);
        assert_eq!(none.verdict, CheckStatus::Skipped);
    }
}
