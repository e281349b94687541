//! Normalises source text: two layouts of the same code give the same text.

/// Words that no call or subscript follows.
const KEYWORDS: [&str; 23] = [
    "and", "as", "assert", "await", "case", "del", "elif", "else", "except", "for", "from", "if",
    "import", "in", "is", "lambda", "not", "or", "raise", "return", "while", "with", "yield",
];

/// Source text without comments and blank lines.
pub fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['#', '"', '\'', '\n']) {
        out += &rest[..at];
        rest = &rest[at..];
        let end = match rest.as_bytes()[0] {
            b'#' => memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len()),
            b'\n' => {
                out.truncate(out.trim_end_matches([' ', '\t']).len());
                if !(out.is_empty() || out.ends_with('\n')) {
                    out.push('\n');
                }
                1
            }
            quote => {
                let end = end_of_text(rest, char::from(quote));
                out += &rest[..end];
                end
            }
        };
        rest = &rest[end..];
    }
    out + rest.trim_end()
}

/// Source text without what a formatter changes: comments, white space, quotes, underscores in numbers, and
/// trailing commas.
pub fn normal(text: &str) -> String {
    let text = &without_comments(text);
    let tokens = tokens(text);
    let mut out = String::with_capacity(text.len());
    let mut brackets = Vec::new();
    let mut before = "";
    let mut is_unary = true;
    for (at, &token) in tokens.iter().enumerate() {
        let is_closing = matches!(token, ")" | "]" | "}");
        if token == "," && tokens.get(at + 1).is_none_or(|next| is_close(next)) {
            continue;
        }
        if is_closing {
            brackets.pop();
        }
        let is_tight = before.is_empty()
            || is_closing
            || matches!(token, "," | ":" | ";" | ".")
            || matches!(before, "(" | "[" | "{" | ".")
            || token.contains('=') && is_sign(token)
            || before.contains('=') && is_sign(before)
            || token == "**" || before == "**"
            || matches!(token, "(" | "[") && ends_value(before)
            // `-1`, `*args`, `@app`
            || is_sign(before) && is_unary
            || before == ":" && brackets.last() == Some(&"[");
        if !is_tight {
            out.push(' ');
        }
        is_unary = is_sign(token) && !ends_value(before);
        match token {
            "(" | "[" | "{" => brackets.push(match token {
                "[" if !ends_value(before) => "list",
                token => token,
            }),
            _ => {}
        }
        out += &canonical(token);
        before = token;
    }
    out
}

fn is_close(token: &str) -> bool {
    matches!(token, ")" | "]" | "}")
}

/// Whether a value ends with this token, so that a bracket after it calls it or takes an item of it.
fn ends_value(token: &str) -> bool {
    let is_word = token
        .chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || "_\"'".contains(c));
    is_close(token) || is_word && !KEYWORDS.contains(&token)
}

/// Whether a token is an operator.
fn is_sign(token: &str) -> bool {
    token.chars().all(|c| "+-*/%<>=!&|^~@".contains(c)) && token != "->"
}

/// Names, numbers, texts with their prefixes, operators and single signs.
pub fn tokens(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut all = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let is_number = first.is_ascii_digit();
        let end = match rest[word..].chars().next() {
            Some(quote @ ('"' | '\'')) if word <= 2 && !is_number => {
                word + end_of_text(&rest[word..], quote)
            }
            _ if is_number => {
                let is_inside = |c: char| is_part(c) || c == '.';
                rest.find(|c| !is_inside(c)).unwrap_or(rest.len())
            }
            _ if word > 0 => word,
            _ => {
                let signs = rest
                    .find(|c| !"+-*/%<>=!&|^~@:".contains(c))
                    .unwrap_or(rest.len());
                operator(&rest[..signs]).unwrap_or(first.len_utf8())
            }
        };
        all.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    all
}

