//! Silence means read: whatever is written, and wherever it stands, it is a fact or unread.

use crate::python::tests::{Read, facts};

/// Ways to mention a variable, the job's input or the server; `@` is a name that is nowhere else.
/// Lines before `---` stand at the top of the file.
const ENVIRONMENT: &[&str] = &[
    "os.getenv('@')",
    "os.environ['@']",
    "os.environ.get('@', 'x')",
    "os.environ.pop('@', None)",
    "os.environ.setdefault('@', '1')",
    "os.environ.__getitem__('@')",
    "'@' in os.environ",
    "from os import environ\n---\nenviron['@']",
    "from os import environ as surroundings\n---\nsurroundings.get('@')",
    "from os import getenv as ask\n---\nask('@')",
    "from os import *\n---\ngetenv('@')",
    "import os as system\n---\nsystem.environ['@']",
    "import os.path\n---\nos.getenv('@')",
    "get = os.environ.get\n---\nget('@')",
    "E = os.environ\n---\nE['@']",
    "E = dict(os.environ)\n---\nE['@']",
    "E = os.environ.copy()\n---\nE.get('@')",
    "E = {**os.environ}\n---\nE['@']",
    "E = os.environ | {'B': '1'}\n---\nE['@']",
    "E = {k.lower(): v for k, v in os.environ.items()}\n---\nE['@']",
    "import functools\nask = functools.partial(os.getenv, default='1')\n---\nask('@')",
    "ask = lambda name: os.getenv(name)\n---\nask('@')",
    "def ask(name, d=None):\n    return os.getenv(name, d)\n---\nask('@')",
    "def ask(*names):\n    for name in names:\n        if name in os.environ:\n            return os.environ[name]\n---\nask('OTHER', '@')",
    "def ask(env, name):\n    return env[name]\n---\nask(os.environ, '@')",
    "class Env:\n    def __getattr__(self, name):\n        return os.environ[name]\nE = Env()\n---\nE.@",
    "class Env:\n    def __getitem__(self, name):\n        return os.environ[name]\nE = Env()\n---\nE['@']",
    "class Env:\n    def __call__(self, name):\n        return os.environ[name]\nE = Env()\n---\nE('@')",
    "class Holder:\n    env = os.environ\n---\nHolder.env['@']",
    "class Holder:\n    def __init__(self):\n        self.env = os.environ\nH = Holder()\n---\nH.env['@']",
    "class Box:\n    def __init__(self, env):\n        self.env = env\n    def ask(self, name):\n        return self.env.get(name)\nB = Box(os.environ)\n---\nB.ask('@')",
    "BOX = {'env': os.environ}\n---\nBOX['env']['@']",
    "BOX = [os.environ]\n---\nBOX[0]['@']",
    "def all_of():\n    return os.environ\n---\nall_of()['@']",
    "def reader():\n    def ask(name):\n        return os.getenv(name)\n    return ask\n---\nreader()('@')",
    "getattr(os, 'environ')['@']",
    "getattr(os, 'getenv')('@')",
    "__import__('os').environ['@']",
    "import importlib\n---\nimportlib.import_module('os').getenv('@')",
    "os.path.expandvars('$@/x')",
    "import string\n---\nstring.Template('$@').substitute(os.environ)",
    "'{@}'.format(**os.environ)",
    "'{@}'.format_map(os.environ)",
    "'%(@)s' % os.environ",
    "{**os.environ}.get('@')",
    "(os.environ)['@']",
    "[os.environ[k] for k in ('@',)]",
    "[v for k, v in os.environ.items() if k == '@']",
    "[v for k, v in os.environ.items() if k.startswith('@')]",
    "list(map(os.getenv, ['@']))",
    "list(map(lambda k: os.environ[k], ['@']))",
    "next(v for v in [os.getenv('@')])",
    "[os.getenv(k) for k in TABLE]\n---",
    "TABLE = {'@': '--x'}\n---\n{flag: os.getenv(k) for k, flag in TABLE.items()}",
    "TABLE = ['@'] + ['OTHER']\n---\n[os.getenv(k) for k in TABLE]",
    "TABLE = []\nTABLE.append('@')\n---\n[os.getenv(k) for k in TABLE]",
    "TABLE = 'A @'.split()\n---\n[os.getenv(k) for k in TABLE]",
    "import enum\nclass Names(enum.Enum):\n    one = '@'\n---\nos.getenv(Names.one.value)",
    "import enum\nclass Names(str, enum.Enum):\n    one = '@'\n---\n[os.getenv(n) for n in Names]",
    "import operator\n---\noperator.itemgetter('@')(os.environ)",
    "import collections\nE = collections.ChainMap({}, os.environ)\n---\nE['@']",
    "from dotenv import dotenv_values\nE = {**dotenv_values('.env'), **os.environ}\n---\nE['@']",
    "from dotenv import dotenv_values\n---\ndotenv_values('.env')['@']",
    "from dotenv import dotenv_values\n---\ndotenv_values('.env').get('@')",
    "import dotenv\n---\ndotenv.get_key('.env', '@')",
    "from environs import Env\nE = Env()\n---\nE.str('@', 'x')",
    "from environs import Env\nE = Env()\n---\nE('@')",
    "from environs import env as E\n---\nE.int('@', 3)",
    "import environs\nE = environs.Env()\n---\nE.enum('@')",
    "from environs import Env\nE = Env()\n---\nE.timedelta('@')",
    "from environs import Env\nE = Env()\nwith E.prefixed('P_'):\n    pass\n---\nE.bool('@')",
    "import environ\nE = environ.Env(@=(bool, False))\n---\nE('@')",
    "from decouple import config\n---\nconfig('@', default='x')",
    "from decouple import config, Csv\n---\nconfig('@', cast=Csv())",
    "from decouple import Config, RepositoryEnv\nC = Config(RepositoryEnv('.env'))\n---\nC('@')",
    "from starlette.config import Config\nC = Config('.env')\n---\nC('@', cast=bool, default=False)",
    "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    @: str = 'a'\n---\nS()",
    "import pydantic_settings\nclass S(pydantic_settings.BaseSettings):\n    @: int\n---\nS().@",
    "import pydantic_settings as ps\nclass S(ps.BaseSettings):\n    @: int\n---\nS().@",
    "from pydantic_settings import BaseSettings as Base\nclass S(Base):\n    @: int\n---\nS().@",
    "from pydantic import BaseSettings\nclass S(BaseSettings):\n    @: str = ''\n---\nS()",
    "from pydantic import Field\nfrom pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    own: str = Field('x', validation_alias='@')\n---\nS()",
    "from pydantic import Field, AliasChoices\nfrom pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    own: str = Field('x', validation_alias=AliasChoices('OTHER', '@'))\n---\nS()",
    "from pydantic_settings import BaseSettings, SettingsConfigDict\nclass S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='@')\n    own: str = ''\n---\nS()",
    "from pydantic_settings import BaseSettings\nclass P(BaseSettings):\n    pass\nclass S(P):\n    @: str = ''\n---\nS()",
    "import click\n@click.command()\n@click.option('--x', envvar='@')\ndef go(x):\n    return x\n---\ngo()",
    "import typer\ndef go(x: str = typer.Option('d', envvar='@')):\n    return x\n---\ntyper.run(go)",
    "import typer\ndef go(x: str = typer.Option('d', envvar=['OTHER', '@'])):\n    return x\n---\ntyper.run(go)",
    "import click\n---\nclick.option('--x', **{'envvar': '@'})",
    "from omegaconf import OmegaConf\n---\nOmegaConf.create({'a': '${oc.env:@,1}'})",
    "from omegaconf import OmegaConf\n---\nOmegaConf.create('a: ${oc.env:@}')",
    "from omegaconf import OmegaConf\n---\nOmegaConf.load('@.yaml')",
    "import subprocess\n---\nsubprocess.check_output(['printenv', '@'])",
    "import subprocess\n---\nsubprocess.run('echo $@', shell=True)",
    "os.system('echo ${@:-1}')",
    "os.popen('printenv @').read()",
    "exec(\"import os; os.getenv('@')\")",
    "eval(\"os.environ['@']\")",
    "os.environ['@'] = '1'",
    "os.environ.update({'@': '1'})",
    "os.environ.update(@='1')",
    "os.environ |= {'@': '1'}",
    "os.putenv('@', '1')",
    "del os.environ['@']",
    "os.unsetenv('@')",
    "NAME = '@'\n---\nos.getenv(NAME)",
    "os.getenv('@'.upper())",
    "os.getenv('{}'.format('@'))",
    "os.getenv('%s' % '@')",
    "os.getenv(f\"{'@'}\")",
    "os.getenv(key='@')",
    "os.getenv(*['@', 'x'])",
    "os.getenv(**{'key': '@'})",
    "(a := os.getenv('@'))",
    "os.environb[b'@']",
    "os.getenvb(b'@')",
    "os.environ.get('X') or os.environ.get('@')",
    "os.environ.get('X', os.environ.get('@'))",
    "os.environ['@'] if '@' in os.environ else None",
    "print(f\"{os.environ['@']}\")",
    "os.environ.items()",
    "sorted(os.environ)",
    "print(os.environ)",
    "json.dumps(dict(os.environ))",
    "vars(os)['environ']['@']",
    "os.__dict__['environ']['@']",
    "os.environ._data[b'@']",
    "from os import environ as e, getenv as g\nboth = e, g\n---\nboth[0]['@']",
    "import sys\n---\nsys.modules['os'].environ['@']",
    "posix = __import__('posix')\n---\nposix.environ[b'@']",
];

