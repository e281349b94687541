//! Whole workers, and the surface that is read from them.

use super::*;
use xtask_core::tree::Memory;

#[test]
fn variables_come_from_scripts_and_commands_too() {
    let tree = Memory::new()
        .with("start.sh", "#!/bin/sh\nLOCAL=1\nexec python3 -m sglang.launch_server --port \"$PORT\" --host=${HOST:-0.0.0.0} --trust-remote-code $LOCAL\n")
        .with("Dockerfile", "FROM x\nARG A=1\nENV B=2\nRUN echo $A ${B} $C\nCMD python3 handler.py --x $MODE\n")
        .with("docker-compose.yml", "services:\n  w:\n    environment: {D: 4}\n    env_file: [more.env]\n")
        .with("more.env", "E=5\n");
    let surface = WorkerInterface::read(&tree).unwrap();
    let names: Vec<&str> = surface.env.iter().map(|read| read.name.as_str()).collect();
    assert_eq!(names, ["HOST", "MODE", "PORT"]);
    let host = surface.reads("HOST").next().unwrap();
    assert_eq!(host.default.as_deref(), Some("0.0.0.0"));
    assert_eq!(host.drives.as_ref().unwrap().flag, "--host");
    assert_eq!(
        (host.place.line, &*host.place.file.to_string()),
        (3, "start.sh")
    );
    let flags: Vec<&str> = surface
        .python
        .flags
        .iter()
        .map(|f| f.flag.as_str())
        .collect();
    assert_eq!(flags, ["--port", "--host", "--trust-remote-code"]);
    let build: Vec<&str> = surface
        .build_reads
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(build, ["A", "B", "C"]);
    let compose: Vec<&str> = surface.compose[0]
        .environment
        .iter()
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(compose, ["D", "E"]);
}

#[test]
fn a_table_of_flags_is_read_with_its_aliases_and_what_took_the_place_of_old_ones() {
    let flags = r#"{"version": "0.5.19", "flags": {
 "--tp-size": {"kind": "value", "aliases": ["--tensor-parallel-size", "-tp"]},
 "--trust-remote-code": {"kind": "store_true"}},
 "retired": {"--file-storage-pth": {"kind": "value", "instead": ["--file-storage-path"]}, "--enable-mla": {"kind": "boolean", "instead": null}}}"#;
    let engine = "import json, os\nMORE = {'MODEL_NAME': '--model-path'}\ntable = json.load(open('sglang_flags.json'))\ndef go(env):\n    for name, value in env.items():\n        use(env[name])\ngo(os.environ)\n";
    let tree = Memory::new()
        .with("engine.py", engine)
        .with("sglang_flags.json", flags);
    let surface = WorkerInterface::read(&tree).unwrap();
    let drives: Vec<String> = surface
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
    assert!(surface.env.iter().all(|read| read.by_table));
    assert!(
        surface
            .unread
            .iter()
            .any(|gap| gap.what.contains("counts as read")),
        "{:?}",
        surface.unread
    );
    // A table that no code loads says nothing of the worker.
    let unused = Memory::new()
        .with("engine.py", "pass\n")
        .with("sglang_flags.json", flags);
    assert!(WorkerInterface::read(&unused).unwrap().env.is_empty());
}

#[test]
fn packages_tell_whether_the_image_gets_them() {
    let tree = Memory::new()
        .with("Dockerfile", "FROM x\nCOPY builder/requirements.txt /r/requirements.txt\nRUN pip install -r /r/requirements.txt \\\n && apt-get install -y curl=7.1\nRUN pip install $NAME\n")
        .with("builder/requirements.txt", "ray\n")
        .with("builder/setup.sh", "apt-get install -y openssh-server\n");
    let surface = WorkerInterface::read(&tree).unwrap();
    let packages: Vec<String> = surface
        .packages
        .iter()
        .map(|p| format!("{}{} {} {}", p.name, p.spec, p.in_image, p.place.line))
        .collect();
    assert_eq!(
        packages,
        ["ray true 1", "openssh-server false 1", "curl=7.1 true 4"]
    );
    assert!(
        surface
            .unread
            .iter()
            .any(|gap| gap.what.contains("package is computed"))
    );
}

#[test]
fn the_pinned_release_is_in_the_base_image_or_the_requirements() {
    let of = |tree: Memory| {
        WorkerInterface::read(&tree)
            .unwrap()
            .sglang()
            .map(|(version, _)| version)
    };
    let image = Memory::new().with("Dockerfile", "FROM lmsysorg/sglang:v0.5.2-cu126\n");
    assert_eq!(of(image).as_deref(), Some("0.5.2"));
    let pinned = Memory::new().with("requirements.txt", "sglang[all]==0.4.1.post7\n");
    assert_eq!(of(pinned).as_deref(), Some("0.4.1.post7"));
    assert_eq!(of(Memory::new()), None);
}
