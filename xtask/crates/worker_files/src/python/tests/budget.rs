//! Reading takes no more steps than the text is long, whatever calls what.

use crate::python::tests::read_steps;

/// A file with functions that call each other in a ring, as long as a usual one.
fn ring(functions: usize, asks: bool) -> String {
    let mut text = "import os\n\n\n".to_owned();
    for at in 0..functions {
        let next = (at + 1) % functions;
        let ask = if asks && at % 10 == 0 {
            format!("    value = os.getenv(\"RING_{at}\", value)\n")
        } else {
            String::new()
        };
        text += &format!(
            "def step_{at}(value, more=None):\n{ask}    if value:\n        return step_{next}(value, more or {at})\n    return [value, {at}]\n\n\n"
        );
    }
    text
}

/// Steps for so many files, and how many constructs were not read.
fn steps(files: usize, asks: bool) -> (usize, usize, usize) {
    let text = ring(40, asks);
    let files: Vec<(String, String)> = (0..files)
        .map(|at| (format!("m{at}.py"), text.clone()))
        .collect();
    read_steps(&files)
}

#[test]
fn a_ring_of_calls_takes_steps_in_proportion_to_the_text() {
    for asks in [false, true] {
        let (few, bytes, unread) = steps(4, asks);
        assert!(few <= bytes, "{few} steps for {bytes} bytes");
        assert_eq!(unread, 0);
        let (many, _, _) = steps(40, asks);
        assert!(many <= 11 * few, "{few} and {many} steps");
    }
}

#[test]
fn calls_that_double_come_to_an_end() {
    for last in ["os.getenv(x)", "os.environ[x]", "x", "os.environ"] {
        let twice = |at: usize| {
            let next = at + 1;
            format!("def f{at}(x):\n    return f{next}(x + 'a') or f{next}(x + 'b')\n\n\n")
        };
        let text: String = (0..60).map(twice).collect();
        let text = format!("import os\n{text}def f60(x):\n    return {last}\n\n\nf0('A')\n");
        let bytes = text.len();
        let (steps, _, _) = read_steps(&[("a.py".to_owned(), text)]);
        assert!(
            steps <= 60 * bytes,
            "{steps} steps for {bytes} bytes: {last}"
        );
    }
}

/// Each value holds the one before it twice.
#[test]
fn values_that_double_come_to_an_end() {
    for twice in [
        "x + x",
        "x | x",
        "x / x",
        "[x, x]",
        "[*x, *x]",
        "(x, [x])",
        "{'a': x, 'b': x}",
        "{**x, 'a': [x, x]}",
        "{x: x}",
        "f'{x}{x}'",
        "f(x, x)",
        "x(x)",
        "x.join([x, x])",
        "x or [x]",
        "[x] if x else {'a': x}",
        "[x for _ in (x, x)]",
        "lambda a=x: (a, x)",
        "x, y = [x, y]",
    ] {
        for (first, last) in [
            ("y", "os.getenv(x)"),
            ("[os.environ]", "x[0]['A']"),
            (
                "os.getenv('A')",
                "command = ['python3', '-m', 'sglang.launch_server', '--a', x]",
            ),
        ] {
            let lines = format!("x = {twice}\n").repeat(60);
            let text = format!("import os\ndef f(*a):\n    return a\nx = {first}\n{lines}{last}\n");
            let (steps, _, _) = read_steps(&[("a.py".to_owned(), text)]);
            assert!(steps <= 300_000, "{steps} steps: {twice}");
        }
    }
}

/// Each value holds the one before it, under thousands of names.
#[test]
fn values_that_are_nested_without_end_are_given_up() {
    for within in [
        "[@]",
        "(@, 1)",
        "{'a': @}",
        "os.getenv('V', @)",
        "f(@)",
        "f'{@}a'",
    ] {
        let line =
            |at: usize| format!("x{} = {}\n", at + 1, within.replace('@', &format!("x{at}")));
        let lines: String = (0..3_000).map(line).collect();
        let text =
            format!("import os\ndef f(a):\n    return [a]\nx0 = os.environ\n{lines}x3000['A']\n");
        let (_, _, unread) = read_steps(&[("a.py".to_owned(), text)]);
        assert!(unread > 0, "{within}");
    }
}

