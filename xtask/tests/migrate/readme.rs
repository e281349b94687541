//! The README shows what the tool really prints.

#[test]
fn the_readme_shows_the_example_as_it_runs() {
    let readme = include_str!("../../../README.md");
    let block = readme
        .split("```text\n")
        .find(|block| block.starts_with("Moves"))
        .and_then(|block| block.split("```").next())
        .unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["migrate", "--example"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut lines = printed.lines();
    for wanted in block
        .lines()
        .filter(|line| !line.is_empty() && *line != "…")
    {
        assert!(
            lines.any(|line| line.trim_end() == wanted),
            "the README shows a line that is not printed, or not there: {wanted}"
        );
    }
}
