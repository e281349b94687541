//! The image's configuration against the Dockerfile's.

use super::inspect::InspectedImage;
use super::{Seen, secrets};
use crate::report::Check;

/// What RunPod runs.
const PLATFORM: &str = "linux/amd64";

pub fn check(seen: &Seen) -> [Check; 3] {
    [platform(&seen.image), command(seen), environment(seen)]
}

fn platform(image: &InspectedImage) -> Check {
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

fn command(seen: &Seen) -> Check {
    let (image, expected, base) = (&seen.image, &seen.expected, seen.base_image());
    let folder = |path: &str| match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    let settings = |image: &InspectedImage| {
        let commands = [&image.cmd, &image.entrypoint].map(|words| line(words));
        let [cmd, entrypoint] = commands;
        [cmd, entrypoint, folder(&image.workdir), image.user.clone()]
    };
    let own = [
        expected.cmd.clone(),
        expected.entrypoint.clone(),
        expected.workdir.as_deref().map(folder),
        expected.user.clone(),
    ];
    let mut inherited = base.map_or([const { None }; 4], |base| settings(base).map(Some));
    if expected.entrypoint.is_some() {
        // ENTRYPOINT resets the base image's CMD.
        inherited[0] = None;
    }
    let wanted = own.into_iter().zip(inherited);
    let wanted = wanted.map(|(own, inherited)| own.or(inherited));
    let names = ["CMD", "ENTRYPOINT", "WORKDIR", "USER"].iter();
    let all = names.zip(settings(image)).zip(wanted);
    let differences = all.filter_map(|((name, is), wanted)| {
        let wanted = wanted.filter(|wanted| *wanted != is)?;
        Some(format!(
            "{name} is `{is}`, and by the Dockerfile it is `{wanted}`"
        ))
    });
    let wrong = differences.collect();
    let all = [image.entrypoint.clone(), image.cmd.clone()].concat();
    Check::judged(
        "command",
        wrong,
        "build the image from this Dockerfile, or write down there what is meant",
        format!("{} in {}", line(&all), folder(&image.workdir)),
    )
}

/// A command as a Dockerfile writes it, without the shell that runs it.
fn line(words: &[String]) -> String {
    match words {
        [shell, option, line] if shell == "/bin/sh" && option == "-c" => line.clone(),
        words => words.join(" "),
    }
}

fn environment(seen: &Seen) -> Check {
    let (image, expected, base) = (&seen.image, &seen.expected, seen.base_image());
    let hide = |name: &str, value: &str| secrets::shown_value(name, value, seen.token);
    let (mut wrong, mut unknown, mut compared) = (Vec::new(), Vec::new(), 0);
    for (name, is) in &image.env {
        let (whose, wanted) = match (expected.env.get(name), base) {
            (Some(None), _) => {
                unknown.push(name.as_str());
                continue;
            }
            (Some(Some(wanted)), _) => ("by the Dockerfile", Some(wanted)),
            (None, Some(base)) => ("in the base image", base.env.get(name)),
            (None, None) => continue,
        };
        let shown = hide(name, is);
        match wanted {
            Some(wanted) if wanted == is => compared += 1,
            Some(wanted) => wrong.push(format!(
                "{name} is `{shown}`, and {whose} it is `{}`",
                hide(name, wanted)
            )),
            None => wrong.push(format!(
                "{name} is set to `{shown}`, which neither the Dockerfile nor the base image does"
            )),
        }
    }
    let set = expected.env.keys();
    let unset = set.filter(|name| !image.env.contains_key(*name));
    wrong.extend(unset.map(|name| format!("{name} is not set, and the Dockerfile sets it")));
    let check = Check::judged(
        "environment",
        wrong,
        "build the image from this Dockerfile; if it was, something later in the build sets them",
        format!("{compared} variables as they should be"),
    );
    let what = "not compared, as the base image is not known";
    check.and((!unknown.is_empty()).then(|| format!("{what}: {}", unknown.join(", "))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::expected_image::ExpectedImage;
    use super::*;
    use crate::report::CheckStatus;

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

    fn seen(
        image: InspectedImage,
        made: ExpectedImage,
        base: Option<InspectedImage>,
    ) -> Seen<'static> {
        Seen {
            image,
            expected: made,
            base: base.map(|base| (base, Vec::new())),
            ..Seen::default()
        }
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
        let check = command(&seen(image.clone(), made(""), Some(base.clone())));
        assert_eq!(check.words, ["/start.sh python3 handler.py in /worker"]);
        image.cmd = vec!["/bin/sh".into(), "-c".into(), "python3 other.py".into()];
        image.workdir = "/".into();
        image.entrypoint.clear();
        image.user = "me".into();
        let check = command(&seen(image.clone(), made(""), Some(base.clone())));
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
        let check = |env: &str| {
            let base = Some(base.clone());
            environment(&seen(image(env), made("A=1 B=2"), base))
        };
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
        let check = environment(&seen(image("A=1 P=/ X=1"), open, None));
        assert_eq!(check.verdict, CheckStatus::Passed);
        assert!(check.words[1].contains('P'), "{check:?}");
    }
}