/// A number without underscores, and a text with double quotes, where there are none in it.
fn canonical(text: &str) -> String {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.replace('_', "");
    }
    if !text.contains('\'') || text.contains('"') || text.contains("\\'") {
        return text.to_owned();
    }
    let quote = text.find('\'').unwrap_or(0);
    let ends = if text[quote..].starts_with("\'\'\'") {
        3
    } else {
        1
    };
    let (start, end) = (quote + ends, text.len().saturating_sub(ends));
    let Some(inside) = text.get(start..end) else {
        return text.to_owned();
    };
    let quotes = "\"".repeat(ends);
    format!("{}{quotes}{inside}{quotes}", &text[..quote])
}

/// White space, and the sign that continues a line.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\\'
}

/// How long the longest operator is that a text begins with.
fn operator(signs: &str) -> Option<usize> {
    const LONG: [&str; 22] = [
        "**=", "//=", ">>=", "<<=", "->", ":=", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=",
        "%=", "&=", "|=", "^=", "**", "//", "<<", ">>",
    ];
    let mut all = LONG.iter();
    all.find(|long| signs.starts_with(*long))
        .map(|long| long.len())
}

/// Where a text ends that begins with this quote, or three of them.
fn end_of_text(text: &str, quote: char) -> usize {
    let triple = quote.to_string().repeat(3);
    let ends = if text.starts_with(&triple) {
        triple
    } else {
        quote.to_string()
    };
    let mut at = ends.len();
    while let Some(next) = text[at..].chars().next() {
        if text[at..].starts_with(&ends) {
            return at + ends.len();
        }
        at += next.len_utf8();
        if next == '\\' {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_between_tokens_says_nothing() {
        const PARTS: [&str; 20] = [
            "a", "1_0", "'x'", "f'{a}'", "(", ")", "[", "]", "{", "}", ",", ":", "=", "==", "-",
            "**", "or", ".", "@", "é",
        ];
        let mut random = testing::Random(20_261_201);
        for _ in 0..3_000 {
            let count = random.below(12);
            let parts: Vec<&str> = (0..count)
                .map(|_| PARTS[random.below(PARTS.len())])
                .collect();
            let loose = parts.join(" \n  ");
            assert_eq!(normal(&parts.join(" ")), normal(&loose), "{loose}");
            // Whatever else comes in, nothing breaks.
            normal(&loose.replace('x', "\\"));
            normal(&loose.replace("'x'", "'''"));
        }
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        let text = "# a\n\nx = '#b'  # c\n\n\nif x:\n    # 'd\n    y = \"\"\"\n\n# e\n\"\"\"\n";
        let left = "x = '#b'\nif x:\n    y = \"\"\"\n\n# e\n\"\"\"";
        assert_eq!(without_comments(text).trim_end(), left);
    }

    #[test]
    fn what_a_formatter_changes_is_one_text() {
        for (text, other) in [
            ("f(a,b = 1)", "f( a, b=1, )"),
            ("x[ a : b+1 ]", "x[a:b + 1]"),
            ("{ 'a' : 1_000 }", "{\"a\": 1000}"),
            ("if a==-1 and not(b):", "if a == -1 and not (b):"),
            ("y = f(*args,**more)", "y=f(*args, **more)"),
            ("a or \\\n  b", "a or b"),
            ("lambda x:x", "lambda x: x"),
            ("[1,2 ,3]", "[1, 2, 3]"),
            ("x if y else-1", "x if y else -1"),
            ("f'a {b} c'", "f\"a {b} c\""),
            ("'''a\n b'''", "\"\"\"a\n b\"\"\""),
        ] {
            assert_eq!(normal(text), normal(other));
            assert_eq!(normal(&normal(text)), normal(text));
        }
        assert_eq!(normal("f (a ,b= -1)[ 0 ] . c"), "f(a, b=-1)[0].c");
        assert_eq!(
            normal("a+b*c if d<e else 'x  y'"),
            "a + b * c if d < e else \"x  y\""
        );
    }
}
