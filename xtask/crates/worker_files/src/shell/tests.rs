//! Shell: commands, what they start, and what was not understood.

use super::*;

fn lines(text: &str) -> Vec<String> {
    parse(text).commands.iter().map(Command::line).collect()
}

fn reads(text: &str) -> Vec<String> {
    let script = parse(text);
    let read = |v: &Variable| match &v.default {
        Some(default) => format!("{}={default}", v.name),
        None => v.name.clone(),
    };
    script.reads.iter().map(read).collect()
}

fn given(text: &str) -> Vec<String> {
    let script = parse(text);
    let all = script
        .commands
        .iter()
        .filter_map(Command::server_flags)
        .flatten();
    all.map(|g| {
        format!("{} {}", g.flag, g.value.unwrap_or_default())
            .trim()
            .to_owned()
    })
    .collect()
}

#[test]
fn words_are_quoted_and_continued() {
    assert_eq!(
        lines("a 'b c' \"d $E\" f\\ g \\\n  h # why\ni;j&&k|l &\n"),
        ["a b c d $E f g h", "i", "j", "k", "l"]
    );
    assert_eq!(
        lines("echo $'x' $\"y\" \"a\\\"b\" 'it'\"'\"'s'"),
        ["echo x y a\"b it's"]
    );
    assert_eq!(
        lines("pip install a 2>&1 | tee log > /dev/null"),
        ["pip install a", "tee log"]
    );
    assert_eq!(parse("echo x > f 2>> g").commands[0].writes, ["f", "g"]);
    assert_eq!(
        lines("if [ -f x ]; then a; else b; fi; { c; }; (d)"),
        ["[ -f x ]", "a", "b", "c", "d"]
    );
}

#[test]
fn what_leads_to_a_program_is_passed_over() {
    for (text, line) in [
        ("sudo -E -u me pip install a", "pip install a"),
        ("env -u X A=1 B=2 pip install a", "pip install a"),
        ("A=1 exec python x.py", "python x.py"),
        ("exec -a name python x.py", "python x.py"),
        ("timeout -k 5 10 nohup python x.py", "python x.py"),
        ("tini -g -- ./start.sh a", "./start.sh a"),
        ("conda run -n env python x.py", "python x.py"),
        ("command -v uv", "command -v uv"),
    ] {
        assert_eq!(lines(text), [line], "{text}");
    }
}

#[test]
fn shells_inside_shells_are_read() {
    assert_eq!(
        lines("bash -ec \"apt-get install -y x && y\""),
        ["apt-get install -y x", "y"]
    );
    assert_eq!(lines("su me -c 'a; b'"), ["a", "b"]);
    assert_eq!(lines("eval 'a b'"), ["a b"]);
    assert_eq!(
        lines("x=$(pip install y) z `w`"),
        ["pip install y", "w", "z $(w)"]
    );
    assert_eq!(lines("bash <<EOF\na\nb\nEOF\nc"), ["a", "b", "c"]);
    assert_eq!(lines("<<-'E'\n\ta\n\tE\nb"), ["a", "b"]);
    assert_eq!(lines("cat <<E > f <<F\nx\nE\ny\nF\nb"), ["cat", "b"]);
    let python = parse("python3 - <<PY\nimport os\nPY\n");
    assert_eq!(python.commands[0].input.as_ref().unwrap().0, "import os\n");
}

#[test]
fn variables_are_read_unless_the_script_sets_them() {
    assert_eq!(
        reads(
            "A=1\nexport B=\"$C\"\necho $A ${B} ${D:-x} $(cat $E) '$F'\nfor g in $H; do echo $g; done\nif [ -n \"$I\" ]; then :; fi\nread -r j k; echo $j $k\nf() { local l=$1; echo $l; }\n"
        ),
        ["C", "D=x", "E", "H", "I"]
    );
    assert_eq!(
        reads(": \"${A:=1}\" ${B-2} ${C:?gone} $((D + 1)) ${#E} ${F%%x} \"${G[@]}\""),
        ["A=1", "B=2", "C", "D", "E", "F", "G"]
    );
    assert_eq!(reads("X=${A:-${B:-c}}"), ["B=c", "A=${B:-c}"]);
    assert_eq!(
        reads("for v in A B; do x=\"${!v}\"; done; printenv C"),
        ["A", "B", "C"]
    );
    assert_eq!(
        reads("case \"$A\" in f|'g)') B=$C;; *) $D;; esac; $E"),
        ["A", "C", "D", "E"]
    );
    assert_eq!(
        reads("while read l; do $l $A; done < <(cat <<E\n$B\nE\n)"),
        ["A", "B"]
    );
    assert_eq!(reads("cat <<'E'\n$A\nE\ncat <<E\n$B \\$C\nE\n"), ["B"]);
}

#[test]
fn a_default_may_be_set_where_the_variable_is_empty() {
    for text in [
        "if [ -z \"$A\" ]; then A=x; fi; echo $A",
        "[ -z \"$A\" ] && A=x",
        "[ -n \"$A\" ] || A=x",
        "if [ \"$A\" = \"\" ]; then A=x; fi",
        "if [ -n \"$A\" ]; then b; else A=x; fi",
    ] {
        assert_eq!(reads(text)[0], "A=x", "{text}");
    }
    assert_eq!(reads("[ -z \"$A\" ] && b\nA=x"), ["A"]);
}

