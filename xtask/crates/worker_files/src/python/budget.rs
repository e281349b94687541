//! Reading takes no more steps than the text is long, whatever calls what.

use super::tests::read_steps;

/// A file with functions that call each other in a ring, as long as a usual one.
fn ring(functions: usize, asks: bool) -> String {
    let mut text = "import os\n\n\n".to_owned();
    for at in 0..functions {
        let next = (at + 1) % functions;
        let ask = if asks && at % 10 == 0 {
            format!("    value = os.getenv(\"RING_{at}\", value)\n")
        } else {
            String::new()
        };
        text += &format!(
            "def step_{at}(value, more=None):\n{ask}    if value:\n        return step_{next}(value, more or {at})\n    return [value, {at}]\n\n\n"
        );
    }
    text
}

#[test]
#[ignore]
fn measure() {
    for asks in [false, true] {
        let text = ring(40, asks);
        let files: Vec<(String, String)> = (0..100)
            .map(|at| (format!("m{at}.py"), text.clone()))
            .collect();
        let start = std::time::Instant::now();
        let (steps, bytes, unread) = read_steps(&files);
        eprintln!(
            "{asks}: {:?} for {bytes} bytes, {steps} steps ({}/byte), {unread} unread",
            start.elapsed(),
            steps / bytes
        );
    }
    let text = (0..60).fold(
        "import os\ndef f60(x): return os.getenv(x)\n".to_owned(),
        |all, at| {
            all + &format!(
                "def f{at}(x): return f{}(x + 'a') or f{}(x + 'b')\n",
                at + 1,
                at + 1
            )
        },
    ) + "f0('A')\n";
    let start = std::time::Instant::now();
    let (steps, bytes, unread) = read_steps(&[("a.py".to_owned(), text)]);
    eprintln!(
        "doubling: {:?} for {bytes} bytes, {steps} steps, {unread} unread",
        start.elapsed()
    );
}