/// Where a mention stands; `#` is the mention.
const AROUND: &[&str] = &[
    "#\n",
    "def inner():\n    return #\n\n\ninner()\n",
    "for _ in range(3):\n    x = #\n",
    "class Inner:\n    def go(self):\n        return #\n\n\nInner().go()\n",
    "async def inner():\n    try:\n        x = #\n    except KeyError:\n        pass\n    return x\n\n\nimport asyncio\nasyncio.run(inner())\n",
    "call = lambda: #\ncall()\n",
    "with open('x') as f:\n    while True:\n        if f:\n            x = [1, (#)]\n",
];

/// A mention that is neither a fact nor unread.
fn silent(mention: &str, around: &str) -> Option<String> {
    let (top, use_) = mention.split_once("---").unwrap_or(("", mention));
    let use_ = use_.trim();
    let head = format!("import json\nimport os\n{top}");
    let is_statement = ["del ", "os.environ['@'] = ", "os.environ |="];
    let around = if is_statement.iter().any(|begin| use_.starts_with(begin)) {
        "#\n"
    } else {
        around
    };
    let text = (head + &around.replace('#', use_)).replace('@', "ZQ_NAME");
    let read = facts(&text);
    (!accounted(&read)).then_some(text)
}

fn accounted(read: &Read) -> bool {
    let is = |name: &str| name.to_uppercase().contains("ZQ_NAME");
    read.env.iter().any(|one| is(&one.name))
        || read.set.iter().any(|(name, _)| is(name))
        || !read.unread.is_empty()
}

