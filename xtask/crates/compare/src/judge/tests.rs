//! Old and new facts, and the verdicts on them.

use super::super::tests::{compared, legacy, modern};
use super::*;
use xtask_core::tree::Memory;

fn of<'a>(items: &'a [Item], id: &str) -> &'a Item {
    items
        .iter()
        .find(|item| item.id == id)
        .unwrap_or_else(|| panic!("no {id}"))
}

#[track_caller]
fn expect(items: &[Item], id: &str, verdict: Verdict, open: bool) {
    let item = of(items, id);
    assert_eq!(
        (item.verdict, item.open),
        (verdict, open),
        "{id}: {}",
        item.why
    );
}

#[test]
fn every_verdict_stands_in_one_comparison() {
    let mut items = compared(&legacy(), &modern());
    items[0].verdict = Verdict::Accepted;
    for verdict in Verdict::ALL {
        assert!(
            items.iter().any(|item| item.verdict == verdict),
            "{verdict:?}"
        );
    }
}

#[test]
fn variables_are_renamed_by_the_role_they_play() {
    let items = compared(&legacy(), &modern());
    for (old, new) in [
        ("MODEL_NAME", "MODEL_PATH"),
        ("FILE_STORAGE_PTH", "FILE_STORAGE_PATH"),
        ("DISABLE_DISK_CACHE", "DISABLE_OUTLINES_DISK_CACHE"),
    ] {
        let id = format!("env:{old}");
        expect(&items, &id, Verdict::Renamed, true);
        assert_eq!(of(&items, &id).now, Some(format!("env:{new}")));
        assert!(of(&items, &id).help.contains(old));
    }
}

#[test]
fn a_flag_that_sglang_dropped_is_retired_and_names_what_to_set() {
    let items = compared(&legacy(), &modern());
    expect(&items, "env:MAX_NUM_REQS", Verdict::Retired, false);
    assert!(
        of(&items, "env:MAX_NUM_REQS")
            .why
            .contains("--max-running-requests comes nearest")
    );
    expect(&items, "env:DISABLE_FLASHINFER", Verdict::Retired, false);
    assert_eq!(
        of(&items, "env:DISABLE_FLASHINFER").help,
        "Set ATTENTION_BACKEND=triton instead."
    );
    // One that SGLang still takes is missing.
    expect(&items, "env:RANDOM_SEED", Verdict::Missing, true);
    assert!(of(&items, "env:RANDOM_SEED").why.contains("still takes"));
    // The flags go with their variables.
    assert_eq!(
        of(&items, "flag:--random-seed").part_of.as_deref(),
        Some("env:RANDOM_SEED")
    );
}

#[test]
fn an_old_name_that_still_works_is_kept() {
    let engine = |options: &str| {
        Memory::new()
            .with("Dockerfile", "FROM lmsysorg/sglang:v0.5.19-cu129\n")
            .with("engine.py", format!("import os\ncommand = ['-m', 'sglang.launch_server']\nfor name, flag in {options}.items():\n    if os.getenv(name):\n        command.extend([flag, os.getenv(name)])\n"))
    };
    let items = compared(
        &engine(
            "{'FILE_STORAGE_PTH': '--file-storage-pth', 'TENSOR_PARALLEL_SIZE': '--tensor-parallel-size'}",
        ),
        &engine(
            "{'FILE_STORAGE_PTH': '--file-storage-path', 'FILE_STORAGE_PATH': '--file-storage-path', 'TENSOR_PARALLEL_SIZE': '--tp-size'}",
        ),
    );
    expect(&items, "env:FILE_STORAGE_PTH", Verdict::Kept, false);
    expect(&items, "env:TENSOR_PARALLEL_SIZE", Verdict::Kept, false);
    // Passing a flag that the pinned release lacks ends its server.
    let items = compared(
        &engine("{'ENABLE_X': '--enable-mla'}"),
        &engine("{'ENABLE_X': '--enable-mla'}"),
    );
    expect(&items, "env:ENABLE_X", Verdict::Retired, true);
    assert!(of(&items, "env:ENABLE_X").why.contains("exit code 2"));
}

