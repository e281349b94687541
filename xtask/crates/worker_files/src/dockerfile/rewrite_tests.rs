//! Dockerfiles before and after the move, and those that are refused.

use super::*;

const UPSTREAM: &[&str] = &[
    "Dockerfile",
    "docker-compose.yml",
    "download_model.py",
    "engine.py",
    "handler.py",
    "public/banner.png",
    "public/icons/a.svg",
    "requirements.txt",
    "utils.py",
];

fn map() -> PathMap {
    let mut moved: Vec<(RepoPath, RepoPath)> = UPSTREAM
        .iter()
        .map(|name| {
            (
                RepoPath::from(*name).inside(".runpod"),
                RepoPath::from(*name),
            )
        })
        .collect();
    for name in [".runpod/hub.json", ".runpod/tests.json"] {
        moved.push((name.into(), name.into()));
    }
    let left = [".runpod/README.md".into(), ".runpod/.gitignore".into()];
    PathMap::new(".runpod", moved, left)
}

fn rewritten(body: &str) -> String {
    let text = format!("FROM base\n{body}");
    let result = rewrite(text.as_bytes(), &map()).unwrap();
    let after = String::from_utf8(result.bytes).unwrap();
    after.strip_prefix("FROM base\n").unwrap().to_owned()
}

fn refused(body: &str) -> NotUnderstood {
    rewrite(format!("FROM base\n{body}").as_bytes(), &map()).unwrap_err()
}

#[test]
fn the_whole_folder_becomes_named_copies() {
    let after = "\
COPY Dockerfile docker-compose.yml download_model.py engine.py handler.py requirements.txt \
utils.py .runpod/hub.json .runpod/tests.json ./
COPY public/ ./public/
";
    for before in [
        "COPY .runpod/ ./\n",
        "COPY .runpod ./\n",
        "COPY .runpod/ .\n",
        "COPY ./.runpod/ .\n",
        "COPY /.runpod .\n",
    ] {
        assert_eq!(rewritten(before), after, "{before}");
    }
    let to_root = rewritten("COPY .runpod /\n");
    assert!(
        to_root.ends_with(".runpod/tests.json /\nCOPY public/ /public/\n"),
        "{to_root}"
    );
    let to_folder = rewritten("copy .runpod /app");
    assert!(to_folder.ends_with(".runpod/tests.json /app/\ncopy public/ /app/public/"));
}

#[test]
fn what_does_not_come_along_is_noted() {
    let result = rewrite(b"FROM a\nCOPY .runpod/ ./\n", &map()).unwrap();
    assert_eq!(
        result.notes,
        [
            "line 2: the image no longer gets `.runpod/.gitignore` and `.runpod/README.md`, \
             which the worker does not take over"
        ]
    );
    assert_eq!(result.changes[0].line, 2);
}

#[test]
fn the_json_form_and_flags_stay() {
    assert_eq!(
        rewritten("COPY --link --chown=1:1 [\".runpod/\", \"./\"]\n"),
        "COPY --link --chown=1:1 [\"Dockerfile\", \"docker-compose.yml\", \
         \"download_model.py\", \"engine.py\", \"handler.py\", \"requirements.txt\", \
         \"utils.py\", \".runpod/hub.json\", \".runpod/tests.json\", \"./\"]\n\
         COPY --link --chown=1:1 [\"public/\", \"./public/\"]\n"
    );
    assert_eq!(
        rewritten("COPY [\".runpod/*.py\", \"./\"]\n"),
        "COPY [\"download_model.py\", \"engine.py\", \"handler.py\", \"utils.py\", \"./\"]\n"
    );
}

#[test]
fn single_files_change_only_their_own_words() {
    assert_eq!(
        rewritten(
            "COPY  .runpod/handler.py\t.runpod/engine.py   ./  # no comment here\n"
                .replace("  # no comment here", "")
                .as_str()
        ),
        "COPY  handler.py\tengine.py   ./\n"
    );
    assert_eq!(
        rewritten("COPY .runpod/requirements.txt /tmp/r.txt\nCOPY .runpod/public /srv\n"),
        "COPY requirements.txt /tmp/r.txt\nCOPY public /srv\n"
    );
    assert_eq!(
        rewritten(
            "COPY \\\n  # the code\n  .runpod/handler.py \\\n\n  .runpod/engine.py \\\n  ./\n"
        ),
        "COPY \\\n  # the code\n  handler.py \\\n\n  engine.py \\\n  ./\n"
    );
    assert_eq!(
        rewritten("COPY '.runpod/utils.py' ./\n"),
        "COPY utils.py ./\n"
    );
}

