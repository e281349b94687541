//! `HF_TOKEN`: from the environment, else from `.env`. It reaches the build as a secret only.

use worker_files::{Source, compose};

/// The variable, and the name of the build's secret.
pub const NAME: &str = "HF_TOKEN";

/// The file that may set the variable.
pub const FILE: &str = ".env";

#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub value: String,
    pub from: &'static str,
}

/// A shorter text occurs everywhere, and is no token.
pub const SHORTEST: usize = 8;

impl Token {
    pub fn is_in(&self, text: &str) -> bool {
        self.value.len() >= SHORTEST && text.contains(&self.value)
    }

    pub fn hide_in(&self, text: &str) -> String {
        match self.value.len() {
            ..SHORTEST => text.to_owned(),
            _ => text.replace(&self.value, "***"),
        }
    }
}

/// The token for the build. The environment wins, even where the variable is empty there:
/// `HF_TOKEN= cargo xtask build-image` builds without a token.
pub fn find(environment: Option<String>, file: Option<&[u8]>) -> Option<Token> {
    let in_file = || {
        let lines = compose::env_file(&Source::new(FILE.into(), file?));
        // The last line of a name is the one that counts.
        let line = lines.into_iter().rfind(|line| line.name == NAME)?;
        Some((line.value, FILE))
    };
    let given = environment.map(|value| (value, "the environment"));
    let (value, from) = given.or_else(in_file)?;
    let value = value.trim().to_owned();
    (!value.is_empty()).then_some(Token { value, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(environment: Option<&str>, file: &str) -> Option<(String, &'static str)> {
        find(environment.map(str::to_owned), Some(file.as_bytes()))
            .map(|token| (token.value, token.from))
    }

    #[test]
    fn a_token_is_found_and_hidden_and_what_is_too_short_is_none() {
        let token = |value: &str| Token {
            value: value.to_owned(),
            from: FILE,
        };
        assert_eq!(token("hf_12345").hide_in("a=hf_12345,b"), "a=***,b");
        assert!(!token("hf_12345").is_in("hf_1234"));
        assert_eq!(token("a").hide_in("a=a"), "a=a");
    }

    #[test]
    fn the_environment_wins_and_the_last_line_of_the_file_counts() {
        let file = "HF_TOKEN=hf_old\nexport HF_TOKEN=\"hf_new\" # mine\nOTHER=x\n";
        let new = || Some(("hf_new".to_owned(), FILE));
        assert_eq!(said(None, file), new());
        assert_eq!(
            said(Some("hf_mine"), file),
            Some(("hf_mine".to_owned(), "the environment"))
        );
        assert_eq!(said(Some(""), file), None);
        assert_eq!(said(None, "#HF_TOKEN=x\nHF_TOKEN=\n"), None);
        assert_eq!(said(None, ""), None);
        assert!(find(None, None).is_none());
    }
}