#[test]
fn defaults_and_words_that_switch_on_are_compared() {
    let items = compared(&legacy(), &modern());
    expect(&items, "env:MAX_CONCURRENCY", Verdict::Changed, true);
    assert!(
        of(&items, "env:MAX_CONCURRENCY")
            .why
            .contains("default was `300`, is `50`")
    );
    expect(&items, "env:TRUST_REMOTE_CODE", Verdict::Changed, true);
    assert!(
        of(&items, "env:TRUST_REMOTE_CODE")
            .why
            .contains("yes no longer switches it on")
    );
}

#[test]
fn routes_input_settings_and_the_api() {
    let items = compared(&legacy(), &modern());
    expect(&items, "route:/generate", Verdict::Kept, false);
    expect(&items, "route:/v1/chat/completions", Verdict::Added, false);
    expect(&items, "input:messages", Verdict::Added, false);
    expect(&items, "input:openai_route", Verdict::Kept, false);
    expect(
        &items,
        "serverless:return_aggregate_stream",
        Verdict::Missing,
        true,
    );
    expect(&items, "python:Engine.shutdown", Verdict::Missing, true);
    expect(&items, "python:Engine.__init__", Verdict::Changed, true);
    assert!(
        of(&items, "python:Engine.__init__")
            .why
            .contains("os.getenv(\"HOST\"")
    );
    expect(&items, "python:handler", Verdict::Kept, false);
}

#[test]
fn image_and_packages() {
    let items = compared(&legacy(), &modern());
    expect(&items, "image:FROM", Verdict::Changed, true);
    expect(&items, "image:cuda", Verdict::Changed, true);
    expect(&items, "image:PYTHONPATH", Verdict::Missing, true);
    expect(&items, "image:HF_HOME", Verdict::Changed, true);
    expect(&items, "image:MODEL_NAME", Verdict::Renamed, false);
    expect(&items, "arg:MODEL_NAME", Verdict::Renamed, false);
    expect(&items, "image:CMD", Verdict::Kept, false);
    expect(&items, "copy:handler.py", Verdict::Kept, false);
    expect(&items, "mount:secret.HF_TOKEN", Verdict::Missing, true);
    expect(&items, "mount:cache", Verdict::Missing, true);
    expect(&items, "pip:runpod", Verdict::Changed, true);
    expect(&items, "pip:ray", Verdict::Missing, true);
    expect(&items, "pip:hf-transfer", Verdict::Changed, true);
    assert!(
        of(&items, "pip:hf-transfer")
            .why
            .contains("own image brings it")
    );
    expect(&items, "apt:openssh-server", Verdict::Missing, true);
    assert!(of(&items, "apt:openssh-server").why.contains("never ran"));
    expect(&items, "apt:curl", Verdict::Missing, true);
    expect(&items, "bake:old", Verdict::Missing, true);
    expect(&items, "bake:old.args.A", Verdict::Missing, true);
}

#[test]
fn a_folder_of_many_files_is_one_fact_and_names_what_is_lost() {
    let with = |files: std::ops::Range<usize>| {
        let worker = Memory::new().with("Dockerfile", "FROM a:1\nCOPY src .\n");
        files.fold(worker, |worker, number| {
            worker.with(&format!("src/data/{number:02}.txt"), "x")
        })
    };
    let old = with(0..60);
    let same = compared(&old, &with(0..60));
    expect(&same, "copy:data/", Verdict::Kept, false);
    // More of them, or so few that each is a fact of its own.
    let more = with(0..70);
    expect(&compared(&old, &more), "copy:data/", Verdict::Kept, false);
    let fewer = compared(&old, &with(0..20));
    expect(&fewer, "copy:data/", Verdict::Missing, true);
    assert!(
        of(&fewer, "copy:data/")
            .why
            .contains("40 of these 60 files: data/20.txt, data/21.txt"),
        "{}",
        of(&fewer, "copy:data/").why
    );
    assert!(fewer.iter().all(|item| item.id != "copy:data/00.txt"));
    let grown = compared(&with(0..20), &old);
    expect(&grown, "copy:data/00.txt", Verdict::Kept, false);
    expect(&grown, "copy:data/", Verdict::Added, false);
}

