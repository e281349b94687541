//! Whole workers, and the interface that is read from them.

mod packages;

use super::*;
use xtask_core::tree::Memory;

fn interface(tree: &Memory) -> (WorkerInterface, Vec<Unread>) {
    WorkerInterface::read(tree).unwrap().split()
}

#[test]
fn variables_come_from_scripts_and_commands_too() {
    let tree = Memory::new()
        .with("start.sh", "#!/bin/sh\nLOCAL=1\nexec python3 -m sglang.launch_server --port \"$PORT\" --host=${HOST:-0.0.0.0} --trust-remote-code $LOCAL\n")
        .with("Dockerfile", "FROM x\nARG A=1\nENV B=2\nRUN echo $A ${B} $C\nCMD python3 handler.py --x $MODE\n")
        .with("docker-compose.yml", "services:\n  w:\n    environment: {D: 4}\n    env_file: [more.env]\n")
        .with("more.env", "E=5\n");
    let (interface, _) = interface(&tree);
    let names: Vec<&str> = interface
        .env
        .iter()
        .map(|read| read.name.as_str())
        .collect();
    assert_eq!(names, ["HOST", "MODE", "PORT"]);
    let host = interface.reads("HOST").next().unwrap();
    assert_eq!(host.default.as_deref(), Some("0.0.0.0"));
    assert_eq!(host.drives.as_ref().unwrap().flag, "--host");
    assert_eq!(
        (host.place.line, &*host.place.file.to_string()),
        (3, "start.sh")
    );
    let flags: Vec<&str> = interface
        .python
        .flags
        .iter()
        .map(|f| f.flag.as_str())
        .collect();
    assert_eq!(flags, ["--port", "--host", "--trust-remote-code"]);
    let build: Vec<&str> = interface
        .build_reads
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(build, ["A", "B", "C"]);
    let compose: Vec<&str> = interface.compose[0]
        .environment
        .iter()
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(compose, ["D", "E"]);
}

#[test]
fn a_script_that_hands_its_arguments_on_starts_the_server_for_the_program_that_runs_it() {
    let engine = "import os, subprocess\nTABLE = {'DTYPE': '--dtype'}\ndef command():\n    words = ['bash', '/src/serve.sh', '--kv-cache-dtype', 'fp8_e5m2']\n    for name, flag in TABLE.items():\n        if os.getenv(name):\n            words += [flag, os.getenv(name)]\n    return words\nsubprocess.Popen(command())\n";
    let read = |script: &str| {
        let tree = Memory::new()
            .with("src/engine.py", engine)
            .with("src/serve.sh", script)
            .with(
                "Dockerfile",
                "FROM x\nCOPY src /src\nCMD [\"python3\", \"/src/engine.py\"]\n",
            );
        let (interface, _) = interface(&tree);
        let flags = interface.python.flags.iter().map(|f| f.flag.clone());
        flags.collect::<Vec<_>>()
    };
    let starts = "#!/bin/sh\nexec python3 -m sglang.launch_server --enable-mixed-chunk ";
    assert_eq!(
        read(&format!("{starts}\"$@\"\n")),
        ["--kv-cache-dtype", "--dtype", "--enable-mixed-chunk"]
    );
    assert_eq!(read(starts), ["--enable-mixed-chunk"]);
}

