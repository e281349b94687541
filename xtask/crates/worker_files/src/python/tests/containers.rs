//! Functions in a list, a dict or a registry that are called by a key that is not known.

use crate::python::tests::facts;

/// More than a summary keeps apart.
const COUNT: usize = 26;

/// The text with each number for `#`, one after the other.
fn each(text: &str) -> String {
    (0..COUNT)
        .map(|at| text.replace('#', &at.to_string()))
        .collect()
}

/// Ways to make something that holds a function for each number, and to get one of them by `key`.
fn containers() -> Vec<(String, &'static str)> {
    let functions = each("def f#(name):\n    return os.getenv(name)\n\n\n");
    let methods = each("    def f#(self, name):\n        return os.getenv(name)\n\n");
    let class = format!("class Box:\n{methods}\nbox = Box()\n");
    let dict = each("    'k#': f#,\n");
    let lambdas = each("    lambda name: os.getenv(name) or #,\n");
    let bound = each("    'k#': box.f#,\n");
    let nested = each("    'k#': {'run': f#, 'other': [f#]},\n");
    let registered = each("@register('k#')\ndef f#(name):\n    return os.getenv(name)\n\n\n");
    let register = "def register(key):\n    def keep(function):\n        TABLE[key] = function\n        return function\n    return keep\n\n\n";
    let plain = each("@keep\ndef f#(name):\n    return os.getenv(name)\n\n\n");
    let keep =
        "def keep(function):\n    TABLE[function.__name__] = function\n    return function\n\n\n";
    let kept = each("TABLE['k#'] = f#\n");
    let added = each("TABLE.append(f#)\n");
    let pairs = each("    ('k#', f#),\n");
    vec![
        (format!("{functions}TABLE = {{\n{dict}}}\n"), "TABLE[key]"),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE.get(key)",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE.get(key, print)",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE[f'k{key}']",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE['k' + str(key)]",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE[key.lower()]",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE[str(key)]",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "list(TABLE.values())[key]",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE.pop(key)",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "TABLE.copy()[key]",
        ),
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "{**TABLE}[key]",
        ),
        (
            format!("{functions}TABLE = dict([\n{pairs}])\n"),
            "TABLE[key]",
        ),
        (
            format!("{functions}TABLE = {{k: f for k, f in [\n{pairs}]}}\n"),
            "TABLE[key]",
        ),
        (format!("TABLE = [\n{lambdas}]\n"), "TABLE[key]"),
        (format!("TABLE = [\n{lambdas}]\n"), "TABLE[len(key)]"),
        (format!("TABLE = [\n{lambdas}]\n"), "next(iter(TABLE))"),
        (format!("TABLE = [\n{lambdas}]\n"), "TABLE[1:][key]"),
        (format!("TABLE = tuple([\n{lambdas}])\n"), "TABLE[key]"),
        (format!("{class}TABLE = {{\n{bound}}}\n"), "TABLE[key]"),
        (format!("{class}\n"), "getattr(box, key)"),
        (format!("{class}\n"), "getattr(box, f'f{key}')"),
        (format!("{functions}\n"), "globals()[key]"),
        (format!("{functions}\n"), "globals()[f'f{key}']"),
        (
            format!("{functions}TABLE = {{\n{nested}}}\n"),
            "TABLE[key]['run']",
        ),
        (
            format!("{functions}TABLE = {{\n{nested}}}\n"),
            "TABLE[key]['other'][0]",
        ),
        (
            format!("{functions}TABLE = {{\n{nested}}}\n"),
            "TABLE.get(key, {}).get('run')",
        ),
        (
            format!("TABLE = {{}}\n\n\n{register}{registered}"),
            "TABLE[key]",
        ),
        (format!("TABLE = {{}}\n\n\n{keep}{plain}"), "TABLE[key]"),
        (format!("{functions}TABLE = {{}}\n{kept}"), "TABLE[key]"),
        (format!("{functions}TABLE = []\n{added}"), "TABLE[key]"),
    ]
}

