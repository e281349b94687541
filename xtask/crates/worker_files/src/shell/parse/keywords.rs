//! The words of the grammar: `if`, `then`, `{`, `esac`.

use super::Parser;

impl Parser<'_> {
    /// Words of the grammar; true where the command itself is yet to come.
    pub fn keyword(&mut self, word: &str) -> bool {
        match word {
            "if" | "while" | "until" => {
                self.open_block();
                self.in_condition = true;
            }
            "then" | "do" => {
                self.in_condition = false;
                self.begin_branch(self.guard.clone());
            }
            "elif" => {
                self.begin_branch(self.around(2));
                self.in_condition = true;
            }
            "else" => {
                let outermost = self.around(2).depth();
                self.begin_branch(self.around(1).negated_from(outermost));
            }
            "fi" | "done" => self.close_block(),
            "!" => self.negated = !self.negated,
            "{" => {
                self.before_or = None;
                // `[ -n "$NAME" ] && {`
                let is_block = self.guard != self.around(1);
                self.brace_blocks.push(is_block);
                if is_block {
                    self.open_block();
                }
            }
            "}" => {
                match self.brace_blocks.pop() {
                    Some(true) => self.close_block(),
                    // `{ [ -z "$NAME" ]; } &&`
                    _ if self.last.depth() > 0 => self.guard = std::mem::take(&mut self.last),
                    _ => {}
                }
            }
            "esac" => {
                self.cases.pop();
                self.close_block();
            }
            _ => return false,
        }
        true
    }
}
