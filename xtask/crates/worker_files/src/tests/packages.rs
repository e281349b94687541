//! The Dockerfile that counts, and the packages of a whole worker.

use super::*;

#[test]
fn packages_tell_whether_the_image_gets_them() {
    let tree = Memory::new()
        .with("Dockerfile", "FROM x\nCOPY builder/requirements.txt /r/requirements.txt\nRUN pip install -r /r/requirements.txt \\\n && apt-get install -y curl=7.1\nRUN pip install $NAME\n")
        .with("builder/requirements.txt", "ray\n")
        .with("builder/setup.sh", "apt-get install -y openssh-server\n");
    let (interface, unread) = interface(&tree);
    let packages: Vec<String> = interface
        .packages
        .iter()
        .map(|p| format!("{}{} {} {}", p.name, p.spec, p.in_image, p.place.line))
        .collect();
    assert_eq!(
        packages,
        ["ray true 1", "curl=7.1 true 4", "openssh-server false 1"]
    );
    assert!(
        unread
            .iter()
            .any(|gap| gap.what.contains("package is computed"))
    );
}

#[test]
fn the_dockerfile_in_runpod_comes_first_and_the_others_are_said_to_be_not_read() {
    let of = |files: &[&str]| {
        let tree = files.iter().fold(Memory::new(), |tree, file| {
            tree.with(
                file,
                format!("FROM {}\n", file.replace(['/', '.'], "-").to_lowercase()),
            )
        });
        let tree = tree
            .with(
                "docker-compose.yml",
                "services:\n  w:\n    build: {context: sub, dockerfile: D.gpu}\n",
            )
            .with(
                ".github/workflows/x.yml",
                "run: docker build -f ./ci/Dockerfile .\n",
            );
        let (interface, unread) = interface(&tree);
        let others: Vec<String> = unread
            .iter()
            .map(|gap| gap.place.file.to_string())
            .collect();
        (
            interface
                .dockerfile
                .map(|path| path.to_string())
                .unwrap_or_default(),
            others.join(" "),
        )
    };
    let all = [
        "Dockerfile",
        ".runpod/Dockerfile",
        "sub/D.gpu",
        "ci/Dockerfile",
        "docker/Dockerfile",
        "Dockerfile.gpu",
    ];
    assert_eq!(of(&all).0, ".runpod/Dockerfile");
    assert_eq!(
        of(&all).1,
        "Dockerfile Dockerfile.gpu ci/Dockerfile docker/Dockerfile sub/D.gpu"
    );
    assert_eq!(
        of(&["Dockerfile", "tests/Dockerfile"]),
        ("Dockerfile".into(), String::new())
    );
    assert_eq!(of(&all[2..]).0, "sub/D.gpu");
    assert_eq!(of(&all[3..]).0, "ci/Dockerfile");
    assert_eq!(of(&all[4..]).0, "docker/Dockerfile");
    assert_eq!(of(&all[5..]).0, "Dockerfile.gpu");
}

#[test]
fn packages_are_found_in_every_file_that_an_install_names() {
    let of = |dockerfile: &str| {
        let tree = Memory::new()
            .with(
                "Dockerfile",
                format!("FROM x\nWORKDIR /app\nCOPY . .\n{dockerfile}"),
            )
            .with("deps/base.in", "-r more.txt\nfoo\n")
            .with("deps/more.txt", "bar\n")
            .with("list.txt", "curl git=1 # no\n")
            .with("pyproject.toml", "[project]\ndependencies = [\"proj\"]\n")
            .with("conda.yml", "dependencies: [numpy=1, {pip: [deep]}]\n");
        let packages = interface(&tree).0.packages.into_iter();
        let packages = packages.filter(|package| package.in_image);
        packages
            .map(|p| format!("{}:{}", p.manager.word(), p.name))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        of("RUN pip install -r /app/deps/base.in\n"),
        "pip:foo pip:bar"
    );
    assert_eq!(
        of("RUN cd deps && pip install -r base.in\n"),
        "pip:foo pip:bar"
    );
    assert_eq!(
        of("RUN xargs -a list.txt apt-get install -y\n"),
        "apt:curl apt:git"
    );
    assert_eq!(of("RUN pip install .\n"), "pip:proj pip:.");
    assert_eq!(
        of("RUN conda env create -f conda.yml\n"),
        "conda:numpy pip:deep"
    );
    assert_eq!(
        of("RUN pip install -r /elsewhere/x.txt\n"),
        "pip:-r /elsewhere/x.txt"
    );
    assert_eq!(
        of("RUN --mount=type=bind,source=deps,target=/d pip install -r /d/more.txt\n"),
        "pip:bar"
    );
    assert_eq!(of("FROM x\nRUN pip install a\n"), "pip:a");
}

#[test]
fn constraints_are_packages_of_their_own_kind_however_they_are_given() {
    for dockerfile in [
        "RUN pip install foo -c limits.txt",
        "RUN pip install --constraint=limits.txt foo",
        "RUN uv pip install --system --constraint limits.txt foo",
        "RUN PIP_CONSTRAINT=limits.txt pip install foo",
        "RUN export PIP_CONSTRAINT='limits.txt' && pip install foo",
        "RUN bash -c \"UV_CONSTRAINT=limits.txt uv pip install foo\"",
        "ENV PIP_CONSTRAINT=/limits.txt\nRUN pip install foo",
        "ARG UV_CONSTRAINT=limits.txt\nRUN uv pip install foo",
        "RUN pip install -r needs.txt",
    ] {
        let tree = Memory::new()
            .with("limits.txt", "bar==1.5\n-c more.txt\n")
            .with("more.txt", "baz<2\n")
            .with("needs.txt", "-c limits.txt\nfoo\n")
            .with(
                "Dockerfile",
                format!("FROM x\nCOPY *.txt /\n{dockerfile}\n"),
            );
        let (interface, unread) = interface(&tree);
        assert_eq!(unread, [], "{dockerfile}");
        let found: BTreeSet<String> = interface
            .packages
            .iter()
            .map(|package| {
                let manager = package.manager.word();
                format!("{manager}:{}{}", package.name, package.spec)
            })
            .collect();
        let wanted = ["constraint:bar==1.5", "constraint:baz<2", "pip:foo"];
        assert_eq!(Vec::from_iter(&found), wanted, "{dockerfile}");
    }
    let tree = Memory::new().with(
        "Dockerfile",
        "FROM x\nRUN pip install -c https://x/limits.txt foo\n",
    );
    let (interface, _) = interface(&tree);
    let names: Vec<&str> = interface.packages.iter().map(|p| &*p.name).collect();
    assert_eq!(names, ["-c https://x/limits.txt", "foo"]);
}

#[test]
fn what_dockerignore_leaves_out_is_not_in_the_image() {
    let tree = |ignore: &str| {
        Memory::new()
            .with(
                "Dockerfile",
                "FROM x\nCOPY . /app\nWORKDIR /app\nCMD [\"bash\", \"start.sh\"]\n",
            )
            .with(
                "start.sh",
                "exec python3 -m sglang.launch_server --port $A\n",
            )
            .with(".dockerignore", ignore)
    };
    let read = |ignore: &str| {
        let (interface, _) = interface(&tree(ignore));
        (interface.env[0].reached, interface.python.launches)
    };
    assert_eq!(read("docs\n"), (true, true));
    assert_eq!(read("*.sh\n"), (false, false));
}
