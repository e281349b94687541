//! No regular expressions. tree-sitter needs the crate `regex` for one thing, predicates like
//! `#match?` in queries, and this tool walks trees without queries: the three crates that the real
//! one takes would be a fifteenth of a cold build for nothing.
//!
//! There is no value of [`bytes::Regex`], so a query that asks for one is refused as invalid, and
//! nothing can match by mistake. Whoever needs queries or expressions takes the real crate: remove
//! this folder and its line below `[patch.crates-io]`.

/// Expressions over bytes.
pub mod bytes {
    /// An expression, of which there is none.
    #[derive(Debug)]
    pub enum Regex {}

    /// The expression was not made.
    #[derive(Debug)]
    pub struct NoExpressions;

    impl Regex {
        /// Makes none of any pattern.
        pub fn new(_: &str) -> Result<Self, NoExpressions> {
            Err(NoExpressions)
        }

        /// Is never reached.
        pub fn is_match(&self, _: &[u8]) -> bool {
            match *self {}
        }
    }
}