#[test]
fn the_servers_flags_come_from_every_kind_of_line() {
    let flags = [
        "--model-path ${M:-m}",
        "--port $PORT",
        "--trust-remote-code",
    ];
    for text in [
        "exec python3 -m sglang.launch_server --model-path ${M:-m} --port=$PORT --trust-remote-code \"$@\" &",
        "M=${M:-m}\nARGS=(--model-path \"$M\" # the model\n  --port \"$PORT\")\nARGS+=(--trust-remote-code)\npython3 -m sglang.launch_server \"${ARGS[@]}\"",
        "CMD=\"python3 -m sglang.launch_server --model-path ${M:-m}\"\nCMD=\"$CMD --port $PORT\"\nCMD+=\" --trust-remote-code\"\nexec $CMD",
        "set -- python3 -m sglang.launch_server --model-path ${M:-m}\nset -- \"$@\" --port $PORT --trust-remote-code\nexec \"$@\"",
        "bash -c \"sglang serve --model-path ${M:-m} --port $PORT --trust-remote-code\"",
    ] {
        assert_eq!(given(text), flags, "{text}");
    }
    assert_eq!(
        given("echo python3 -m sglang.launch_server --a; python3 -m other --b"),
        [""; 0]
    );
    assert_eq!(
        given("for d in half float; do python -m sglang.launch_server --dtype $d --x; done"),
        ["--dtype half", "--dtype float", "--x"]
    );
}

#[test]
fn a_list_reaches_the_command_that_takes_it() {
    let list = |text: &str| {
        let script = parse(text);
        let last = script.commands.last().unwrap();
        (last.line(), last.list.clone())
    };
    let file = Some("p.txt".to_owned());
    let apt = "apt-get install -y".to_owned();
    assert_eq!(
        list("xargs -a p.txt apt-get install -y"),
        (apt.clone(), file.clone())
    );
    assert_eq!(
        list("xargs apt-get install -y < p.txt"),
        (apt.clone(), file.clone())
    );
    assert_eq!(
        list("grep -v '#' p.txt | xargs -n 1 sudo apt-get install -y"),
        (apt, file)
    );
    assert_eq!(
        lines("echo a b | xargs pip install"),
        ["echo a b", "pip install a b"]
    );
}

#[test]
fn what_is_computed_is_said() {
    let unread = |text: &str| -> Vec<&str> { parse(text).unread.iter().map(|u| u.1).collect() };
    assert_eq!(unread("eval \"$X\""), ["this command is computed"]);
    assert_eq!(
        unread("echo ${!x}"),
        ["the name of this variable is computed"]
    );
    assert_eq!(unread("echo 'a"), ["this quote never ends"]);
    let retry = parse("retry() { \"$@\"; }\nretry pip install a");
    assert_eq!(retry.commands[0].line(), "pip install a");
    let doubling = (0..20).map(|n| format!("f{n}() {{ f{0}; f{0}; }}\n", n + 1));
    let doubling: String = doubling
        .chain(["f20() { echo a; }\nf0\n".to_owned()])
        .collect();
    assert_eq!(
        unread(&doubling)[0],
        "functions are called too often to be followed"
    );
    assert_eq!(unread("cat <<E\na\n"), ["this here-document never ends"]);
    assert_eq!(unread("a=1; echo \"$a\" $(b) <<< c"), [""; 0]);
}

#[test]
fn what_grows_or_nests_ends() {
    let doubling: String = (0..60)
        .map(|n| format!("V{}=$V{n}-$V{n}\n", n + 1))
        .collect();
    assert_eq!(parse(&doubling).unread.len(), 1);
    for open in [
        "$(",
        "${A:-",
        "(",
        "\"$(",
        "`",
        "bash -c '",
        "{ ",
        "$((",
        "case x in a) ",
    ] {
        let _ = parse(&open.repeat(20_000));
    }
    assert_eq!(parse(&"${A:-".repeat(20_000)).unread.len(), 1);
    assert_eq!(parse(&"$(".repeat(20_000)).unread.len(), 1);
    let appended: String = (0..5_000).map(|n| format!("A+=(--x{n})\n")).collect();
    assert_eq!(parse(&appended).unread.len(), 1);
}

#[test]
fn nothing_panics_on_unfinished_text() {
    for text in [
        "$",
        "${",
        "$(",
        "\"",
        "'",
        "\\",
        "a\\",
        "${é}",
        "$(é",
        "`",
        "\0$\0",
        "<<",
        "<<E",
        "for",
        "for x",
        "case",
        "case x in",
        "f()",
        "a=(",
        "a[",
        "x[0]=",
        "set --",
        "xargs",
        "xargs -a",
        "sudo",
        "env",
        "timeout",
        ")",
        "}",
        ";;",
        "${!",
        "${!}",
        "$((",
        "eval",
        "bash -c",
        "<(",
        "2>",
        "é=1",
        "a+=",
        "[[ a < b && (c) ]]",
        "function",
        "su -c",
    ] {
        let script = parse(text);
        for command in &script.commands {
            let _ = (command.server_flags(), command.line());
        }
    }
}
