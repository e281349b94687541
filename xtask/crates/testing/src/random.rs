//! Numbers and texts for tests that try many inputs: the same ones in every run.

pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    /// A text that is nearly JSON: tokens in any order, most of which JSON has.
    pub fn text(&mut self) -> Vec<u8> {
        const TOKENS: &[&[u8]] = &[
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\"a\"",
            b"\"b\\n\"",
            b"\"\\ud83d\\ude00\"",
            b"\"\\ud83d\"",
            b"1",
            b"-0",
            b"1.5e3",
            b"01",
            b"1e400",
            b"true",
            b"null",
            b"nul",
            b" ",
            b"\n",
            b"\t",
            b"//x\n",
            b"\\n",
            b"\x00",
            b"\xff",
            b"\"",
            b"\\",
            b"\xef\xbb\xbf",
            b"'",
            b"\"\x7f\x1f\"",
            b"-",
            b".",
            b"\xc3\xa4",
        ];
        let mut out = Vec::new();
        for _ in 0..self.below(12) {
            out.extend_from_slice(TOKENS[self.below(TOKENS.len())]);
        }
        out
    }

    /// A text with some bytes changed, removed or doubled.
    pub fn damaged(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = text.to_vec();
        for _ in 0..=self.below(4) {
            if out.is_empty() {
                break;
            }
            let at = self.below(out.len());
            let end = (at + self.below(5)).min(out.len());
            match self.below(4) {
                0 => out[at] = u8::try_from(self.below(256)).unwrap(),
                1 => drop(out.drain(at..end)),
                2 => {
                    let piece = out[at..end].to_vec();
                    out.splice(at..at, piece);
                }
                _ => out.truncate(at),
            }
        }
        out
    }
}