/// Ways to call what was got by `key`: `&` is it, and `@` the name that is given to it.
const CALLS: &[&str] = &[
    "def go(key):\n    return &('@')\n\n\ngo(input())\n",
    "key = input()\n&('@')\n",
    "import sys\nkey = sys.argv[1]\nstep = &\nstep('@')\n",
    "def pick(key):\n    return &\n\n\npick(input())('@')\n",
    "def call(step):\n    return step('@')\n\n\nkey = input()\ncall(&)\n",
    "import functools\nkey = input()\nfunctools.partial(&, '@')()\n",
    "key = input()\nlist(map(&, ['@']))\n",
    "import threading\nkey = input()\nthreading.Thread(target=&, args=('@',)).start()\n",
    "import threading\nkey = input()\nthreading.Thread(target=&, kwargs={'name': '@'}).start()\n",
    "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\nkey = input()\npool.submit(&, '@')\n",
    "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\nkey = input()\npool.map(&, ['@'])\n",
    "import asyncio\nkey = input()\nasyncio.run(asyncio.to_thread(&, '@'))\n",
    "import asyncio\nloop = asyncio.new_event_loop()\nkey = input()\nloop.run_in_executor(None, &, '@')\n",
    "class Steps:\n    def __init__(self, key):\n        self.step = &\n\n    def go(self):\n        return self.step('@')\n\n\nSteps(input()).go()\n",
];

/// Whether functions that are called by name too, or only by key, are silent.
fn silent(table: &str, item: &str, call: &str, by_name: bool) -> Option<String> {
    let own = if by_name && table.contains("def f0(name)") {
        each("f#('OWN_#')\n")
    } else {
        String::new()
    };
    let text = format!("import os\n\n\n{table}{own}{}", call.replace('&', item));
    let read = facts(
        &text
            .replace('@', "ZQ_NAME")
            .replace("ZQ_NAMEregister", "@register")
            .replace("ZQ_NAMEkeep", "@keep"),
    );
    let told = read.env.iter().any(|one| one.name == "ZQ_NAME") || !read.unread.is_empty();
    (!told).then(|| {
        format!(
            "{item} of {}\n{call}",
            table
                .chars()
                .rev()
                .take(60)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect::<String>()
        )
    })
}

#[test]
fn a_call_by_a_key_is_followed_or_unread() {
    let mut all = Vec::new();
    for (table, item) in containers() {
        for call in CALLS {
            for by_name in [false, true] {
                all.extend(silent(&table, item, call, by_name));
            }
        }
    }
    assert!(
        all.is_empty(),
        "{} are silent:\n{}",
        all.len(),
        all.join("\n======\n")
    );
}

/// Functions in something so heavy that what a call gives is given up.
#[test]
fn a_call_through_what_is_given_up_is_unread() {
    let functions = each("def f#(name):\n    return ask(name)\n\n\n");
    let ballast = format!("[{}]", each("#, "));
    let rows = |row: &str| each(row).replace("[]", &ballast);
    let dict = rows("    'k#': (f#, []),\n");
    let nested = rows("    'k#': {'run': f#, 'more': []},\n");
    let lambdas = rows("    (lambda name: ask(name), []),\n");
    let bound = rows("    (box.g#, []),\n");
    let methods = each("    def g#(self, name):\n        return ask(name)\n\n");
    let class = format!("class Box:\n{methods}\nbox = Box()\n");
    let tables = [
        (
            format!("{functions}TABLE = {{\n{dict}}}\n"),
            "table[key][0]",
        ),
        (
            format!("{functions}TABLE = {{\n{nested}}}\n"),
            "table[key]['run']",
        ),
        (format!("TABLE = [\n{lambdas}]\n"), "table[key][0]"),
        (format!("{class}TABLE = [\n{bound}]\n"), "table[key][0]"),
    ];
    for (table, item) in tables {
        let by_name = match item {
            "table[key]['run']" => each("f#('OWN_#')\n"),
            _ => String::new(),
        };
        for (asked, is_read) in [("os.getenv(name)", true), ("name.upper()", false)] {
            let text = format!(
                "import os\n\n\ndef ask(name):\n    return {asked}\n\n\n{table}{by_name}\ndef go(table, key):\n    return {item}('ZQ_NAME')\n\n\ngo(TABLE, input)\n"
            );
            let read = facts(&text);
            let places = read
                .unread
                .iter()
                .filter(|one| one.what.contains("too much"));
            let places = places.count();
            let is_fact = read.env.iter().any(|one| one.name == "ZQ_NAME");
            let told = usize::from(is_read && !is_fact);
            assert_eq!(places, told, "{item}, {asked}: {:?}", read.unread);
        }
    }
}
