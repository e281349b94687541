//! Parameters of requests that `SGLang` understands by itself, so that a worker which hands the
//! job's body on need not look at them.
//!
//! Source of the defaults: `CompletionRequest` in `sglang/srt/entrypoints/openai/protocol.py` at
//! 004c82e07d; of other releases they
//! were not looked up.

use super::same_value;
use worker_files::is_one_of;

/// Parameters that a request may leave out.
const PARAMETERS: &str = "best_of chat_template_kwargs continue_final_message custom_logit_processor ebnf echo \
    frequency_penalty ignore_eos input json_schema logit_bias logprobs max_completion_tokens \
    max_tokens messages min_p min_tokens model n parallel_tool_calls presence_penalty prompt \
    regex repetition_penalty response_format seed skip_special_tokens stop stop_token_ids \
    stream stream_options temperature tool_choice tools top_k top_p";

/// What `SGLang` does without some of them, as text. Of the others that depends on the model or the
/// flags, or was not looked up.
const DEFAULTS: &str = "echo=False frequency_penalty=0 ignore_eos=False min_tokens=0 n=1 \
    presence_penalty=0 skip_special_tokens=True stream=False";

/// Whether `SGLang`'s own route `/generate` takes it, beside what it takes as sampling parameters.
pub fn is_native(name: &str) -> bool {
    is_one_of(
        "text input_ids image_data sampling_params return_logprob",
        name,
    )
}

/// Whether `SGLang` takes a parameter of this name in the body of a request.
pub fn takes(name: &str) -> bool {
    is_one_of(PARAMETERS, name)
}

/// Whether jobs ask `SGLang` for such a route, so that a worker which sends any route on serves it;
/// other requests a worker makes for a purpose of its own.
pub fn serves(route: &str) -> bool {
    route.starts_with("/v1") || route.starts_with('{') || route == "/generate"
}

/// Whether `SGLang` does the same without the parameter as with this value.
pub fn is_default(name: &str, value: &str) -> bool {
    let mut defaults = DEFAULTS.split(' ').filter_map(|one| one.split_once('='));
    defaults.any(|(known, default)| known == name && same_value(default, value))
}
