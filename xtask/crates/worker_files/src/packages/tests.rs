//! Packages: what installs them, and the files that list them.

use super::*;
use crate::shell;

fn install(text: &str) -> Vec<String> {
    let script = shell::parse(text);
    let mut found = Vec::new();
    for install in script.commands.iter().filter_map(installed) {
        let manager = install.manager.word();
        for (wanted, _) in install.wanted {
            let text = match wanted {
                Wanted::Package(name, spec) => format!("{name}{spec}"),
                // Told as options, and by the tests of whole workers.
                Wanted::Listed(Listing::Constraints, _) => continue,
                Wanted::Listed(Listing::Project, path) => format!("project {path}"),
                Wanted::Listed(listing, path) => format!("{}{path}", listing.word()),
                Wanted::Computed(text) => format!("? {text}"),
            };
            let index = install
                .index
                .as_ref()
                .map(|i| format!(" [{i}]"))
                .unwrap_or_default();
            found.push(format!("{manager}:{text}{index}"));
        }
    }
    found
}

#[test]
fn installs_are_found_by_meaning() {
    for (text, wanted) in [
        ("pip --no-cache-dir install a", "pip:a"),
        ("python -m pip -q install a>=1 2>&1", "pip:a"),
        (
            "python3.11 -m pip --disable-pip-version-check install 'a>=1'",
            "pip:a>=1",
        ),
        ("sudo -E env A=1 pip3 install a", "pip:a"),
        ("/opt/venv/bin/pip install -U pip setuptools a", "pip:a"),
        ("bash -lc \"pip install a\"", "pip:a"),
        ("x=$(pip install a)", "pip:a"),
        ("uv pip install --system -p 3.11 a[b]==1", "pip:a[b]==1"),
        ("uv pip sync requirements.lock", "pip:-r requirements.lock"),
        ("uv sync --frozen", "pip:project ."),
        ("poetry install --no-root", "pip:project ."),
        ("pipenv install --system --deploy", "pip:project ."),
        ("pipenv install a", "pip:a"),
        ("python3 setup.py install", "pip:project ."),
        ("poetry add a@^1", "pip:a@^1"),
        (
            "pip install -r a.txt -rb.txt --requirement=c.txt",
            "pip:-r a.txt pip:-r b.txt pip:-r c.txt",
        ),
        ("pip install .", "pip:project ."),
        (
            "pip install -e './lib[x]' ../y/",
            "pip:project ./lib[x] pip:project ../y/",
        ),
        (
            "pip install git+https://h/o/G7.git@v1",
            "pip:g7@git+https://h/o/G7.git@v1",
        ),
        (
            "pip install https://h/a_b-1.2-py3-none-any.whl",
            "pip:a-b@https://h/a_b-1.2-py3-none-any.whl",
        ),
        (
            "pip install ./w/a_b-1.2-py3-none-any.whl",
            "pip:a-b@./w/a_b-1.2-py3-none-any.whl",
        ),
        ("pip install --target /x --no-deps a", "pip:a"),
        (
            "pip install a -i https://x --extra-index-url=https://y -c c.txt",
            "pip:a [--index-url https://x --extra-index-url https://y -c c.txt]",
        ),
        ("pip install $NAME", "pip:? $NAME"),
        ("pip install $(cat r.txt)", "pip:-r r.txt"),
        ("apt-get -y -qq install a=1 b- -o D::P=0 c", "apt:a=1 apt:c"),
        (
            "apt install --yes $(grep -v '#' p.txt)",
            "apt:the names in p.txt",
        ),
        (
            "cat p.txt | xargs apt-get install -y",
            "apt:the names in p.txt",
        ),
        ("apk add --no-cache --virtual .b a", "apk:a"),
        (
            "conda install -y -c conda-forge a=1.2",
            "conda:a=1.2 [-c conda-forge]",
        ),
        ("mamba env create -f env.yml", "conda:-f env.yml"),
        ("micromamba create -n x f::a", "conda:a"),
        ("for p in a b; do pip install $p; done", "pip:a pip:b"),
        ("P=\"a b\"; apt-get install -y $P", "apt:a apt:b"),
        (
            "pip uninstall a; pip download b; echo pip install c; apt-get update; conda clean -a",
            "",
        ),
    ] {
        assert_eq!(install(text).join(" "), wanted, "{text}");
    }
}

fn source(name: &str, text: &str) -> Source {
    Source::new(name.into(), text.as_bytes())
}

