//! The Dockerfile: instructions, and what was not understood.

use std::collections::BTreeMap;

use super::*;

fn reading(text: &str) -> (Image, Vec<Unread>) {
    read(&Source::new("Dockerfile".into(), text.as_bytes())).split()
}

fn image(text: &str) -> Image {
    let (image, unread) = reading(text);
    assert!(unread.is_empty(), "{unread:?}");
    image
}

fn commands(image: &Image) -> Vec<String> {
    let runs = image.runs.iter().flat_map(|run| &run.script.commands);
    runs.map(crate::shell::Command::line).collect()
}

#[test]
fn a_teams_own_image_has_versions_of_its_own() {
    let versions = |base: &str| {
        let image = image(&format!("FROM {base}\n"));
        (image.sglang(), image.cuda())
    };
    assert_eq!(versions("example.com/ml/sglang-base:2024.12"), (None, None));
    let own = versions("example.com/ml/worker-sglang:0.4.6-cu124");
    assert_eq!(own, (Some("0.4.6".to_owned()), Some("12.4".to_owned())));
    let mirrored = versions("mirror.example.com/lmsysorg/sglang:v1.0.0");
    assert_eq!(mirrored.0.as_deref(), Some("1.0.0"));
}

#[test]
fn an_image_with_arguments_and_stages() {
    let image = image(
        "ARG BASE=lmsysorg/sglang:v0.4.6.post4-cu124\nFROM busybox AS other\nENV LOST=1\nFROM ${BASE} AS first\nENV KEPT=1\nFROM first\nARG MODEL=\"\"\nENV A=$MODEL \\\n    B=\"x y\" C='z'\nENV OLD form here\nWORKDIR /w\nEXPOSE 8000 9000/udp\nUSER me\nCOPY --from=other /a /b\nCOPY src /src\nRUN --mount=type=secret,id=HF_TOKEN,required=false --mount=type=cache,target=/c pip install ray\nENTRYPOINT [\"a\", \"b\"]\nCMD python3 handler.py\n",
    );
    assert_eq!(
        image.base.as_ref().unwrap().text,
        "lmsysorg/sglang:v0.4.6.post4-cu124"
    );
    assert_eq!(image.sglang().as_deref(), Some("0.4.6.post4"));
    assert_eq!(image.cuda().as_deref(), Some("12.4"));
    let env: Vec<_> = image
        .env
        .iter()
        .map(|e| format!("{}={}", e.name, e.value))
        .collect();
    assert_eq!(env, ["KEPT=1", "A=$MODEL", "B=x y", "C=z", "OLD=form here"]);
    assert_eq!(image.env[2].place.line, 9);
    assert_eq!(image.mounts.len(), 2);
    assert_eq!(image.mounts[0].name, "HF_TOKEN");
    assert_eq!(image.cmd.as_ref().unwrap().text, "python3 handler.py");
    assert_eq!(image.entrypoint.as_ref().unwrap().text, "a b");
    assert_eq!(image.expose.len(), 2);
    assert_eq!(image.copies[1].sources, ["src"]);
    assert_eq!(image.copies[0].from.as_deref(), Some("other"));
    assert_eq!(commands(&image), ["pip install ray"]);
}

