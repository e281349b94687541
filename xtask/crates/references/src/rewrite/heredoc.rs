//! Here-documents of `RUN`, hidden from the parser.
//!
//! The parser knows a here-document only where `RUN` begins with one. In `RUN python3 - <<EOF` it
//! would read the lines of the document as instructions, so these are blanked out before, byte for
//! byte, and every offset stays what it was.

use std::borrow::Cow;

/// The text with every here-document of a `RUN` made invisible; `Err` with the offset of one that
/// never ends.
pub fn hidden(text: &str) -> Result<Cow<'_, str>, usize> {
    if !text.contains("<<") {
        return Ok(Cow::Borrowed(text));
    }
    let escape = escape(text);
    let mut bytes = text.as_bytes().to_vec();
    let mut lines = lines(text).peekable();
    while let Some((start, line)) = lines.next() {
        if is_blank_or_comment(line) {
            continue;
        }
        // The instruction goes on over lines that end in the escape character.
        let mut parts = vec![(start, line)];
        let mut open = continues(line, escape);
        while open {
            let Some((start, line)) = lines.next() else {
                break;
            };
            if !is_blank_or_comment(line) {
                open = continues(line, escape);
                parts.push((start, line));
            }
        }
        let Some(kind) = kind(line) else { continue };
        let mut documents = Vec::new();
        for &(start, line) in &parts {
            documents.extend(openings(start, line));
        }
        for document in documents {
            let mut ended = false;
            let mut body = Vec::new();
            for (start, line) in lines.by_ref() {
                let bare = if document.strip_tabs {
                    line.trim_start_matches('\t')
                } else {
                    line
                };
                body.push((start, line));
                if bare == document.end {
                    ended = true;
                    break;
                }
            }
            if !ended {
                return Err(document.at);
            }
            if kind == Kind::Run {
                blank(&mut bytes, document.at, document.length, b'_');
                for (start, line) in body {
                    blank(&mut bytes, start, line.len(), b'#');
                }
            }
        }
    }
    // Only whole words and whole lines were replaced, each byte by an ASCII one.
    Ok(String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Run,
    Copy,
}

/// What the instruction is, if it can hold a here-document.
fn kind(line: &str) -> Option<Kind> {
    let mut words = line.split_whitespace();
    let mut word = words.next()?;
    if word.eq_ignore_ascii_case("ONBUILD") {
        word = words.next()?;
    }
    if word.eq_ignore_ascii_case("RUN") {
        Some(Kind::Run)
    } else if word.eq_ignore_ascii_case("COPY") || word.eq_ignore_ascii_case("ADD") {
        Some(Kind::Copy)
    } else {
        None
    }
}

/// The escape character that the file's directives choose.
pub fn escape(text: &str) -> char {
    for (_, line) in lines(text) {
        let Some(directive) = line.trim_start().strip_prefix('#') else {
            break;
        };
        let Some((name, value)) = directive.split_once('=') else {
            break;
        };
        if name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`" {
            return '`';
        }
    }
    '\\'
}

/// Each line with its offset, without its line ending.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = 0;
    text.split_inclusive('\n').map(move |whole| {
        let start = offset;
        offset += whole.len();
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        (start, line.strip_suffix('\r').unwrap_or(line))
    })
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn continues(line: &str, escape: char) -> bool {
    line.trim_end_matches([' ', '\t']).ends_with(escape)
}

/// `<<NAME`, as it stands in an instruction.
struct Opening {
    at: usize,
    length: usize,
    end: String,
    strip_tabs: bool,
}

/// The here-documents that a line opens: words outside quotes such as `<<EOF`, `3<<-"EOF"`.
fn openings(start: usize, line: &str) -> Vec<Opening> {
    let mut found = Vec::new();
    let mut word_start = None;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        if c.is_whitespace() && quote.is_none() && !escaped {
            if let Some(begin) = word_start.take()
                && let Some(opening) = opening(&line[begin..at])
            {
                found.push(Opening {
                    at: start + begin,
                    length: at - begin,
                    ..opening
                });
            }
            continue;
        }
        word_start.get_or_insert(at);
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != Some('\'') {
            escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '"' || c == '\'') {
            quote = Some(c);
        }
    }
    found
}

fn opening(word: &str) -> Option<Opening> {
    let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let name = word.strip_prefix("<<")?;
    let (strip_tabs, name) = match name.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let end: String = name.chars().filter(|c| !"\"'\\".contains(*c)).collect();
    (!end.is_empty() && !name.contains('<')).then_some(Opening {
        at: 0,
        length: 0,
        end,
        strip_tabs,
    })
}

fn blank(bytes: &mut [u8], start: usize, length: usize, with: u8) {
    if let Some(bytes) = bytes.get_mut(start..start + length) {
        bytes.fill(with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_in_the_middle_of_run_is_hidden_and_nothing_moves() {
        let text = "FROM a\nRUN python3 - <<'EOF' && true\nCOPY .runpod/ ./\nEOF\nCOPY a b\n";
        let hidden = hidden(text).unwrap();
        assert_eq!(
            hidden,
            "FROM a\nRUN python3 - _______ && true\n################\n###\nCOPY a b\n"
        );
        assert_eq!(hidden.len(), text.len());
    }

    #[test]
    fn a_document_of_copy_stays_and_its_lines_are_no_instructions() {
        let text = "FROM a\nCOPY <<EOF /x\nRUN cat <<A\nEOF\nRUN cat <<<x <<-B\n\t\tB\n";
        assert_eq!(
            hidden(text).unwrap(),
            "FROM a\nCOPY <<EOF /x\nRUN cat <<A\nEOF\nRUN cat <<<x ____\n###\n"
        );
    }

    #[test]
    fn one_that_never_ends_is_told_with_its_place() {
        assert_eq!(hidden("FROM a\nRUN cat <<EOF\nx\n"), Err(15));
        assert_eq!(hidden("FROM a\nRUN echo \"<<EOF\"\nx\n").unwrap().len(), 26);
    }
}
