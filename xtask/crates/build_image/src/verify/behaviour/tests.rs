//! What is run, and how its answers and its end are judged.

use super::*;
use xtask_core::tree::Memory;

#[test]
fn the_hub_s_environment_and_cases_are_read() {
    let tree = Memory::new()
        .with(
            ".runpod/tests.json",
            r#"{"tests": [{"name": "a", "input": {"text": "x"}, "timeout": 5000}, {"input": {}}, {"name": "no input"}],
               "config": {"env": [{"key": "MODEL_NAME", "value": "org/m"}]}}"#,
        )
        .with("test_input.json", r#"{"input": {"text": "y"}}"#);
    let plan = plan(&tree, None).unwrap();
    let names: Vec<_> = plan.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["a", "test 2", "test_input.json"]);
    assert_eq!(plan.env["MODEL_NAME"], "org/m");
    assert_eq!(STAND_IN.answers_in(&plan.cases[0]).as_secs(), 5);
    assert_eq!(STAND_IN.answers_in(&plan.cases[1]).as_secs(), 60);
    assert_eq!(SGLANG.answers_in(&plan.cases[1]).as_secs(), 300);
    let none = self::plan(&Memory::new(), None).unwrap();
    assert!(none.cases.is_empty() && none.env.is_empty());
}

#[test]
fn a_worker_has_to_end_by_itself_with_zero() {
    let state = |exit_code, out_of_memory| ContainerState {
        exit_code,
        out_of_memory,
        ..ContainerState::default()
    };
    assert_eq!(check_exit(&state(0, false)), Ok(()));
    for (code, memory, words) in [
        (137, false, "did not end within 10 s"),
        (143, false, "has to catch the signal"),
        (3, false, "exit code 3"),
        (137, true, "memory"),
    ] {
        let wrong = check_exit(&state(code, memory)).unwrap_err();
        assert!(wrong.contains(words), "{wrong}");
    }
}

#[test]
fn what_stays_is_named() {
    let clean = leftovers(&ContainerState::default(), &[]);
    assert_eq!(clean.verdict, CheckStatus::Passed);
    let state = ContainerState {
        volumes: vec!["/data".into()],
        ..ContainerState::default()
    };
    let check = leftovers(&state, &["x".into()]);
    assert_eq!(check.verdict, CheckStatus::Failed);
    assert_eq!(check.words[0], "container x is still there");
    assert!(check.words[1].contains("a volume behind for /data"));
}

/// What the stand-in says of results, each with what was streamed before it.
fn judged(answers: &Value) -> Vec<Option<String>> {
    const JUDGE: &str = "print(json.dumps([judge(*one) for one in json.load(sys.stdin)]))";
    let (program, _) = RUNPOD.split_once("if __name__").unwrap();
    let mut python = std::process::Command::new("python3");
    python.args(["-c", &format!("{program}\n{JUDGE}")]);
    let input = answers.to_string();
    let done = xtask_core::process::within(python, input.as_bytes(), None);
    serde_json::from_slice(&done.unwrap().unwrap().stdout).unwrap()
}

#[test]
fn an_answer_has_no_error_and_some_content() {
    let good = json!([
        [{"output": [{"choices": [{"message": {"content": "red"}}]}]}, []],
        [{"output": [{"choices": [{"message": {"content": null, "tool_calls": [{"id": 1}]}}]}]}, []],
        [{"output": [{"text": "Paris", "meta_info": {}}]}, []],
        [{"output": ["data: {\"choices\": [{\"delta\": {\"content\": \"1\"}}]}\n\ndata: [DONE]\n\n"]}, []],
        [{"output": [{"data": [{"embedding": [0.5]}]}], "error": null}, []],
        [{}, ["data: {\"choices\": [{\"text\": \"x\"}]}\n\n"]],
    ]);
    assert_eq!(judged(&good), [const { None }; 6]);
}

#[test]
fn errors_and_empty_answers_are_none() {
    let bad = [
        (
            json!({"error": "Traceback\nValueError: no"}),
            "ValueError: no",
        ),
        (
            json!({"output": [{"error": {"message": "no model"}}]}),
            "no model",
        ),
        (
            json!({"output": ["data: {\"error\": {\"message\": \"late\"}}\n\n"]}),
            "late",
        ),
        (
            json!({"output": [{"object": "error", "message": "bad"}]}),
            "bad",
        ),
        (json!({"output": []}), "empty"),
        (json!({}), "empty"),
        (json!({"output": [" "]}), "empty"),
        (json!({"output": ["data: [DONE]\n\n"]}), "empty"),
        (
            json!({"output": [{"id": "x", "choices": [{"message": {"content": ""}}]}]}),
            "empty",
        ),
        (
            json!({"output": [{"text": "", "meta_info": {"id": 1}}]}),
            "empty",
        ),
    ];
    let answers = bad.iter().map(|(result, _)| json!([result, []]));
    let judged = judged(&answers.collect());
    for ((answer, words), wrong) in bad.iter().zip(judged) {
        let wrong = wrong.unwrap();
        assert!(wrong.contains(words), "{answer}: {wrong}");
    }
}
