//! The size of the image.

use super::Seen;
use crate::report::Check;
use xtask_core::output::bytes;

pub fn check(seen: &Seen, budget: u64) -> Check {
    let all = format!("{} in all", bytes(seen.image.size));
    let Some(base) = seen.base_image().map(|base| base.size) else {
        return Check::passed(
            "size",
            format!("{all}; the base image is not on this engine"),
        );
    };
    let over = seen.image.size.saturating_sub(base);
    let words = format!(
        "{all}, {} over the base image's {}",
        bytes(over),
        bytes(base)
    );
    let too_large = (over > budget).then(|| {
        format!(
            "that is more than the {} that a worker may add to its base image: see `docker history`, \
             or raise the limit with --size-budget",
            bytes(budget)
        )
    });
    Check::passed("size", words).warn(too_large)
}

#[cfg(test)]
mod tests {
    use super::super::inspect::InspectedImage;
    use super::*;
    use crate::report::CheckStatus;

    fn image(size: u64) -> InspectedImage {
        InspectedImage {
            size,
            ..InspectedImage::default()
        }
    }

    #[test]
    fn the_budget_over_the_base_image_is_a_warning() {
        let seen = Seen {
            image: image(1_000_000_000),
            base: Some((image(900_000_000), Vec::new())),
            ..Seen::default()
        };
        let good = check(&seen, 100_000_000);
        assert_eq!(good.verdict, CheckStatus::Passed);
        let words = "1.0 GB in all, 100.0 MB over the base image's 900.0 MB";
        assert_eq!(good.words, [words]);
        let large = check(&seen, 99_999_999);
        assert_eq!(large.verdict, CheckStatus::Warning);
        let words = &large.words[1];
        assert!(words.contains("more than the 100.0 MB"), "{large:?}");
        let unknown = check(&Seen::default(), 0);
        assert_eq!(unknown.verdict, CheckStatus::Passed, "{unknown:?}");
    }
}
