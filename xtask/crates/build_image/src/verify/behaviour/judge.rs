//! Whether what a worker answered is an answer.

use serde_json::Value;

/// What is wrong with an answer: its result, and what was streamed before that.
pub fn judge(result: &Value, streamed: &[Value]) -> Result<(), String> {
    let mut parts = streamed.iter().chain(result.get("output"));
    if let Some(error) = error_of(result).or_else(|| parts.clone().find_map(error_in)) {
        return Err(format!("the worker answered with an error: {error}"));
    }
    if parts.any(says_something) {
        return Ok(());
    }
    Err("the answer is empty: expected some text, a list of vectors or the like".to_owned())
}

/// The error that a result or an output has in its own field.
fn error_of(value: &Value) -> Option<String> {
    match value.get("error")? {
        Value::Null => None,
        Value::String(text) => Some(short(text)),
        other => Some(short(&other.to_string())),
    }
}

/// The error in any part of an output.
fn error_in(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => items.iter().find_map(error_in),
        Value::Object(object) => error_of(value).or_else(|| {
            let status = object.get("object").and_then(Value::as_str);
            (status == Some("error")).then(|| short(&value.to_string()))
        }),
        Value::String(text) => events(text).find_map(|event| error_in(&event)),
        _ => None,
    }
}

/// The data of server-sent events, where a text is made of them.
fn events(text: &str) -> impl Iterator<Item = Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data.trim()).ok())
}

/// Whether there is something that a model said, and not only the frame around it.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) if text.lines().any(|line| line.starts_with("data:")) => {
            events(text).any(|event| says_something(&event))
        }
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(object) => match (object.get("choices"), object.get("text")) {
            (Some(choices), _) => choices.as_array().into_iter().flatten().any(chosen),
            (None, Some(text)) => says_something(text),
            (None, None) => object.values().any(says_something),
        },
    }
}

/// Whether a choice of a completion, or a piece of one, has anything to it.
fn chosen(choice: &Value) -> bool {
    let said = choice.get("message").or_else(|| choice.get("delta"));
    let parts = ["content", "reasoning_content", "tool_calls"];
    let mut parts = parts.iter().filter_map(|part| said?.get(part));
    parts.any(says_something) || choice.get("text").is_some_and(says_something)
}

fn short(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.trim().lines().last().unwrap_or_default();
    line.chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(result: &Value) -> Result<(), String> {
        judge(result, &[])
    }

    #[test]
    fn an_answer_has_no_error_and_some_content() {
        for good in [
            json!({"output": [{"choices": [{"message": {"content": "red"}}]}]}),
            json!({"output": [{"choices": [{"message": {"content": null, "tool_calls": [{"id": 1}]}}]}]}),
            json!({"output": [{"text": "Paris", "meta_info": {}}]}),
            json!({"output": ["data: {\"choices\": [{\"delta\": {\"content\": \"1\"}}]}\n\ndata: [DONE]\n\n"]}),
            json!({"output": [{"data": [{"embedding": [0.5]}]}], "error": null}),
        ] {
            assert_eq!(of(&good), Ok(()), "{good}");
        }
        let streamed = vec![json!("data: {\"choices\": [{\"text\": \"x\"}]}\n\n")];
        assert_eq!(judge(&json!({}), &streamed), Ok(()));
    }

    #[test]
    fn errors_and_empty_answers_are_none() {
        for (bad, words) in [
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
        ] {
            let wrong = of(&bad).unwrap_err();
            assert!(wrong.contains(words), "{bad}: {wrong}");
        }
    }
}
