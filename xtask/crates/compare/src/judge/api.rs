//! Parameters of requests that `SGLang` understands by itself, so that a worker which hands the
//! job's body on need not look at them.
//!
//! Source of the defaults: `CompletionRequest` in `sglang/srt/entrypoints/openai/protocol.py` at
//! 004c82e07d; of other releases they
//! were not looked up.

/// Parameters that a request may leave out, with what `SGLang` does then as text. `None` where that
/// depends on the model or the flags, or was not looked up.
const PARAMETERS: [(&str, Option<&str>); 36] = [
    ("best_of", None),
    ("chat_template_kwargs", None),
    ("continue_final_message", None),
    ("custom_logit_processor", None),
    ("ebnf", None),
    ("echo", Some("False")),
    ("frequency_penalty", Some("0")),
    ("ignore_eos", Some("False")),
    ("input", None),
    ("json_schema", None),
    ("logit_bias", None),
    ("logprobs", None),
    ("max_completion_tokens", None),
    ("max_tokens", None),
    ("messages", None),
    ("min_p", None),
    ("min_tokens", Some("0")),
    ("model", None),
    ("n", Some("1")),
    ("parallel_tool_calls", None),
    ("presence_penalty", Some("0")),
    ("prompt", None),
    ("regex", None),
    ("repetition_penalty", None),
    ("response_format", None),
    ("seed", None),
    ("skip_special_tokens", Some("True")),
    ("stop", None),
    ("stop_token_ids", None),
    ("stream", Some("False")),
    ("stream_options", None),
    ("temperature", None),
    ("tool_choice", None),
    ("tools", None),
    ("top_k", None),
    ("top_p", None),
];

/// Whether `SGLang` takes a parameter of this name in the body of a request.
pub fn takes(name: &str) -> bool {
    PARAMETERS.iter().any(|(known, _)| *known == name)
}

/// Whether jobs ask `SGLang` for such a route, so that a worker which sends any route on serves it;
/// other requests a worker makes for a purpose of its own.
pub fn serves(route: &str) -> bool {
    route.starts_with("/v1") || route.starts_with('{') || route == "/generate"
}

/// Whether `SGLang` does the same without the parameter as with this value.
pub fn is_default(name: &str, value: &str) -> bool {
    let default = PARAMETERS.iter().find(|(known, _)| *known == name);
    let default = default.and_then(|(_, default)| *default);
    let number = |text: &str| text.parse::<f64>().ok();
    default.is_some_and(|default| {
        default.eq_ignore_ascii_case(value)
            || number(default).is_some() && number(default) == number(value)
    })
}
