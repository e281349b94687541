//! What a migration is asked for.

/// What the user asks for.
pub struct Options<'a> {
    pub upstream: Option<&'a str>,
    pub rev: Option<&'a str>,
    pub carry: Option<&'a str>,
    pub official: Option<&'a str>,
    /// Whether upstream's files are taken where the fork's changes do not merge.
    pub take_theirs: bool,
    pub anyway: bool,
    pub embed: bool,
}