#[test]
fn a_table_of_flags_is_read_with_its_aliases_and_what_took_the_place_of_old_ones() {
    let flags = r#"{"version": "0.5.19", "environment_interface": true, "flags": {
 "--tp-size": {"kind": "value", "aliases": ["--tensor-parallel-size", "-tp"]},
 "--trust-remote-code": {"kind": "store_true"}},
 "retired": {"--file-storage-pth": {"kind": "value", "instead": ["--file-storage-path"]}, "--enable-mla": {"kind": "boolean", "instead": null}}}"#;
    let engine = "import json\nMORE = {'MODEL_NAME': '--model-path'}\ntable = json.load(open('sglang_flags.json'))\ndef go(env):\n    for name, value in env.items():\n        use(env[name])\nimport os\ngo(os.environ)\n";
    let tree = Memory::new()
        .with("engine.py", engine)
        .with("sglang_flags.json", flags);
    let (interface, unread) = interface(&tree);
    let drives: Vec<String> = interface
        .env
        .iter()
        .map(|read| format!("{}={}", read.name, read.drives.as_ref().unwrap().flag))
        .collect();
    assert_eq!(
        drives,
        [
            "FILE_STORAGE_PTH=--file-storage-path",
            "MODEL_NAME=--model-path",
            "TENSOR_PARALLEL_SIZE=--tp-size",
            "TP_SIZE=--tp-size",
            "TRUST_REMOTE_CODE=--trust-remote-code",
        ]
    );
    assert!(interface.env.iter().all(|read| read.by_table));
    assert!(unread.is_empty(), "{unread:?}");
    // A script that nothing runs takes no variable from the table.
    let dockerfile = "FROM x\nCOPY . /\nCMD [\"python\", \"/engine.py\"]\n";
    let beside = tree
        .with("Dockerfile", dockerfile)
        .with("old.sh", "echo ${TP_SIZE:-2}\n");
    let (beside, _) = super::tests::interface(&beside);
    let mut reads = beside.reads("TP_SIZE");
    assert!(reads.any(|read| read.reached && read.by_table));
    // A table that no code loads says nothing of the worker.
    let unused = Memory::new()
        .with("engine.py", "pass\n")
        .with("sglang_flags.json", flags);
    assert!(super::tests::interface(&unused).0.env.is_empty());
}

#[test]
fn the_pinned_release_is_in_the_base_image_or_the_requirements() {
    let of = |tree: Memory| interface(&tree).0.sglang().map(|(version, _)| version);
    let image = Memory::new().with("Dockerfile", "FROM lmsysorg/sglang:v0.5.2-cu126\n");
    assert_eq!(of(image).as_deref(), Some("0.5.2"));
    let pinned = Memory::new().with("requirements.txt", "sglang[all]==0.4.1.post7\n");
    assert_eq!(of(pinned).as_deref(), Some("0.4.1.post7"));
    assert_eq!(of(Memory::new()), None);
}

fn names(tree: &Memory) -> Vec<String> {
    let (interface, _) = interface(tree);
    interface.env.into_iter().map(|read| read.name).collect()
}

#[test]
fn scripts_are_followed_from_what_the_image_starts() {
    let tree = Memory::new()
        .with("Dockerfile", "FROM x\nWORKDIR /app\nCOPY . .\nRUN bash setup.sh && python3 get.py\nENTRYPOINT [\"/app/entry\"]\nCMD [\"serve\"]\n")
        .with("entry", "#!/bin/bash\nsource ./lib.sh\nexec supervisord -c /app/supervisord.conf \"$A\"\n")
        .with("lib.sh", "export X=${B:-1}\npip install foo==2\n")
        .with("setup.sh", "apt-get install -y curl\nwget https://x/$C\n")
        .with("unused.sh", "echo $D; pip install bar\n")
        .with("get.py", "pass\n")
        .with("supervisord.conf", "[program:a]\ncommand=python3 -m sglang.launch_server --port %(ENV_E)s\nenvironment=F=\"%(ENV_G)s\"\n");
    let (interface, unread) = interface(&tree);
    assert!(unread.is_empty(), "{unread:?}");
    let env: Vec<_> = interface
        .env
        .iter()
        .map(|read| read.name.as_str())
        .collect();
    assert_eq!(env, ["A", "B", "D", "E", "G"]);
    assert_eq!(interface.build_reads[0].0, "C");
    assert_eq!(interface.python.flags[0].from[0].0, "E");
    let packages: Vec<_> = interface
        .packages
        .iter()
        .map(|p| format!("{} {}", p.name, p.in_image))
        .collect();
    assert_eq!(packages, ["curl true", "foo true", "bar false"]);
    let steps: Vec<_> = interface
        .steps
        .iter()
        .map(|s| s.commands.join("; "))
        .collect();
    assert_eq!(steps, ["python3 get.py", "wget https://x/$C"]);
}

