//! Command lines and bake files, and what docker is called with.

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn plan() -> BuildPlan {
    let target = serde_json::json!({
        "context": ".",
        "dockerfile": "Dockerfile",
        "args": { "BASE_IMAGE": "pinned", "MODEL_NAME": "" },
        "labels": { "by": "me" },
        "platforms": ["linux/amd64"],
        "target": "worker",
        "secret": [{ "id": "HF_TOKEN", "env": "HF_TOKEN" }],
    });
    BuildPlan {
        tag: TAG.to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: Some(("worker".to_owned(), target.as_object().unwrap().clone())),
        base_image: Some("mine:1".to_owned()),
        labels: vec![("a.b".to_owned(), "it's".to_owned())],
        secret: true,
        extra: vec!["--no-cache".into()],
    }
}

fn said(plan: &BuildPlan) -> String {
    shell(
        Path::new("/usr/bin/docker"),
        &plan.call(),
        Path::new("/my repo"),
    )
}

#[test]
fn arguments_for_docker_itself_are_seen() {
    let plan = BuildPlan {
        base_image: None,
        extra: words("--no-cache --build-arg A=1 --build-arg=B=2=3 --build-arg C"),
        ..plan()
    };
    assert_eq!(
        plan.typed_arguments(),
        [("A", Some("1")), ("B", Some("2=3")), ("C", None)]
    );
    let arguments = Value::from(plan.arguments());
    assert_eq!(
        arguments,
        serde_json::json!({"BASE_IMAGE": "pinned", "MODEL_NAME": "", "A": "1", "B": "2=3"})
    );
}

#[test]
fn docker_is_told_all_that_the_bake_file_says() {
    assert_eq!(
        said(&plan()),
        "\
cd '/my repo' &&
DOCKER_BUILDKIT=1 /usr/bin/docker build \\
  --file Dockerfile \\
  --tag worker-sglang:dev \\
  --platform linux/amd64 \\
  --target worker \\
  --build-arg BASE_IMAGE=mine:1 \\
  --build-arg MODEL_NAME= \\
  --label by=me \\
  --label 'a.b=it'\\''s' \\
  --secret id=HF_TOKEN,env=HF_TOKEN \\
  --no-cache \\
  ."
    );
    assert_eq!(plan().unsupported(), [""; 0]);
    let mut more = plan();
    let (_, settings) = more.target.as_mut().unwrap();
    settings.insert("network".to_owned(), "host".into());
    settings.insert("secret".to_owned(), serde_json::json!([{ "id": "KEY" }]));
    assert_eq!(more.unsupported(), ["network", "secret"]);
}

#[test]
fn without_a_bake_file_the_dockerfile_s_own_values_stay() {
    let plain = BuildPlan {
        target: None,
        dockerfile: ".runpod/Dockerfile".to_owned(),
        secret: false,
        labels: Vec::new(),
        extra: Vec::new(),
        ..plan()
    };
    assert_eq!(
        said(&plain),
        "\
cd '/my repo' &&
DOCKER_BUILDKIT=1 /usr/bin/docker build \\
  --file .runpod/Dockerfile \\
  --tag worker-sglang:dev \\
  --platform linux/amd64 \\
  --build-arg BASE_IMAGE=mine:1 \\
  ."
    );
    let other = BuildPlan {
        extra: words("--platform=linux/arm64"),
        ..plain
    };
    assert!(!said(&other).contains("linux/amd64"), "{}", said(&other));
}
