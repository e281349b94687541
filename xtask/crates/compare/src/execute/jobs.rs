//! What jobs lead to in both workers.

use super::super::facts::Fact;
use super::super::judge::Item;
use super::results::{describe, is_made, same_results};
use super::{Played, PlayedJob};
use serde_json::Value;

/// A job that a variable changes in the old worker, where it does not do so in the new one.
pub fn other_answer(bases: [&Played; 2], runs: [&Played; 2]) -> Option<String> {
    let job_of = |played: &Played, name: &str| -> Option<PlayedJob> {
        played.jobs.iter().find(|job| job.name == name).cloned()
    };
    let same = |a: &PlayedJob, b: &PlayedJob| {
        a.error == b.error && a.requests == b.requests && same_results(a, b)
    };
    runs[0].jobs.iter().find_map(|was| {
        let name = &was.name;
        let is = job_of(runs[1], name)?;
        let [plain_was, plain_is] = bases.map(|base| job_of(base, name));
        let (plain_was, plain_is) = (plain_was?, plain_is?);
        let changes = [!same(&plain_was, was), !same(&plain_is, &is)];
        let other = changes == [true, false]
            || changes == [true, true] && same(&plain_was, &plain_is) && !same(was, &is);
        let [did, does] = [told(was), told(&is)];
        other
            .then(|| format!("the old worker does with the job {name}: {did}; the new one: {does}"))
    })
}

/// Whether a job raised an error, or was answered with errors alone.
pub fn has_failed(job: &PlayedJob) -> bool {
    let is_error = |result: &Value| result.get("error").is_some();
    let answered = !job.results.is_empty() && job.requests.is_empty();
    job.error.is_some() || answered && job.results.iter().all(is_error)
}

/// What came of a job, in words.
fn told(job: &PlayedJob) -> String {
    if let Some(error) = &job.error {
        return format!("fails with {error}");
    }
    let requests = job.requests.iter();
    let requests = requests.map(|(method, path, body)| format!("{method} {path} {body}"));
    let requests = requests.collect::<Vec<_>>().join(", ");
    format!("{requests} → {}", describe(&job.results))
}

/// Jobs that lead to other requests than before.
pub fn jobs(old: &Played, new: &Played, items: &mut Vec<Item>) {
    for was in &old.jobs {
        let Some(is) = new.jobs.iter().find(|job| job.name == was.name) else {
            continue;
        };
        // Both give back what the server answered, wherever the reading lost it.
        if [was, is].iter().all(|job| job.results.iter().any(is_made)) {
            let results = items.iter_mut().filter(|item| item.area() == "result");
            results.for_each(|item| item.is_unsure = false);
        }
        let [before, now] = [was, is].map(|job| {
            let requests = job.requests.iter();
            let lines = requests.map(|(method, path, _)| format!("{method} {path}"));
            let none = job.requests.is_empty().then(|| "nothing".to_owned());
            lines.chain(none).collect::<Vec<_>>().join(", ")
        });
        let bodies = |job: &PlayedJob| -> Vec<Value> {
            job.requests.iter().map(|it| it.2.clone()).collect()
        };
        let streams = |job: &PlayedJob| match job.streams {
            Some(true) => "as a generator, piece by piece",
            _ => "as one value",
        };
        let what = if let Some(error) = &is.error {
            format!("the new worker fails with {error}")
        } else if before != now {
            format!("the old worker requests {before}, the new one {now}")
        } else if bodies(was) != bodies(is) {
            let [was, is] = [was, is].map(|job| describe(&bodies(job)));
            format!("the request's body was {was}, is {is}")
        } else {
            // Pieces and one value can't be told apart otherwise, unless it is one piece.
            let is_piecewise = was.streams.is_some() && was.streams != is.streams;
            let is_other = is_piecewise && was.results.len() != is.results.len();
            let [before, now] = [was, is].map(streams);
            let pieces = format!("the handler gave back its result {before}, and gives it {now}");
            let same = is_other || same_results(was, is);
            let [was, is] = [was, is].map(|job| describe(&job.results));
            let results = (!same).then(|| format!("the handler gave back {was}, and gives {is}"));
            let told = [is_piecewise.then_some(pieces), results];
            told.into_iter().flatten().collect::<Vec<_>>().join("; ")
        };
        let id = format!("run:job.{}", was.name);
        let mut item = Item::found(&id, format!("Given this job, {what}."));
        [item.old, item.new] = [before, now].map(|it| Some(Fact::of_value(&it)));
        item.open = is.error.is_none() || was.error.is_none();
        if what.is_empty() {
            item.keep("");
        }
        items.push(item);
    }
}
