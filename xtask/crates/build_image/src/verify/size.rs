//! The size of the image and of its steps.

use super::Seen;
use super::inspect::HistoryStep;
use crate::report::{Check, CheckStatus};
use xtask_core::output::{bytes, cut};

/// How many steps are listed, and how much of each.
const LISTED: usize = 5;
const MOST: usize = 70;

pub fn check(seen: &Seen, budget: u64) -> Check {
    let image = &seen.image;
    let base = seen.base_image().map(|base| base.size);
    let over = base.map_or(0, |base| image.size.saturating_sub(base));
    let base = base.map_or_else(
        || "; the base image is not on this engine".to_owned(),
        |base| format!(", {} over the base image's {}", bytes(over), bytes(base)),
    );
    let mut lines = vec![format!("{} in all{base}", bytes(image.size))];
    let mut steps: Vec<&HistoryStep> = seen.history.iter().filter(|step| step.size > 0).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.size));
    let line = |step: &&HistoryStep| format!("{:>10}  {}", bytes(step.size), instruction(step));
    lines.extend(steps.iter().take(LISTED).map(line));
    let too_large = (over > budget).then(|| {
        format!(
            "that is more than the {} that a worker may add to its base image: look at the steps \
             above, or raise the limit with --size-budget",
            bytes(budget)
        )
    });
    Check::new("size", CheckStatus::Passed, lines).warn(too_large)
}

/// A step in a line, without the shell that it runs in.
fn instruction(step: &HistoryStep) -> String {
    let text = step.created_by.replace(" # buildkit", "");
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.join(" ").replace("/bin/sh -c ", "") {
        none if none.is_empty() => "(imported)".to_owned(),
        text => cut(&text, MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::super::inspect::InspectedImage;
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
            ("RUN /bin/sh -c pip install x # buildkit", 95),
        ];
        let steps = steps.map(|(created_by, size)| HistoryStep {
            created_by: created_by.into(),
            size: size * 1_000_000,
        });
        let seen = Seen {
            image: image(1_000_000_000),
            history: steps.to_vec(),
            base: Some((image(900_000_000), Vec::new())),
            ..Seen::default()
        };
        let good = check(&seen, 100_000_000);
        assert_eq!(good.verdict, CheckStatus::Passed);
        assert_eq!(
            good.words,
            [
                "1.0 GB in all, 100.0 MB over the base image's 900.0 MB",
                "  900.0 MB  (imported)",
                "   95.0 MB  RUN pip install x",
                "    5.0 MB  COPY a b",
            ]
        );
        let large = check(&seen, 99_999_999);
        assert_eq!(large.verdict, CheckStatus::Warning);
        assert!(
            large.words[4].contains("more than the 100.0 MB"),
            "{large:?}"
        );
        let unknown = check(&Seen::default(), 0);
        assert_eq!(unknown.verdict, CheckStatus::Passed, "{unknown:?}");
    }
}
