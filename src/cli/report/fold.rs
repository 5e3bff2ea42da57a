//! Breaks a line of Python where it may be broken: behind an opening bracket or a comma inside one.

/// How far a line that goes on is indented.
const INDENT: usize = 4;

/// `line` in parts of at most `columns` characters where its brackets allow it; the parts together are the same code.
pub(in crate::cli) fn python(line: &str, columns: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let margin: String = line.chars().take_while(|c| *c == ' ').collect();
    let mut rest = line.to_owned();
    while rest.chars().count() > columns {
        let Some(end) = last_break(&rest, columns) else {
            break;
        };
        let (part, behind) = rest.split_at(end);
        let behind = behind.trim_start();
        if behind.is_empty() {
            break;
        }
        parts.push(part.trim_end().to_owned());
        rest = format!("{margin}{}{behind}", " ".repeat(INDENT));
    }
    parts.push(rest);
    parts
}

/// Where the last part that fits ends: behind a bracket that opens, or behind a comma while one is open.
fn last_break(line: &str, columns: usize) -> Option<usize> {
    let mut quote = None;
    let mut last = None;
    let indent = line.len() - line.trim_start().len();
    for (count, (index, c)) in line.char_indices().enumerate() {
        if count >= columns {
            break;
        }
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '(' | '[' | '{' | ',') if index > indent => last = Some(index + 1),
            _ => {}
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::python;

    #[test]
    fn a_line_is_broken_inside_its_brackets_only() {
        let line =
            "Shop.objects.prefetch_related(Prefetch(\"order_set\", queryset=Order.objects.all()))";
        assert_eq!(python(line, 100), [line]);
        assert_eq!(
            python(line, 60),
            [
                "Shop.objects.prefetch_related(Prefetch(\"order_set\",",
                "    queryset=Order.objects.all()))"
            ]
        );
        assert_eq!(
            python("f(\"a, long (string, with, commas\")", 20),
            ["f(", "    \"a, long (string, with, commas\")"]
        );
        assert_eq!(python("x = 1234567890123", 10), ["x = 1234567890123"]);
    }

    #[test]
    fn nothing_is_lost_however_narrow() {
        let line = "    a(b(c(d, e), f), \"g h\")[1, 2].i(j)";
        for columns in 0..50 {
            let joined: String = python(line, columns).concat();
            let bare = |text: &str| text.replace(' ', "");
            assert_eq!(bare(&joined), bare(line), "{columns}");
        }
    }
}