#[test]
fn a_run_line_is_one_step_with_what_was_not_understood() {
    let tree = Memory::new().with(
        "Dockerfile",
        "FROM x\nRUN apt-get update && ldconfig /c && pip install a && wget https://m -O /m && rm -rf /tmp/x\nRUN mkdir /x\nRUN echo a > /etc/b\n",
    );
    let steps: Vec<_> = interface(&tree)
        .0
        .steps
        .into_iter()
        .map(|s| (s.commands.join("; "), s.place.line))
        .collect();
    assert_eq!(
        steps,
        [
            ("ldconfig /c; wget https://m -O /m".into(), 2),
            ("echo a > /etc/b".into(), 4)
        ]
    );
}

#[test]
fn folders_count_where_the_image_takes_them_or_code_imports_them() {
    let tree = |dockerfile: &str, code: &str| {
        let tree = Memory::new()
            .with("handler.py", format!("import os\nos.getenv('H')\n{code}"))
            .with("build/a.py", "import os\nos.getenv('BUILD')\n")
            .with("tests/t.py", "import os\nos.getenv('TEST')\n");
        if dockerfile.is_empty() {
            tree
        } else {
            tree.with("Dockerfile", format!("FROM x\n{dockerfile}"))
        }
    };
    assert_eq!(names(&tree("COPY . .\n", "")), ["H"]);
    assert_eq!(
        names(&tree("COPY build /b\nCOPY handler.py /\n", "")),
        ["BUILD", "H"]
    );
    assert_eq!(
        names(&tree("COPY . .\n", "from build import a\n")),
        ["BUILD", "H"]
    );
    assert_eq!(names(&tree("", "")), ["BUILD", "H"]);
}

#[test]
fn a_flag_table_counts_where_code_opens_it_and_the_image_holds_it() {
    let declared = r#"{"version": "0.5.19", "environment_interface": true, "flags": {"--dtype": {"kind": "value"}}}"#;
    let only_listed = declared.replace("true", "false");
    let read_with = |flags: &str, dockerfile: &str, code: &str| {
        let tree = Memory::new()
            .with("handler.py", code)
            .with("sglang_flags.json", flags)
            .with("Dockerfile", format!("FROM x\n{dockerfile}"));
        !names(&tree).is_empty()
    };
    let opens = "import json\nt = json.load(open('sglang_flags.json'))\n";
    let read = |dockerfile: &str, code: &str| read_with(declared, dockerfile, code);
    assert!(!read_with(&only_listed, "COPY . .\n", opens));
    assert!(read("COPY . .\n", opens));
    assert!(!read("COPY handler.py /\n", opens));
    assert!(!read(
        "COPY . .\n",
        "# see \"sglang_flags.json\"\nx = 1 # 'sglang_flags.json'\n"
    ));
    let never = "import json\ndef f():\n    return json.load(open('sglang_flags.json'))\n";
    assert!(!read("COPY . .\n", never));
}

#[test]
fn reading_does_not_grow_beyond_the_text() {
    let mut random = testing::Random(0x1234_5678_9abc_def1);
    let words = [
        "A=$A$B",
        "A+=($A)",
        "B=\"$A $B\"",
        "echo $A ${B[@]}",
        "for x in $A; do",
        "done",
        "f() {",
        "}",
        "f $A",
        "bash -c \"$A\"",
        "if a; then",
        "fi",
        "<<E",
        "E",
        "$(",
        ")",
        "`",
        "case $A in",
        "esac",
        "\"$@\"",
    ];
    for _ in 0..60 {
        let text: String = (0..200)
            .map(|_| format!("{}\n", words[random.below(words.len())]))
            .collect();
        let script = shell::parse(&text);
        let size: usize = script
            .commands
            .iter()
            .flat_map(|c| &c.words)
            .map(|w| w.text.len())
            .sum();
        assert!(
            size <= 400 * (text.len() + 1024),
            "{size} of {}",
            text.len()
        );
        assert!(script.reads.len() <= 40 * text.len());
    }
}

#[test]
fn a_script_that_only_python_names_is_started() {
    let tree = |code: &str| {
        Memory::new()
            .with(
                "Dockerfile",
                "FROM x\nCOPY . .\nCMD [\"python3\", \"handler.py\"]\n",
            )
            .with("handler.py", code)
            .with("server.sh", "#!/bin/sh\nx $A\n")
    };
    let reached = |code: &str| {
        interface(&tree(code))
            .0
            .env
            .iter()
            .any(|read| read.reached && read.name == "A")
    };
    assert!(reached(
        "import subprocess\nsubprocess.Popen(['bash', './server.sh'])\n"
    ));
    assert!(!reached("# bash server.sh\n"));
}