#[test]
fn everything_that_an_image_can_say() {
    let image = image(
        "FROM a\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\nLABEL x=y z=\"a b\"\nVOLUME [\"/d\", \"/e\"]\nVOLUME /f\nHEALTHCHECK --interval=5s CMD curl $H || exit 1\nUSER a:b\nONBUILD RUN x\nMAINTAINER me\nADD https://h/f.tgz /f\nCOPY --from=img:1 /a /b\n",
    );
    assert_eq!(image.stopsignal.unwrap().text, "SIGINT");
    assert_eq!(image.shell.unwrap().text, "/bin/bash -c");
    let labels: Vec<_> = image
        .labels
        .iter()
        .map(|l| format!("{}={}", l.name, l.value))
        .collect();
    assert_eq!(labels, ["x=y", "z=a b"]);
    let volumes: Vec<_> = image.volumes.iter().map(|v| v.text.as_str()).collect();
    assert_eq!(volumes, ["/d", "/e", "/f"]);
    assert_eq!(
        image.healthcheck.unwrap().text,
        "--interval=5s CMD curl $H || exit 1"
    );
    assert_eq!(image.started[0].script.reads[0].name, "H");
    let steps: Vec<_> = image.steps.iter().flat_map(|s| &s.commands).collect();
    assert_eq!(
        steps,
        [
            "ONBUILD RUN x",
            "ADD https://h/f.tgz /f",
            "COPY --from=img:1 /a /b"
        ]
    );
}

#[test]
fn empty_lists_are_valid() {
    let image = image("FROM a\nENTRYPOINT []\nCMD []\nRUN []\nENV A=1\n");
    assert_eq!(image.entrypoint.unwrap().text, "");
    assert_eq!(image.cmd.unwrap().text, "");
    assert_eq!(image.env[0].name, "A");
}

#[test]
fn here_documents_belong_to_their_instruction() {
    let text = "FROM a\nRUN <<EOF\npip install a\nENV NO=1\nEOF\nRUN python3 - <<PY && pip install b\nimport os\nPY\nCOPY <<-'X' <<Y /d/\n\tFROM no\n\tX\ntext\nY\nRUN <<-E\n\tpip install c\n\tE\nRUN <<A cat <<B\npip install no\nA\nx\nB\nENV A=1\n";
    for text in [
        text.to_owned(),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
    ] {
        let image = image(&text);
        assert_eq!(
            image
                .env
                .iter()
                .map(|e| e.name.as_str())
                .collect::<Vec<_>>(),
            ["A"]
        );
        let lines = commands(&image);
        assert_eq!(
            lines[..4],
            ["pip install a", "ENV NO=1", "python3 -", "pip install b"]
        );
        assert_eq!(lines[4], "pip install c");
        let python = &image.runs[1].script.commands[0];
        assert!(python.input.as_ref().unwrap().0.starts_with("import os"));
        assert_eq!(image.steps.len(), 1);
    }
}

#[test]
fn lines_are_continued_and_commented() {
    let image = image(
        "# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN pip install x `\n # a comment\n\n  y `  \n && z\nENV A=1 `\n# no\n  B=2\n",
    );
    assert_eq!(commands(&image), ["pip install x y", "z"]);
    assert_eq!(image.env[1].place.line, 11);
    let word = &image.runs[0].script.commands[0].words[3];
    let at = image.runs[0].base + word.range.start;
    let source = Source::new("Dockerfile".into(), b"");
    let _ = source;
    assert_eq!(
        at,
        "# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN pip install x `\n # a comment\n\n  "
            .len()
    );
}

#[test]
fn each_instruction_is_understood_or_is_one_unread_by_itself() {
    let (image, unread) =
        reading("FROM a\nNONSENSE b\nENV A\nENV B=1\nCOPY x\nRUN \"\nWORKDIR\nCMD a\n");
    let lines: Vec<_> = unread
        .iter()
        .map(|u| (u.place.line, u.what.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            (2, "`NONSENSE` is no instruction of a Dockerfile"),
            (3, "ENV sets no value for A"),
            (5, "COPY names no source or no target"),
            (6, "this quote never ends"),
            (7, "WORKDIR lacks what it is about"),
        ]
    );
    assert_eq!(image.env[0].name, "B");
    assert_eq!(image.cmd.unwrap().text, "a");
    assert!(reading("RUN x\n").1[0].what.contains("FROM is missing"));
    assert_eq!(reading("FROM a\nRUN <<E\nx\n").1.len(), 2);
}