#[test]
fn patterns_become_names() {
    assert_eq!(
        rewritten("COPY .runpod/*.py /app/\n"),
        "COPY download_model.py engine.py handler.py utils.py /app/\n"
    );
    assert_eq!(
        rewritten("COPY .runpod/[hu]*.py /app/\n"),
        "COPY handler.py utils.py /app/\n"
    );
    // A folder that a pattern matches lands with its contents, not as a folder.
    assert_eq!(rewritten("COPY .runpod/p* /app/\n"), "COPY public/ /app/\n");
}

#[test]
fn line_endings_the_escape_directive_and_a_byte_order_mark_stay() {
    let text = "\u{feff}# escape=`\r\nFROM a\r\nCOPY .runpod/ C:\\app\\\r\nRUN dir\r\n";
    let refused = rewrite(text.as_bytes(), &map()).unwrap_err();
    assert_eq!(refused.line, 3);
    let text = text.replace("C:\\app\\", "./");
    let after = rewrite(text.as_bytes(), &map()).unwrap().bytes;
    assert_eq!(
        String::from_utf8(after).unwrap(),
        "\u{feff}# escape=`\r\nFROM a\r\nCOPY Dockerfile docker-compose.yml download_model.py \
         engine.py handler.py requirements.txt utils.py .runpod/hub.json \
         .runpod/tests.json ./\r\nCOPY public/ ./public/\r\nRUN dir\r\n"
    );
}

#[test]
fn stages_addresses_and_documents_are_left_alone() {
    let text = "\
COPY --from=build .runpod/ ./
ADD https://example.org/.runpod/x ./
COPY <<EOF /etc/x
COPY .runpod/ ./
EOF
RUN python3 - <<PY | cat
COPY .runpod/ ./
PY
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=HF_TOKEN python3 .runpod/x.py
CMD [\"python3\", \"/.runpod/handler.py\"]
";
    assert_eq!(rewritten(text), text);
}

#[test]
fn add_of_a_folder_becomes_copy_because_named_archives_would_be_unpacked() {
    assert_eq!(rewritten("ADD .runpod/utils.py ./\n"), "ADD utils.py ./\n");
    assert!(rewritten("ADD .runpod/ ./\n").starts_with("COPY Dockerfile"));
}

#[test]
fn bind_mounts_follow() {
    assert_eq!(
        rewritten(
            "RUN --mount=type=bind,source=.runpod/requirements.txt,target=/r.txt \\\n    pip install -r /r.txt\n"
        ),
        "RUN --mount=type=bind,source=requirements.txt,target=/r.txt \\\n    pip install -r /r.txt\n"
    );
    assert_eq!(
        rewritten("RUN --mount=target=/x,src=.runpod/public ls /x\n"),
        "RUN --mount=target=/x,src=public ls /x\n"
    );
    assert_eq!(
        refused("RUN --mount=target=/x,src=.runpod/ ls /x\n").line,
        2
    );
    assert_eq!(refused("RUN --mount=target=/x,src=.runpod,rw ls\n").line, 2);
    assert_eq!(refused("RUN --mount=type=bind,target=/x ls\n").line, 2);
}

#[test]
fn variables_with_a_literal_value_are_filled_in() {
    assert_eq!(
        rewritten("ARG DIR=.runpod\nCOPY ${DIR}/handler.py $WHERE/\n"),
        "ARG DIR=.runpod\nCOPY handler.py $WHERE/\n"
    );
    let fault = refused("ARG DIR\n\n  COPY $DIR/handler.py ./\n");
    assert_eq!((fault.line, fault.column), (4, 8));
}

#[test]
fn a_variable_means_what_its_stage_says() {
    let text = "\
ARG DIR=.runpod
FROM a
ARG DIR OTHER=\"a b\" LATE=$UNKNOWN
COPY $DIR/1 ${OTHER} /
ENV DIR somewhere
ARG DIR=ignored
ENV DIR=a E=$DIR/b
COPY $E ${DIR} /
";
    let found = taken(text.as_bytes()).unwrap();
    let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, [".runpod/1", "a b", "somewhere/b", "a"]);
    assert!(taken(format!("{text}COPY $LATE /\n").as_bytes()).is_err());
    assert!(taken(b"ARG DIR=x\nFROM a\nCOPY $DIR/x /\n").is_err());
    assert!(taken(format!("{text}FROM b\nCOPY $E /\n").as_bytes()).is_err());
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    for (body, says) in [
        ("COPY . /sgl\n", "whole build context"),
        ("COPY python/ /sgl/\n", "`python` is copied"),
        ("COPY *.toml /sgl/\n", "outside of `.runpod/`"),
        ("COPY .runpod/../x ./\n", "climbs"),
        ("COPY .runpod/README.md ./\n", "does not come along"),
        ("COPY --parents .runpod/handler.py ./\n", "`--parents`"),
        ("COPY --exclude=*.py .runpod/ ./\n", "`--exclude`"),
        ("ONBUILD COPY .runpod/ ./\n", "ONBUILD"),
        ("COPY .runpod/[ ./\n", "bad pattern"),
        ("RUN cat <<EOF\nx\n", "never ends"),
        ("COPY .runpod/\n", "at least two arguments"),
        ("NONSENSE x\n", "unknown instruction"),
        ("COPY .runpod/ \\\n ./\n", "over several lines"),
        ("COPY <<A .runpod/ ./\nA\n", "beside a here-document"),
    ] {
        let fault = refused(body);
        assert!(fault.what.contains(says), "{body}: {fault}");
        assert!(fault.line >= 2 && fault.column >= 1, "{body}: {fault}");
    }
    assert_eq!(rewrite(b"FROM a\nRUN \xff\n", &map()).unwrap_err().line, 2);
    assert!(rewrite(b"", &map()).is_err());
}