#[test]
fn every_mention_of_the_environment_is_a_fact_or_unread() {
    let mut all = Vec::new();
    for mention in ENVIRONMENT {
        for around in AROUND {
            all.extend(silent(mention, around));
        }
    }
    assert!(
        all.is_empty(),
        "{} are silent:\n{}",
        all.len(),
        all.join("\n======\n")
    );
}

/// Programs that are too much to follow to the end, or nearly; `@` is the name that they read.
fn too_much() -> Vec<String> {
    let calls = |depth: usize, last: &str| {
        let each = |at: usize| format!("def f{at}(x):\n    return f{}(x)\n", at + 1);
        (0..depth).map(each).collect::<String>() + &format!("def f{depth}(x):\n    return {last}\n")
    };
    let list = |count: usize| {
        (0..count)
            .map(|at| format!("'N{at}', "))
            .collect::<String>()
    };
    let mut all = Vec::new();
    for depth in [7, 9, 12, 120] {
        all.push(calls(depth, "os.getenv(x)") + "f0('@')\n");
        all.push(calls(depth, "os.environ") + "f0(1)['@']\n");
        all.push(calls(depth, "os.environ") + "def g(e):\n    return e['@']\ng(f0(1))\n");
        all.push(calls(depth, "x") + "f0(os.getenv)('@')\n");
        all.push(calls(depth, "'@'") + "os.getenv(f0(1))\n");
        all.push(calls(depth, "os.environ.get") + "[f0(1)(k) for k in ['@']]\n");
        let names: String = (1..depth)
            .map(|at| format!("e{at} = e{}\n", at - 1))
            .collect();
        all.push(format!("e0 = os.environ\n{names}e{}['@']\n", depth - 1));
        let bases: String = (1..depth)
            .map(|at| format!("class C{at}(C{}):\n    pass\n", at - 1))
            .collect();
        let last = depth - 1;
        all.push(format!("from pydantic_settings import BaseSettings\nclass C0(BaseSettings):\n    a: int = 1\n{bases}class Last(C{last}):\n    @: int = 2\n"));
        all.push(format!("class C0:\n    def ask(self, n):\n        return os.environ[n]\n{bases}C{last}().ask('@')\n"));
        let open = "(".repeat(depth);
        let close = ")".repeat(depth);
        all.push(format!("{open}os.environ{close}['@']\n"));
        all.push(format!("os.getenv({open}'@'{close})\n"));
        all.push(format!("os.getenv({}'@')\n", "'' + ".repeat(depth)));
        all.push(format!("x = 1\nos.getenv(f'{}@')\n", "{x}".repeat(depth)));
        all.push(format!(
            "e = [[os.environ]]\n{}e[0][0]['@']\n",
            "e = [e[0]]\n".repeat(depth)
        ));
    }
    for count in [65, 401, 800] {
        all.push(format!(
            "for n in [{}'@']:\n    os.getenv(n)\n",
            list(count)
        ));
        all.push(format!(
            "def ask(n):\n    return os.getenv(n)\nfor n in [{}'@']:\n    ask(n)\n",
            list(count)
        ));
        all.push(format!("[os.getenv(n) for n in [{}'@']]\n", list(count)));
        all.push(format!("os.getenv([{}'@'][-1])\n", list(count)));
        let one_by_one: String = (0..count).map(|at| format!("ask('N{at}')\n")).collect();
        all.push(format!(
            "def ask(n):\n    return os.getenv(n)\n{one_by_one}ask('@')\n"
        ));
        let bound: String = (0..count).map(|at| format!("n = 'N{at}'\n")).collect();
        all.push(format!("def f():\n    os.getenv(n)\n{bound}n = '@'\nf()\n"));
        all.push(format!(
            "N = []\n{}N.append('@')\n[os.getenv(n) for n in N]\n",
            bound.replace("n = ", "N += ").replace("'\n", "',\n")
        ));
        let appended: String = (0..count)
            .map(|at| format!("N.append('N{at}')\n"))
            .collect();
        all.push(format!(
            "N = []\n{appended}N.append('@')\n[os.getenv(n) for n in N]\n"
        ));
    }
    let ten = "['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', '@']";
    for depth in 1..6 {
        let mut loops = String::new();
        let mut name = "''".to_owned();
        for at in 0..depth {
            loops += &format!("{}for v{at} in {ten}:\n", " ".repeat(at));
            name += &format!(" + v{at}");
        }
        all.push(format!("{loops}{}os.getenv({name})\n", " ".repeat(depth)));
        all.push(format!(
            "def ask(n):\n    return os.getenv(n)\n{loops}{}ask({name})\n",
            " ".repeat(depth)
        ));
    }
    all.push("def f(x, n):\n    return os.getenv(x) or f(x + 'a', n - 1)\nf('@', 9)\n".to_owned());
    all.push("def f(n, x):\n    return f(n + 1, x) if n else os.getenv(x)\nf(0, '@')\n".to_owned());
    let twice: String = (0..60)
        .map(|at| {
            format!(
                "def f{at}(x):\n    return f{}(x + 'a') or f{}(x + 'b')\n",
                at + 1,
                at + 1
            )
        })
        .collect();
    all.push(format!(
        "{twice}def f60(x):\n    return os.getenv(x)\nf0('@')\n"
    ));
    all.push(format!(
        "{twice}def f60(x):\n    return os.environ\nf0('a')['@']\n"
    ));
    all
}

#[test]
fn where_the_reader_gives_up_it_says_so() {
    let mut all = Vec::new();
    for text in too_much() {
        let text = format!("import os\n{}", text.replace('@', "ZQ_NAME"));
        let read = facts(&text);
        if !accounted(&read) {
            all.push(text.chars().take(300).collect::<String>());
        }
    }
    assert!(
        all.is_empty(),
        "{} are silent:\n{}",
        all.len(),
        all.join("\n======\n")
    );
}
