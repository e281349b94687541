//! What a secret is: names of variables that hold one, and texts that look like one.

/// Whether a variable of this name holds a secret.
pub fn is_secret(key: &str) -> bool {
    let parts: Vec<String> = key.split('_').map(str::to_uppercase).collect();
    let Some((last, before)) = parts.split_last() else {
        return false;
    };
    match last.as_str() {
        "TOKEN" | "SECRET" | "PASSWORD" | "PASSWD" | "APIKEY" => true,
        "KEY" => before
            .last()
            .is_some_and(|word| matches!(word.as_str(), "API" | "ACCESS" | "SECRET" | "PRIVATE")),
        _ => false,
    }
}

/// What services give out: how it begins, how long the rest is at least, and its name.
const TOKENS: &[(&str, usize, &str)] = &[
    ("hf_", 30, "a Hugging Face token"),
    ("rpa_", 30, "a RunPod API key"),
    ("ghp_", 30, "a GitHub token"),
    ("gho_", 30, "a GitHub token"),
    ("ghs_", 30, "a GitHub token"),
    ("github_pat_", 30, "a GitHub token"),
    ("sk-ant-", 30, "an API key"),
    ("sk-proj-", 30, "an API key"),
    ("sk-", 32, "an API key"),
    ("AKIA", 16, "an AWS access key"),
    ("AIza", 30, "a Google API key"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("glpat-", 20, "a GitLab token"),
    ("npm_", 30, "an npm token"),
    ("r8_", 30, "a Replicate token"),
];

/// The shortest token is one of AWS.
const SHORTEST: usize = 20;

/// The token in a text, if there is one.
pub fn token(text: &str) -> Option<&'static str> {
    // Most texts are too short for any.
    if text.len() < SHORTEST {
        return None;
    }
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .find_map(|word| {
            let (start, least, name) = TOKENS.iter().find(|(start, ..)| word.starts_with(start))?;
            let rest = &word[start.len()..];
            let long = rest.len() >= *least;
            // Real ones mix letters and digits; `hf_your_token_goes_here_…` does not.
            let mixed = rest.bytes().any(|b| b.is_ascii_digit())
                && rest.bytes().any(|b| b.is_ascii_alphabetic())
                && rest.bytes().filter(|b| *b == b'_' || *b == b'-').count() <= rest.len() / 10;
            let varied = rest
                .bytes()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                >= 8;
            (long && mixed && varied).then_some(*name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_examples_of_tokens() {
        // Put together here, so that no scanner takes this file for a leak.
        let real = format!("hf_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z");
        assert_eq!(token(&real), Some("a Hugging Face token"));
        assert_eq!(
            token(&format!("Bearer {real}")),
            Some("a Hugging Face token")
        );
        assert_eq!(token("hf_dummy_token_for_testing_purposes_only"), None);
        assert_eq!(token("hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), None);
        assert_eq!(token("sk-1234"), None);
    }

    #[test]
    fn names_of_secrets_end_in_it() {
        for key in ["HF_TOKEN", "API_KEY", "AWS_SECRET_ACCESS_KEY", "password"] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["MAX_TOKENS", "TOKENIZER", "KEY", "TOKEN_LIMIT", "CACHE_KEY"] {
            assert!(!is_secret(key), "{key}");
        }
    }
}
