//! Versions of Python packages against what a requirement asks for.

use std::cmp::Ordering;

/// Whether a version is what a specifier such as `>=1.12,<2` asks for; `None` where the specifier
/// has something that isn't understood here. Pre-releases count as their release.
pub fn satisfies(version: &str, specifier: &str) -> Option<bool> {
    let specifier = specifier.split(';').next().unwrap_or_default();
    let specifier = match specifier.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.1,
        None => specifier,
    };
    let mut all = true;
    for clause in specifier
        .split(',')
        .map(str::trim)
        .filter(|c| !c.is_empty())
    {
        let end = clause
            .find(|c| !"<>=!~".contains(c))
            .unwrap_or(clause.len());
        let (operator, wanted) = clause.split_at(end);
        all &= clause_holds(version, operator, wanted.trim())?;
    }
    Some(all)
}

fn clause_holds(version: &str, operator: &str, wanted: &str) -> Option<bool> {
    if wanted.is_empty() {
        return None;
    }
    if let Some(stem) = wanted.strip_suffix(".*") {
        let stem = release(stem)?;
        let is_in = padded(&release(version)?, stem.len()).starts_with(&stem);
        return match operator {
            "==" => Some(is_in),
            "!=" => Some(!is_in),
            _ => None,
        };
    }
    let order = compare(version, wanted)?;
    Some(match operator {
        "==" | "===" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        ">=" => order != Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        "<" => order == Ordering::Less,
        "~=" => {
            let mut stem = release(wanted)?;
            stem.pop().filter(|_| !stem.is_empty())?;
            order != Ordering::Less && padded(&release(version)?, stem.len()).starts_with(&stem)
        }
        _ => return None,
    })
}

fn compare(version: &str, wanted: &str) -> Option<Ordering> {
    let (version, wanted) = (release(version)?, release(wanted)?);
    let length = version.len().max(wanted.len());
    Some(padded(&version, length).cmp(&padded(&wanted, length)))
}

/// The numbers of a release: `1.12.0` of `1.12.0rc1+local`.
fn release(version: &str) -> Option<Vec<u64>> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let end = version
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(version.len());
    let numbers = version[..end].trim_end_matches('.');
    numbers.split('.').map(|part| part.parse().ok()).collect()
}

fn padded(numbers: &[u64], length: usize) -> Vec<u64> {
    let mut numbers = numbers.to_vec();
    numbers.resize(numbers.len().max(length), 0);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_hold_or_do_not() {
        for (version, specifier, holds) in [
            ("1.12.0", ">=1.12,<2", Some(true)),
            ("1.9.3", ">=1.12,<2", Some(false)),
            ("2.0", ">=1.12,<2", Some(false)),
            ("1.13.0.post1", "[all]>=1.12", Some(true)),
            ("1.7.4", "~=1.7.0", Some(true)),
            ("1.8.0", "~=1.7.0", Some(false)),
            ("1.8", "~=1.7", Some(true)),
            ("0.5.19", "==0.5.19", Some(true)),
            ("0.5.19", "==0.5.*", Some(true)),
            ("0.6", "!=0.5.*", Some(true)),
            ("3.11.2", ">=3.10", Some(true)),
            ("1.0", "", Some(true)),
            ("1.0", ">=1 ; python_version > '3'", Some(true)),
            ("1.0", "@git+https://x", None),
            ("unknown", ">=1", None),
        ] {
            assert_eq!(
                satisfies(version, specifier),
                holds,
                "{version} {specifier}"
            );
        }
    }
}
