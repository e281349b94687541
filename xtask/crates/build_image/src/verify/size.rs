//! How large the image is, what each of its steps adds, and what changed since the last build.

use super::super::{Check, CheckStatus};
use super::inspect::{HistoryStep, InspectedImage};
use xtask_core::output::cut;

const LISTED: usize = 5;

/// The verdict: never a failure.
pub fn check(
    image: &InspectedImage,
    history: &[HistoryStep],
    base: Option<&InspectedImage>,
    before: Option<&InspectedImage>,
    budget: u64,
) -> Check {
    let over = base.map(|base| image.size.saturating_sub(base.size));
    let whole = megabytes(image.size);
    let mut lines = vec![match (base, over) {
        (Some(base), Some(over)) => format!(
            "{whole} in all, {} over the base image's {}",
            megabytes(over),
            megabytes(base.size)
        ),
        _ => format!("{whole} in all; the base image is not on this engine"),
    }];
    let mut steps: Vec<&HistoryStep> = history.iter().filter(|step| step.size > 0).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.size));
    let smaller = steps.split_off(steps.len().min(LISTED));
    let line = |size: u64, what: &str| format!("{:>10}  {what}", megabytes(size));
    lines.extend(steps.iter().map(|step| line(step.size, &instruction(step))));
    if !smaller.is_empty() {
        let sum = smaller.iter().map(|step| step.size).sum();
        lines.push(line(sum, &format!("in {} smaller steps", smaller.len())));
    }
    if let Some(before) = before {
        let words = match megabytes(image.size.abs_diff(before.size)) {
            same if same == megabytes(0) => "as large as".to_owned(),
            more if image.size > before.size => format!("{more} more than"),
            less => format!("{less} less than"),
        };
        lines.push(format!("{words} the last build of this tag"));
    }
    if over.is_none_or(|over| over <= budget) {
        return Check::new("size", CheckStatus::Passed, lines);
    }
    lines.push(format!(
        "that is more than the {} that a worker may add to its base image: look at the steps \
         above, or raise the limit with --size-budget",
        megabytes(budget)
    ));
    Check::new("size", CheckStatus::Warning, lines)
}

/// Bytes as docker counts them: a megabyte is a million.
fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn instruction(step: &HistoryStep) -> String {
    const MOST: usize = 70;
    let text = step.created_by.replace(" # buildkit", "");
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((before, after)) = text.split_once("/bin/sh -c ") {
        let kind = before.split_whitespace().next().unwrap_or("RUN");
        text = format!("{kind} {after}");
    }
    if text.is_empty() {
        "(imported)".clone_into(&mut text);
    }
    cut(&text, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: u64) -> InspectedImage {
        InspectedImage {
            size,
            ..InspectedImage::default()
        }
    }

    #[test]
    fn the_budget_over_the_base_image_is_a_warning() {
        let steps = [
            ("", 900),
            ("COPY a b", 5),
            ("RUN |1 A=b /bin/sh -c pip install x # buildkit", 95),
        ];
        let steps = steps.map(|(created_by, size)| HistoryStep {
            created_by: created_by.into(),
            size: size * 1_000_000,
        });
        let of = |budget| {
            let (image, base, before) =
                (image(1_000_000_000), image(900_000_000), image(990_000_000));
            check(&image, &steps, Some(&base), Some(&before), budget)
        };
        let good = of(100_000_000);
        assert_eq!(good.verdict, CheckStatus::Passed);
        assert_eq!(
            good.words,
            [
                "1000.0 MB in all, 100.0 MB over the base image's 900.0 MB",
                "  900.0 MB  (imported)",
                "   95.0 MB  RUN pip install x",
                "    5.0 MB  COPY a b",
                "10.0 MB more than the last build of this tag",
            ]
        );
        let large = of(99_999_999);
        assert_eq!(large.verdict, CheckStatus::Warning);
        assert!(
            large.words[5].contains("more than the 100.0 MB"),
            "{large:?}"
        );
        let unknown = check(&image(1), &[], None, None, 0);
        assert_eq!(unknown.verdict, CheckStatus::Passed, "{unknown:?}");
    }
}