#[test]
fn one_instruction_or_script_that_is_not_understood_hides_only_itself() {
    let tree = Memory::new()
        .with("Dockerfile", "FROM x\nENV A=1\nWHAT is this\nRUN pip install b && eval \"$C\"\nRUN pip install d\nCOPY s.sh ./\nENTRYPOINT []\nCMD [\"./s.sh\"]\n")
        .with("s.sh", "eval \"$E\"\npip install f\n");
    let (interface, unread) = interface(&tree);
    let places: Vec<_> = unread.iter().map(|gap| gap.place.to_string()).collect();
    assert_eq!(places, ["Dockerfile:3:1", "Dockerfile:4:22", "s.sh:1:1"]);
    let packages: Vec<_> = interface
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(packages, ["b", "d", "f"]);
    assert_eq!(interface.image.unwrap().env[0].name, "A");
}

type Shows = fn(&WorkerInterface) -> bool;

/// An occurrence as it stands in a Dockerfile, and where it shows.
const OCCURRENCES: [(&str, Shows); 12] = [
    ("ENV OCC=1", |w| {
        w.image
            .iter()
            .any(|i| i.env.iter().any(|e| e.name == "OCC"))
    }),
    ("ENV OTHER=2 \\\n  # why\n  OCC2=1", |w| {
        w.image
            .iter()
            .any(|i| i.env.iter().any(|e| e.name == "OCC2"))
    }),
    ("RUN pip --no-cache-dir install occ3", |w| {
        w.packages.iter().any(|p| p.name == "occ3")
    }),
    (
        "RUN apt-get update && \\\n\n  apt-get -y install occ4",
        |w| w.packages.iter().any(|p| p.name == "occ4"),
    ),
    (
        "RUN <<EOF\nset -e\npython -m pip -q install occ5\nEOF",
        |w| w.packages.iter().any(|p| p.name == "occ5"),
    ),
    ("RUN bash -c 'wget occ6'", |w| {
        w.steps.iter().any(|s| s.commands == ["wget occ6"])
    }),
    ("EXPOSE 4242/udp", |w| {
        w.image
            .iter()
            .any(|i| i.expose.iter().any(|p| p.text == "4242/udp"))
    }),
    ("COPY [\"occ 8\", \"/x\"]", |w| {
        w.image
            .iter()
            .any(|i| i.copies.iter().any(|c| c.sources == ["occ 8"]))
    }),
    ("RUN echo \"${OCC9:-1}\"", |w| {
        w.build_reads.iter().any(|(name, _)| name == "OCC9")
    }),
    ("HEALTHCHECK CMD curl $OCC10", |w| {
        w.env.iter().any(|e| e.name == "OCC10")
    }),
    ("LABEL occ11=\"a b\"", |w| {
        w.image
            .iter()
            .any(|i| i.labels.iter().any(|l| l.name == "occ11"))
    }),
    ("RUN --mount=type=secret,id=occ12 true", |w| {
        w.image
            .iter()
            .any(|i| i.mounts.iter().any(|m| m.name == "occ12"))
    }),
];

#[test]
fn every_occurrence_is_a_fact_in_any_order_and_company() {
    let mut random = testing::Random(0x0bad_cafe_1234_5678);
    for round in 0..60 {
        let mut left: Vec<usize> = (0..OCCURRENCES.len()).collect();
        let mut chosen = Vec::new();
        for _ in 0..=random.below(OCCURRENCES.len()) {
            chosen.push(left.swap_remove(random.below(left.len())));
        }
        let mut text = "# a comment\nFROM base\n".to_owned();
        for &index in &chosen {
            text += OCCURRENCES[index].0;
            text += ["\n", "\n\n", "\n# FROM nothing\n"][random.below(3)];
        }
        text = match round % 3 {
            0 => text.replace('\n', "\r\n"),
            1 => format!("\u{feff}{text}"),
            _ => text,
        };
        let (interface, unread) = interface(&Memory::new().with("Dockerfile", text.clone()));
        assert!(unread.is_empty(), "{unread:?}\n{text}");
        for (index, (written, is_there)) in OCCURRENCES.iter().enumerate() {
            assert_eq!(
                is_there(&interface),
                chosen.contains(&index),
                "{written} in\n{text}"
            );
        }
    }
}