#[test]
fn values_have_a_budget() {
    let doubling: String = (0..40)
        .map(|n| format!("ENV V{}=$V{n}-$V{n}\n", n + 1))
        .collect();
    let (image, unread) = reading(&format!("FROM a\nENV V0=x\n{doubling}"));
    assert_eq!(unread.len(), 1);
    assert!(unread[0].place.line > 2, "{unread:?}");
    assert_eq!(image.env.len(), 41);
    let (_, unread) = reading("ARG A=$B\nARG B=$A\nFROM $A\nARG A=$B$A\n");
    assert!(unread.is_empty());
    let nested = format!("FROM a\nENV A={}\n", "${A:-".repeat(20_000));
    assert_eq!(reading(&nested).1.len(), 1);
}

#[test]
fn files_of_other_stages_are_parts() {
    let image = image(
        "FROM a AS base\nWORKDIR /b\nFROM base AS built\nRUN pip install x\nCOPY s /s\nFROM other AS unused\nRUN pip install no\nFROM base\nCOPY --from=built /v /v\n",
    );
    assert_eq!(image.parts.len(), 1);
    assert_eq!(commands(&image.parts[0]), ["pip install x"]);
    assert_eq!(commands(&image), [""; 0]);
}

#[test]
fn what_the_container_runs() {
    let started = |text: &str| -> Vec<String> {
        let image = image(&format!("FROM a\n{text}"));
        let all = image.started.iter().flat_map(|run| &run.script.commands);
        all.map(crate::shell::Command::line).collect()
    };
    assert_eq!(
        started("ENTRYPOINT [\"bash\", \"-c\"]\nCMD [\"python a.py && b\"]\n"),
        ["python a.py", "b"]
    );
    assert_eq!(
        started("CMD [\"python\", \"a.py\"]\nENTRYPOINT [\"tini\", \"--\"]\n"),
        ["python a.py"]
    );
    assert_eq!(
        started("ENTRYPOINT python a.py\nCMD [\"b\"]\n"),
        ["python a.py"]
    );
    assert_eq!(started("CMD exec python a.py\n"), ["python a.py"]);
    let exec = image("FROM a\nCMD [\"python\", \"$A\"]\n");
    assert!(exec.started[0].script.reads.is_empty());
}

#[test]
fn arguments_reach_the_names_of_packages() {
    let image = image("FROM a\nARG V=1.2\nRUN pip install torch==${V}\n");
    assert_eq!(commands(&image), ["pip install torch==1.2"]);
    let source = Source::new("Dockerfile".into(), b"ARG B=x:1\nFROM ${B}\n");
    let given = BTreeMap::from([("B".to_owned(), "y:2".to_owned())]);
    assert_eq!(
        read_on(&source, given, None).split().0.base.unwrap().text,
        "y:2"
    );
}

#[test]
fn cuda_is_read_from_many_kinds_of_tag() {
    let cuda = |base: &str| image(&format!("FROM {base}\n")).cuda();
    for (base, version) in [
        ("nvidia/cuda:12.1.0-base-ubuntu22.04", "12.1"),
        ("lmsysorg/sglang:v0.5.19-cu129", "12.9"),
        ("lmsysorg/sglang:v0.5.21", "13.0"),
        ("pytorch/pytorch:2.4.1-cuda12.4-cudnn9-devel", "12.4"),
    ] {
        assert_eq!(cuda(base).as_deref(), Some(version), "{base}");
    }
    assert_eq!(cuda("python:3.12"), None);
}

#[test]
fn arguments_are_filled_in() {
    let values = BTreeMap::from([
        ("A".to_owned(), "1".to_owned()),
        ("E".to_owned(), String::new()),
    ]);
    assert_eq!(
        expand("$A ${A}x ${B:-2} ${E:-3} ${A:+4} $E$B", &values),
        "1 1x 2 3 4 $B"
    );
    assert_eq!(expand("${E:-${A}} ${A:+:$A} \\$A", &values), "1 :1 $A");
    assert_eq!(expand("${", &values), "$");
}
