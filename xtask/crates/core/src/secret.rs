//! Detects secrets: by the names of variables, and by the form of tokens.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

pub fn is_secret(key: &str) -> bool {
    let parts: Vec<String> = key.split('_').map(str::to_uppercase).collect();
    let Some((last, before)) = parts.split_last() else {
        return false;
    };
    match last.as_str() {
        "TOKEN" | "SECRET" | "PASSWORD" | "PASSWD" | "APIKEY" => true,
        "KEY" => before
            .last()
            .is_some_and(|kind| matches!(kind.as_str(), "API" | "ACCESS" | "SECRET" | "PRIVATE")),
        _ => false,
    }
}

/// Tokens of services: the prefix, the minimum length of the rest, and the name.
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

pub fn token(text: &str) -> Option<&'static str> {
    // Most texts are too short for any.
    if text.len() < SHORTEST {
        return None;
    }
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    text.split(is_edge).find_map(token_word)
}

fn is_edge(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn token_word(word: &str) -> Option<&'static str> {
    let (start, least, name) = TOKENS.iter().find(|(start, ..)| word.starts_with(start))?;
    let rest = &word[start.len()..];
    let long = rest.len() >= *least;
    // Real ones mix letters and digits; `hf_your_token_goes_here_…` does not.
    let mixed = rest.bytes().any(|b| b.is_ascii_digit())
        && rest.bytes().any(|b| b.is_ascii_alphabetic())
        && rest.bytes().filter(|b| *b == b'_' || *b == b'-').count() <= rest.len() / 10;
    let varied = rest.bytes().collect::<BTreeSet<_>>().len() >= 8;
    (long && mixed && varied).then_some(*name)
}

/// What stands in the place of a secret.
pub const MASK: &str = "(secret)";

/// The text without tokens, URL credentials, and secrets in URL queries: output may reach people
/// who can't read the files.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    if text.len() >= SHORTEST {
        let tokens = words(text, is_edge).filter(|(_, word)| token_word(word).is_some());
        hidden.extend(tokens.map(|(at, word)| at..at + word.len()));
    }
    for (at, _) in text.match_indices("://") {
        let start = at + "://".len();
        let address = &text[start..];
        let address = &address[..address.find(is_after_address).unwrap_or(address.len())];
        let host = &address[..address.find(['/', '?', '#']).unwrap_or(address.len())];
        let is_ssh = text[..at].to_ascii_lowercase().ends_with("ssh");
        if let Some(end) = host.rfind('@') {
            let login = &host[..end];
            // In an address for ssh, the user's name is no secret.
            let from = match login.split_once(':') {
                Some((name, _)) if is_ssh => name.len() + 1,
                None if is_ssh => end,
                _ => 0,
            };
            hidden.push(start + from..start + end);
        }
        for (at, part) in words(address, |c| matches!(c, '?' | '&' | '#' | ';')) {
            if let Some((key, _)) = part.split_once('=')
                && is_secret(key)
            {
                let at = start + at;
                hidden.push(at + key.len() + 1..at + part.len());
            }
        }
    }
    hidden.retain(|range| !range.is_empty() && !text[range.clone()].contains('$'));
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    hidden.sort_by_key(|range| range.start);
    let (mut out, mut done) = (String::new(), 0);
    for range in hidden {
        // A token may be inside of a hidden range.
        if range.start >= done {
            out.push_str(&text[done..range.start]);
            out.push_str(MASK);
        }
        done = done.max(range.end);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// The parts of a text between separators, each with its offset.
fn words(text: &str, is_separator: fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let words = text.split(is_separator);
    words.map(|word| (word.as_ptr().addr() - text.as_ptr().addr(), word))
}

fn is_after_address(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`<>|,".contains(c)
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
    fn secrets_are_taken_out_of_texts() {
        let real = format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z");
        for (text, shown) in [
            ("-i https://u:p@h/x y", "-i https://(secret)@h/x y"),
            ("@git+https://TOKEN@h/x", "@git+https://(secret)@h/x"),
            ("git+ssh://git@h/x", "git+ssh://git@h/x"),
            ("ssh://git:p@h/x", "ssh://git:(secret)@h/x"),
            ("https://$USER:${TOKEN}@h/x", "https://$USER:${TOKEN}@h/x"),
            (
                "redis://:p@h https://a:b@c",
                "redis://(secret)@h https://(secret)@c",
            ),
            (
                "https://h/x?a=1&private_token=t&b=@",
                "https://h/x?a=1&private_token=(secret)&b=@",
            ),
            ("https://h/a@b", "https://h/a@b"),
            ("a@b ://", "a@b ://"),
            (&format!("Bearer {real}, ü"), "Bearer (secret), ü"),
            (
                &format!("https://{real}@h/{real}"),
                "https://(secret)@h/(secret)",
            ),
        ] {
            assert_eq!(masked(text), shown);
        }
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