/// As a model's `forward` does, which takes its steps under conditions.
#[test]
fn names_that_are_set_from_one_another_again_and_again_come_to_an_end() {
    let step = |at: usize| {
        format!(
            "    if a:\n        u = torch.cat([x, v], {at})\n        v = self.norm(u, x)\n        x = x.view(v) + u\n"
        )
    };
    let body: String = (0..14).map(step).collect();
    let text = format!(
        "import os\nimport torch\n\n\nclass Model:\n    def forward(self, a, x):\n        u = v = x\n{}\n        return x\n\n\nModel().forward(os.getenv('A'), 1)\n",
        body.replace("    if", "        if")
            .replace("        u", "            u")
            .replace("        v", "            v")
            .replace("        x =", "            x =")
    );
    let bytes = text.len();
    let (steps, _, unread) = read_steps(&[("a.py".to_owned(), text)]);
    assert!(steps <= 20 * bytes, "{steps} steps for {bytes} bytes");
    assert_eq!(unread, 0);
}

/// Each use of a name is looked at for whether it turns the test round.
#[test]
fn tests_that_are_turned_round_again_and_again_come_to_an_end() {
    let text = format!(
        "import os\nx = os.getenv('A')\ny = x\n{}command = ['python3', '-m', 'sglang.launch_server']\nif x:\n    command.append('--trust-remote-code')\n",
        "x = not y\ny = not x\n".repeat(60)
    );
    let (steps, _, _) = read_steps(&[("a.py".to_owned(), text)]);
    assert!(steps <= 300_000, "{steps} steps");
}

/// As an engine's arguments are made: defaults, what is set, other names, and what some make others.
#[test]
fn a_dict_that_is_changed_by_what_it_holds_is_read_to_its_end() {
    let defaults: String = (0..60).map(|at| format!("    'a{at}': {at},\n")).collect();
    let names: String = (0..20)
        .map(|at| format!("    'OLD_{at}': 'a{at}',\n"))
        .collect();
    let step = |at: usize| {
        format!(
            "    if args.get('a{at}') == 'b':\n        args['a{}'] = made(args['a{at}'], args)\n    if 'a{at}' in args:\n        args['a{at}'] = made(args['a{at}'], args)\n",
            at + 1
        )
    };
    let steps: String = (0..14).map(step).collect();
    let text = format!(
        "import os\nfrom vllm import AsyncEngineArgs\nDEFAULTS = {{\n{defaults}}}\nNAMES = {{\n{names}}}\n\ndef made(value, args):\n    if value in (None, ''):\n        return args.get('a1')\n    return value\n\ndef found():\n    args = {{}}\n    for key in DEFAULTS:\n        value = os.environ.get(key.upper())\n        if value is not None:\n            args[key] = made(value, args)\n    return args\n\ndef rename(args):\n    for old, new in NAMES.items():\n        value = os.environ.get(old)\n        if value:\n            args[new] = made(value, args)\n\ndef arguments():\n    args = dict(DEFAULTS)\n    args.update(found())\n    rename(args)\n    args = {{key: value for key, value in args.items() if value not in (None, '')}}\n{steps}    return AsyncEngineArgs(**args)\n\nclass Engine:\n    def __init__(self):\n        self.arguments = arguments()\n\n    def tokenizer(self):\n        from transformers import AutoTokenizer\n        return AutoTokenizer.from_pretrained(self.arguments.a1 or self.arguments.a2, revision=self.arguments.a3)\n\nEngine().tokenizer()\n"
    );
    let (_, _, unread) = read_steps(&[("a.py".to_owned(), text)]);
    assert_eq!(unread, 0);
}

#[test]
fn a_command_that_is_made_longer_again_and_again_is_read_to_its_end() {
    let step = |at: usize| {
        format!(
            "if os.getenv('A{at}'):\n    command = f\"{{command}} --flag-{at} {{os.environ['A{at}']}}\"\n"
        )
    };
    let steps: String = (0..10).map(step).collect();
    let text = format!(
        "import os, subprocess\ncommand = 'python3 -m sglang.launch_server'\n{steps}subprocess.Popen(command, shell=True)\n"
    );
    let (_, _, unread) = read_steps(&[("a.py".to_owned(), text)]);
    assert_eq!(unread, 0);
}

#[test]
fn what_has_nothing_to_do_with_the_rest_is_not_followed() {
    let quiet = (
        "quiet.py".to_owned(),
        "def f(x):\n    return x\n\n\nf(1)\n".repeat(50),
    );
    let main = (
        "main.py".to_owned(),
        "import os\nos.getenv('A')\n".to_owned(),
    );
    let (alone, _, _) = read_steps(std::slice::from_ref(&main));
    let (both, _, _) = read_steps(&[main.clone(), quiet.clone()]);
    assert_eq!(alone, both);
    let imports = ("main.py".to_owned(), format!("import quiet\n{}", main.1));
    let (more, _, _) = read_steps(&[imports, quiet]);
    assert!(more > alone);
}
