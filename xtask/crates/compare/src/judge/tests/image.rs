//! The image, its packages and the steps of its build.

use super::*;

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
    expect(&items, "apt:openssh-server", Verdict::Kept, false);
    assert!(
        of(&items, "apt:openssh-server")
            .why
            .contains("never had it")
    );
    expect(&items, "apt:curl", Verdict::Kept, false);
    assert!(of(&items, "apt:curl").why.contains("own image brings it"));
    expect(&items, "bake:old", Verdict::Missing, true);
    expect(&items, "bake:old.args.A", Verdict::Retired, false);
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
