//! Patterns of `case` and `[[ … ]]`, and where a command's output goes.

use super::super::{Condition, Word, variables};
use super::run::Announced;
use super::words::Parts;
use super::{Parser, is_blank};

impl Parser<'_> {
    /// The pattern of a `case`, up to its bracket.
    pub fn pattern(&mut self) {
        self.pass_space(|b| is_blank(b) || b == b'\n');
        if self.peek() == Some(b'#') {
            self.skip_line();
            return;
        }
        if self.slice(self.at..self.bytes.len()).starts_with("esac") {
            self.at += 4;
            self.keyword("esac");
            return;
        }
        self.at += usize::from(self.peek() == Some(b'('));
        let from = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    let words = self.slice(from..self.at).replace(['"', '\'', ' '], "");
                    if let Some((subject, _)) = self.cases.last().cloned() {
                        self.note_comparison(&subject, format!("in [{}]", words.replace('|', ",")));
                        let name = variables(&subject).into_iter().next();
                        let word = Some(words.clone()).filter(|word| !word.is_empty());
                        let condition = match name {
                            _ if words == "*" => None,
                            Some((name, _)) => Condition::new(name, word, words.is_empty()),
                            None if !subject.contains("$(") => None,
                            None => {
                                let asked = Some(format!("{subject} is {words}"));
                                Condition::new(String::new(), asked, false)
                            }
                        };
                        self.begin_branch(self.around(2).and(condition));
                    }
                    self.at += 1;
                    break;
                }
                b'\\' => self.at += 2,
                b'\'' => {
                    self.single_quoted();
                }
                b'"' => self.double_quoted(&mut Parts::default()),
                _ => self.at += 1,
            }
        }
        if let Some((_, pattern)) = self.cases.last_mut() {
            *pattern = false;
        }
    }

    /// What stands behind `=~`, up to a space that is in no brackets.
    pub fn regular_expression(&mut self) {
        let (from, mut open) = (self.at, 0_usize);
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => break,
                _ if is_blank(byte) && open == 0 => break,
                b'\\' => self.at += 1,
                b'$' => {
                    self.expansion(&mut Parts::default(), true);
                    continue;
                }
                b'(' => open += 1,
                b')' => open = open.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
        let text = self.slice(from..self.at).replace(['"', '\''], "");
        self.command.words.push(Word::new(text, &(from..self.at)));
    }

    /// `> file`, `2>&1`, `< file`, `<<END`, `<<< word`, `<(commands)`.
    pub fn redirect(&mut self) {
        let start = self.at;
        while matches!(self.peek(), Some(b'<' | b'>' | b'|')) && self.at < start + 3 {
            self.at += 1;
        }
        let operator = self.slice(start..self.at);
        if matches!(operator, "<" | ">") && self.peek() == Some(b'(') {
            self.at += 1;
            self.commands(Some(b')'));
            return;
        }
        if operator == "<<" {
            let strips = self.peek() == Some(b'-');
            self.at += usize::from(strips);
            self.blanks();
            let from = self.at;
            self.word_values();
            let delimiter = self.slice(from..self.at);
            let expands = !delimiter.contains(['"', '\'', '\\']);
            let delimiter = delimiter.replace(['"', '\'', '\\', '\0'], "");
            if !delimiter.is_empty() {
                self.documents.push(Announced {
                    delimiter,
                    strips,
                    expands,
                    command: None,
                });
            }
            return;
        }
        self.at += usize::from(self.peek() == Some(b'&'));
        self.blanks();
        let from = self.at;
        if matches!(self.peek(), Some(b'<' | b'>')) {
            // `< <(commands)`
            return;
        }
        let words = self.word_values();
        let text: String = words.iter().map(|word| word.text.as_str()).collect();
        if operator == "<<<" {
            self.command.input = Some((text, from..self.at));
        } else if operator.starts_with('>') && !text.starts_with("/dev/") {
            let is_handle = text.chars().all(|c| c.is_ascii_digit() || c == '-');
            if !is_handle {
                self.command.writes.push(text);
            }
        } else if operator == "<" {
            self.command.list.get_or_insert(text);
        }
    }
}