#[test]
fn a_requirements_file_is_read() {
    let text = "ray\nrunpod~=1.7.0\r\nTyping_Extensions == 4.7.1 # why\n# no\n\nsglang[all]>=0.4 ; python_version > '3'\n-r more.txt\n-i https://x\nhttps://x/y-1-py3-none-any.whl\npkg @ git+https://x\nlast \\\n  --hash=sha256:1\n./local\n-e git+https://h/o/e.git\n${X}\n";
    let file = source("requirements.txt", text);
    let (found, unread) = requirements(&file).split();
    let name = |(wanted, _): &(Wanted, _)| match wanted {
        Wanted::Package(name, spec) => Some(format!("{name}{spec}")),
        _ => None,
    };
    let names: Vec<_> = found.wanted.iter().filter_map(name).collect();
    assert_eq!(
        names,
        [
            "ray",
            "runpod~=1.7.0",
            "typing-extensions==4.7.1",
            "sglang[all]>=0.4;python_version>'3'",
            "y@https://x/y-1-py3-none-any.whl",
            "pkg@git+https://x",
            "last",
            "e@git+https://h/o/e.git",
        ]
    );
    let listed = |(wanted, range): &(Wanted, Range<usize>)| match wanted {
        Wanted::Listed(_, path) => Some((path.clone(), file.place(range.clone()).line)),
        _ => None,
    };
    let includes: Vec<_> = found.wanted.iter().filter_map(listed).collect();
    assert_eq!(
        includes,
        [("more.txt", 7), ("./local", 13)].map(|(path, line)| (path.to_owned(), line))
    );
    assert_eq!(found.index.as_deref(), Some("--index-url https://x"));
    assert_eq!(
        unread.iter().map(|u| u.place.line).collect::<Vec<_>>(),
        [15]
    );
}

#[test]
fn project_files_are_read() {
    let of = |files: &[(&str, &str)]| {
        let sources: Vec<Source> = files
            .iter()
            .map(|(name, text)| source(name, text))
            .collect();
        let all = Chosen::of("--all-extras --all-groups", "").0;
        let (found, unread) = project(&sources.iter().collect::<Vec<_>>(), &all).split();
        let names = found
            .iter()
            .map(|r| format!("{}{}", r.name, r.spec))
            .collect::<Vec<_>>();
        (names.join(" "), unread.len())
    };
    let uv = "[project]\ndependencies = [\"foo>=1\", 'bar']\n[project.optional-dependencies]\ngpu = [\"baz\"]\n";
    let lock = "[[package]]\nname = \"foo\"\nversion = \"1.2\"\n[[package]]\nname = \"deep\"\nversion = \"3\"\n";
    assert_eq!(
        of(&[("pyproject.toml", uv), ("uv.lock", lock)]),
        ("foo==1.2 bar baz uv.lock's other packagesdeep==3".into(), 0)
    );
    assert_eq!(of(&[("uv.lock", lock)]), ("foo==1.2 deep==3".into(), 0));
    let poetry = "[tool.poetry.dependencies]\npython = \"^3.10\"\nfoo = \"^1\"\nbar = { git = \"https://x\" }\n";
    assert_eq!(
        of(&[("pyproject.toml", poetry)]),
        ("foo^1 bar{ git = \"https://x\" }".into(), 0)
    );
    assert_eq!(
        of(&[(
            "pyproject.toml",
            "[project]\ndynamic = [\"dependencies\"]\n"
        )])
        .1,
        1
    );
    let pipfile = "[[source]]\nurl = \"https://index.example/simple\"\n[packages]\nfoo = \"*\"\n[dev-packages]\nno = \"*\"\n";
    assert_eq!(
        of(&[("Pipfile", pipfile)]),
        ("--index https://index.example/simple foo".into(), 0)
    );
    let lock = "{\"default\": {\"foo\": {\"version\": \"==1.2\"}}, \"develop\": {}}";
    assert_eq!(
        of(&[("Pipfile", pipfile), ("Pipfile.lock", lock)]),
        ("--index https://index.example/simple foo==1.2".into(), 0)
    );
    let tables = "[tool.poetry.dependencies.foo]\nversion = \"^1\"\nextras = ['a']\n[tool.poetry.group.x.dependencies]\nbar = [{ version = '1' }, { version = '2' }]\n[[tool.poetry.source]]\nurl = 'https://x'\n";
    assert_eq!(
        of(&[("pyproject.toml", tables)]),
        (
            "foo{ version = \"^1\", extras = ['a'] } bar[{ version = '1' }, { version = '2' }] --index https://x".into(),
            0
        )
    );
    let sources =
        "project.dependencies = ['foo']\n[tool.uv.sources]\nfoo.git = 'https://x'\nbroken\n";
    assert_eq!(
        of(&[("pyproject.toml", sources)]),
        ("foo@{git=\"https://x\"}".into(), 1)
    );
    for setup in [
        "needs = ['foo']\nsetup(install_requires=needs)\n",
        "setup(**{'install_requires': ('foo',)})\n",
    ] {
        assert_eq!(of(&[("setup.py", setup)]), ("foo".into(), 0));
    }
    let setup = "setup(name='w', install_requires=['foo==1', # x\n  \"bar\", *more])\n";
    assert_eq!(of(&[("setup.py", setup)]), ("foo==1 bar".into(), 1));
    assert_eq!(of(&[("setup.py", "setup(install_requires=read())")]).1, 1);
    assert_eq!(
        of(&[(
            "setup.cfg",
            "[options]\ninstall_requires =\n  foo>1\n  bar\nx = y\n  z\n"
        )]),
        (String::new(), 1)
    );
    let text = "dependencies:\n- numpy=1\n- pip:\n  - bar==1\n";
    let (found, unread) = environment(&source("environment.yml", text)).split();
    let names: Vec<_> = found
        .iter()
        .map(|(m, r)| format!("{}:{}{}", m.word(), r.name, r.spec))
        .collect();
    assert_eq!(names, ["conda:numpy=1", "pip:bar==1"]);
    assert!(unread.is_empty());
}
