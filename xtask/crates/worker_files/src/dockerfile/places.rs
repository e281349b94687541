//! The image holds the same files at the same places, whatever way the Dockerfile copies them:
//! a small model of `COPY` is run on the upstream before and on the worker after.

use super::*;
use crate::glob::Glob;

const FILES: &[(&str, &str)] = &[
    (".runpod/Dockerfile", "Dockerfile"),
    (".runpod/engine.py", "engine.py"),
    (".runpod/handler.py", "handler.py"),
    (".runpod/a name.txt", "a name.txt"),
    (".runpod/hub.json", ".runpod/hub.json"),
    (".runpod/tests.json", ".runpod/tests.json"),
    (".runpod/public/a.png", "public/a.png"),
    (".runpod/public/b/c.png", "public/b/c.png"),
    (".runpod/torn/d.py", "torn/d.py"),
];
const LEFT: &[&str] = &[".runpod/README.md", ".runpod/torn/e.md"];

/// Files of a context: path, and what marks the content.
type Context = BTreeMap<String, String>;

/// Where the image has each content.
fn build(dockerfile: &[u8], context: &Context) -> BTreeMap<String, String> {
    let text = open(dockerfile).unwrap();
    let mut copies = Vec::new();
    let walked = Walk::each(&text, |walk, instruction| {
        let sources = walk.sources(instruction)?;
        if let Some(dest) = instruction.words(instruction.options().1).pop() {
            copies.push((dest.text, sources));
        }
        Ok(())
    });
    walked.unwrap();
    let mut image = BTreeMap::new();
    for (written, sources) in copies {
        let mut dest = String::from(if written.starts_with('/') {
            ""
        } else {
            "/work"
        });
        for part in written.split('/').filter(|part| !["", "."].contains(part)) {
            dest = format!("{dest}/{part}");
        }
        for (source, _) in &sources {
            let glob = Glob::new(source, false).unwrap();
            let depth = source.split('/').count();
            let mut found = false;
            for (path, content) in context {
                let parts: Vec<&str> = path.split('/').collect();
                if parts.len() < depth || !glob.matches(&parts[..depth].join("/")) {
                    continue;
                }
                found = true;
                let below = parts[depth..].join("/");
                let is_folder = written.ends_with('/')
                    || written == "."
                    || sources.len() > 1
                    || image
                        .keys()
                        .any(|at: &String| at.starts_with(&format!("{dest}/")));
                let place = match (below.as_str(), is_folder) {
                    ("", true) => format!("{dest}/{}", parts[depth - 1]),
                    ("", false) => dest.clone(),
                    (below, _) => format!("{dest}/{below}"),
                };
                image.insert(place, content.clone());
            }
            assert!(found, "nothing at {source} for\n{}", text.text);
        }
    }
    image
}

#[test]
fn the_image_stays_the_same() {
    let map = PathMap::new(
        ".runpod",
        FILES.iter().map(|&(from, to)| (from.into(), to.into())),
        LEFT.iter().map(|&path| path.into()),
    );
    let contents = |(from, _): &(&str, &str)| (*from).to_owned();
    let mut before: Context = FILES.iter().map(|f| (contents(f), contents(f))).collect();
    before.extend(
        LEFT.iter()
            .map(|left| ((*left).to_owned(), "left".to_owned())),
    );
    // The worker has files of its own, which no image had before.
    let mut after: Context = FILES
        .iter()
        .map(|f| (f.1.to_owned(), contents(f)))
        .collect();
    for own in [
        "setup.py",
        "README.md",
        "docs/a.md",
        "torn/own.py",
        "src.py",
    ] {
        after.insert(own.to_owned(), "own".to_owned());
    }

    let sources = [
        ".runpod/",
        ".runpod",
        "./.runpod",
        ".runpod/*",
        ".runpod/*.py",
        ".runpod/*.json",
        ".runpod/[p-t]*",
        ".runpod/*/*",
        ".runpod/public",
        ".runpod/public/",
        ".runpod/public/b",
        ".runpod/torn",
        ".runpod/handler.py",
        ".runpod/hub.json",
        ".runpod/handler.py .runpod/public/a.png",
        ".runpod/handler.py .runpod/torn/ .runpod/*.json",
        ".runpod/public .runpod/",
    ];
    let dests = ["./", ".", "/", "/app/", "x/y/", "/app", "./z"];
    let mut written = 0;
    for source in sources {
        for dest in dests {
            for keyword in ["COPY", "copy --chown=1:1", "ADD"] {
                for is_json in [false, true] {
                    // Several files in one that is not a directory: no build does that.
                    if source.contains(['*', ' ']) && !dest.ends_with(['/', '.']) {
                        continue;
                    }
                    let words = format!("{source} {dest}");
                    let words = if is_json {
                        format!("[\"{}\"]", words.replace(' ', "\", \""))
                    } else {
                        words
                    };
                    let text =
                        format!("FROM a\nCOPY .runpod/engine.py /app/\n{keyword} {words}\nRUN x\n");
                    match rewrite(text.as_bytes(), &map) {
                        Ok(result) => {
                            written += 1;
                            let shown = String::from_utf8_lossy(&result.bytes);
                            let mut expected = build(text.as_bytes(), &before);
                            expected.retain(|_, content| content != "left");
                            let got = build(&result.bytes, &after);
                            assert_eq!(got, expected, "\n{text}\n{shown}");
                            assert!(shown.ends_with("\nRUN x\n"), "{shown}");
                        }
                        Err(fault) => {
                            let with_add = keyword == "ADD" && source.contains([' ', '*']);
                            assert!(with_add, "{fault}\n{text}");
                        }
                    }
                }
            }
        }
    }
    assert!(written > 500, "{written}");
}