#[test]
fn the_hubs_form_against_the_old_one() {
    let items = compared(&legacy(), &modern());
    expect(&items, "hub:MAX_CONCURRENCY", Verdict::Missing, true);
    expect(&items, "hub:NNODES", Verdict::Missing, true);
    assert!(of(&items, "hub:NNODES").why.contains("never read it"));
    expect(&items, "hub:HF_TOKEN", Verdict::Missing, true);
    expect(&items, "hub:FILE_STORAGE_PTH", Verdict::Renamed, false);
    expect(&items, "hub:RANDOM_SEED", Verdict::Changed, true);
    expect(&items, "hub:RANDOM_SEED.default", Verdict::Changed, true);
    expect(&items, "hub:TRUST_REMOTE_CODE", Verdict::Kept, false);
    expect(
        &items,
        "hub:TRUST_REMOTE_CODE.default",
        Verdict::Kept,
        false,
    );
    expect(&items, "hub:REASONING_PARSER.options", Verdict::Added, true);
    assert!(
        of(&items, "hub:REASONING_PARSER.options")
            .why
            .contains("llama4")
    );
    assert!(
        !of(&items, "hub:REASONING_PARSER.options")
            .why
            .contains("mistral")
    );
    expect(&items, "hub:category.C", Verdict::Retired, false);
    expect(&items, "hub:imageName", Verdict::Retired, false);
    expect(&items, "hub:cuda", Verdict::Changed, true);
    assert!(of(&items, "hub:cuda").why.contains("the image needs 12.9"));
    expect(&items, "tests:MODEL_NAME", Verdict::Added, true);
    expect(&items, "readme:RANDOM_SEED", Verdict::Missing, false);
    expect(&items, "readme:MAX_NUM_REQS", Verdict::Retired, false);
}

#[test]
fn an_unknown_release_is_judged_by_the_nearest_and_says_so() {
    let on = |base: &str| legacy().with("Dockerfile", format!("FROM {base}\n"));
    let new = modern().with("Dockerfile", "FROM lmsysorg/sglang:v0.5.20\n");
    let items = compared(&on("x"), &new);
    assert!(
        of(&items, "env:MAX_NUM_REQS")
            .why
            .contains("the nearest known")
    );
}

#[test]
fn a_step_of_the_build_may_move_but_not_go() {
    let worker = |run: &str| Memory::new().with("Dockerfile", format!("FROM x\n{run}"));
    let one = worker("RUN ldconfig /c && wget https://m\nRUN ldconfig /c && git clone https://g\n");
    let two = worker("RUN ldconfig /c\nRUN git clone https://g\nRUN wget https://m\n");
    assert!(compared(&one, &two).iter().all(|item| !item.open));
    assert!(compared(&two, &one).iter().all(|item| !item.open));
    let items = compared(&one, &worker("RUN ldconfig /c && wget https://m\n"));
    expect(&items, "step:ldconfig /c", Verdict::Missing, true);
    assert!(
        of(&items, "step:ldconfig /c")
            .why
            .contains("git clone https://g")
    );
}

#[test]
fn a_package_that_only_a_script_installs_now_which_nothing_runs_is_missing() {
    let worker = |run: &str| {
        Memory::new()
            .with(
                "Dockerfile",
                format!("FROM x\nCOPY . .\n{run}CMD [\"a\"]\n"),
            )
            .with("setup.sh", "apt-get install -y curl\n")
    };
    let (runs, never) = (worker("RUN bash setup.sh\n"), worker(""));
    expect(&compared(&runs, &never), "apt:curl", Verdict::Missing, true);
    expect(&compared(&never, &runs), "apt:curl", Verdict::Kept, false);
    let index = |url: &str| worker(&format!("RUN pip install torch{url}\n"));
    let items = compared(&index(" --index-url https://i"), &index(""));
    expect(&items, "pip:torch", Verdict::Changed, true);
}