#[test]
fn programs_inside_of_what_starts_are_read_or_said() {
    let tree = |cmd: &str| Memory::new().with("Dockerfile", format!("FROM x\n{cmd}\n"));
    let unread = |cmd: &str| interface(&tree(cmd)).1.len();
    assert_eq!(unread("CMD python3 -c \"import os; os.environ['A']\""), 1);
    assert_eq!(
        unread("CMD [\"python3\", \"-c\", \"import os; os.getenv('A')\"]"),
        1
    );
    assert_eq!(unread("CMD eval \"$A\""), 1);
    assert_eq!(unread("CMD python3 -c 'print(1)'"), 0);
    let script = "#!/bin/bash\npython3 - <<'PY'\nimport os\nos.getenv('A')\nPY\n";
    let tree = tree("COPY s.sh /\nCMD [\"/s.sh\"]").with("s.sh", script);
    let (interface, unread) = interface(&tree);
    assert!(unread.is_empty(), "{unread:?}");
    assert_eq!(
        (&*interface.env[0].name, interface.env[0].place.line),
        ("A", 4)
    );
}

#[test]
fn a_table_in_python_may_declare_the_variables() {
    let table = |rows: &str| {
        format!(
            "SETTINGS = (\n{rows})\nENVIRONMENT_INTERFACE = SETTINGS\n\ndef get(env):\n    return {{row.name: env.get(row.name) or row.default for row in SETTINGS}}\n"
        )
    };
    let tree = |rows: &str, engine: &str| {
        Memory::new()
            .with(
                "Dockerfile",
                "FROM x\nCOPY *.py /\nCMD [\"python\", \"/engine.py\"]\n",
            )
            .with("engine.py", engine)
            .with("settings.py", table(rows))
    };
    let rows = "    Setting(\"PORT_HEALTH\", \"0\", \"port\", int),\n    (\"NAME\", \"\"),\n    Setting(PREFIX + \"X\", \"1\"),\n";
    let (read, unread) = interface(&tree(rows, "import settings\n"));
    let env: Vec<_> = read
        .env
        .iter()
        .filter(|read| read.by_table)
        .map(|read| (read.name.as_str(), read.default.as_deref(), read.place.line))
        .collect();
    assert_eq!(env, [("NAME", Some(""), 3), ("PORT_HEALTH", Some("0"), 2)]);
    let not_plain = unread.iter().filter(|one| one.what.contains("plain text"));
    assert_eq!(not_plain.count(), 1);
    // What nothing imports declares nothing, and neither does a comment.
    assert!(
        interface(&tree(rows, "pass\n"))
            .0
            .env
            .iter()
            .all(|read| !read.by_table)
    );
    let odd = Memory::new().with(
        "engine.py",
        "# ENVIRONMENT_INTERFACE = X\nENVIRONMENT_INTERFACE = load()\n",
    );
    let (read, unread) = interface(&odd);
    assert!(read.env.is_empty());
    assert_eq!(unread.len(), 1, "{unread:?}");
}

#[test]
fn data_that_is_too_large_or_not_the_only_one_of_its_name_is_told() {
    let program = "import json, os\nBASE = os.path.dirname(__file__)\nfor name in json.load(open(os.path.join(BASE, 'sub', 'names.json'))):\n    os.getenv(name)\n";
    let names = "[\"A_ONE\"]";
    let large = format!("[\"A_ONE\"{}]", " ".repeat(python::LARGEST_DATA));
    for (here, there, is_read) in [
        (names, None, true),
        (large.as_str(), None, false),
        (names, Some(names), false),
    ] {
        let mut tree = Memory::new()
            .with("handler.py", program)
            .with("lib/sub/names.json", here);
        if let Some(there) = there {
            tree = tree.with("other/names.json", there);
        }
        let (interface, unread) = interface(&tree);
        assert_eq!(interface.env.len() == 1, is_read, "{unread:?}");
        assert_eq!(unread.is_empty(), is_read, "{unread:?}");
    }
}