#[test]
fn names_with_spaces_take_the_json_form() {
    let map = PathMap::new(
        ".runpod",
        [
            (".runpod/a b.py".into(), "a b.py".into()),
            (".runpod/c.py".into(), "c.py".into()),
        ],
        [],
    );
    let after = rewrite(b"FROM a\nCOPY .runpod ./\n", &map).unwrap().bytes;
    assert_eq!(
        String::from_utf8(after).unwrap(),
        "FROM a\nCOPY [\"a b.py\", \"c.py\", \"./\"]\n"
    );
}

#[test]
fn a_torn_folder_is_copied_file_by_file() {
    let map = PathMap::new(
        ".runpod",
        [
            (".runpod/d/a.py".into(), "d/a.py".into()),
            (".runpod/x.py".into(), "x.py".into()),
        ],
        [".runpod/d/b.py".into()],
    );
    let after = rewrite(b"FROM a\nCOPY .runpod /w\n", &map).unwrap().bytes;
    assert_eq!(
        String::from_utf8(after).unwrap(),
        "FROM a\nCOPY x.py /w/\nCOPY d/a.py /w/d/\n"
    );
}

#[test]
fn what_the_build_takes_is_told() {
    let text = b"FROM a AS b\nARG X=flags\nCOPY --from=b /a /b\nCOPY ./src/ *.py $X.json /\nRUN --mount=source=c.txt,target=/c true\n";
    let found = taken(text).unwrap();
    let paths: Vec<_> = found.iter().map(|c| (c.path.as_str(), c.line)).collect();
    assert_eq!(
        paths,
        [("src", 4), ("*.py", 4), ("flags.json", 4), ("c.txt", 5)]
    );
    assert!(found[0].covers(&"src/a/b.py".into()));
    assert!(found[1].covers(&"a.py".into()) && !found[1].covers(&"d/a.py".into()));
    assert!(taken(b"FROM a\nCOPY . .\n").unwrap()[0].is_everything());
    assert_eq!(
        arguments(b"ARG A\nFROM x\nARG B=1 C\nARG A\n").unwrap(),
        ["A", "B", "C"]
    );
}

#[test]
fn one_file_of_a_pattern_may_land_under_another_name() {
    assert_eq!(
        rewritten("COPY .runpod/require*.txt /tmp/r.txt\n"),
        "COPY requirements.txt /tmp/r.txt\n"
    );
    assert_eq!(rewritten("ADD .runpod/u*.py ./\n"), "ADD utils.py ./\n");
}

#[test]
fn the_bundled_upstream_is_understood() {
    let text = include_bytes!("../../../../example/upstream/.runpod/Dockerfile");
    let result = rewrite(text, &map()).unwrap();
    let after = String::from_utf8(result.bytes).unwrap();
    assert!(!after.contains(".runpod/ "));
    assert_eq!(
        after.lines().count(),
        text.iter().filter(|&&b| b == b'\n').count() + 1
    );
}
