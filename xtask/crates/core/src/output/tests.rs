//! Texts for people.

use super::*;

#[test]
fn an_argument_survives_a_shell() {
    assert_eq!(quoted("../it's here"), r"'../it'\''s here'");
    assert_eq!(quoted(""), "''");
    let path = |bytes: &[u8]| quoted_path(&RepoPath::new(bytes));
    assert_eq!(path(b"a/it's"), r"'a/it'\''s'");
    assert_eq!(path("a/\u{e9}".as_bytes()), "a/\u{e9}");
    assert_eq!(path(b"a/*"), "':(literal)a/*'");
    assert_eq!(path(b"it's\n\xff\\"), r"$':(literal)it\'s\012\377\\'");
}

#[test]
fn sizes_are_said_in_units() {
    let said = [0, 999, 1000, 4096, 999_949, 999_950, 12_340_000, u64::MAX].map(bytes);
    assert_eq!(
        said,
        [
            "0 B",
            "999 B",
            "1.0 kB",
            "4.1 kB",
            "999.9 kB",
            "1.0 MB",
            "12.3 MB",
            "18446744073709551615 B"
        ]
    );
}
