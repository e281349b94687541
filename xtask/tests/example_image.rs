//! `migrate --example --with-image`: from a legacy worker to an image that answers jobs.

use std::process::Command;

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn the_migrated_example_builds_and_works() {
    let base = std::env::var("WORKER_SGLANG_BASE").expect("the stage image sets the base image");
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["migrate", "--example", "--with-image", &base])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{errors}");
    // What takes both: a migration that is right, and an image that works.
    for check in ["files", "modules", "start", "answers", "stop", "leftovers"] {
        assert!(
            said.contains(&format!("\npassed  {check} ")),
            "{check}: {said}"
        );
    }
}
