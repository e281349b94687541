//! The rules, a file for each group: pages, table entries and checks side by side.

pub mod allowed_values;
pub mod cross_file;
pub mod gpu;
pub mod secrets;
pub mod shape;
pub mod syntax;
pub mod template_residue;
pub mod tests_meaning;
pub mod values;

use crate::finding::Finding;
use crate::model::{HubDocument, Which};
use xtask_core::tree::RepoPath;

/// Checks one file alone. Returns the document where it can be compared with other files.
pub fn check_file(
    path: &RepoPath,
    which: Which,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Option<HubDocument> {
    let document = syntax::read(path, which, bytes, findings)?;
    if !shape::check(&document, findings) {
        // A bare list of tests is not what the Hub reads, but the tests can be checked.
        tests_meaning::check(&document, findings);
        return None;
    }
    for check in [
        shape::duplicates,
        gpu::check,
        values::check,
        secrets::check,
        tests_meaning::check,
        template_residue::check,
    ] {
        check(&document, findings);
    }
    Some(document)
}
