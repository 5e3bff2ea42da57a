//! The judgement as commands of GitHub's workflows: annotations at the line of code, where that is known.
//!
//! `::error file=shop/views.py,line=33,title=…::…`: the runner reads them at the start of a line. In a property `:` and
//! `,` are escaped, everywhere `%` and the ends of lines.

use std::fmt::Write;

use super::verdict::Checked;
use super::words::{self, visible};
use crate::cli::client::Finding;
use crate::cli::report::words::{fix, proof};

pub(super) fn render(checked: &Checked) -> String {
    let mut text = String::new();
    for missing in &checked.missing {
        command(&mut text, None, "pgprism: not everything was seen", missing);
    }
    for (sighting, finding) in checked.new_findings() {
        let title = format!("pgprism: {}", finding.advice.title);
        let mut message = vec![format!(
            "{} ({})",
            finding.kind,
            finding.confidence.as_str()
        )];
        message.extend(words::tests(&sighting.tests).map(|tests| format!("test: {tests}")));
        message.extend(proof(finding).map(|proof| format!("proof: {proof}")));
        let (code, remark) = fix(&finding.advice.django);
        let remark = remark
            .map(|remark| format!("  # {remark}"))
            .unwrap_or_default();
        message.push(format!("fix: {code}{remark}"));
        message.push(format!("id: {}", finding.id));
        command(&mut text, place(finding), &title, &message.join("\n"));
    }
    for breach in &checked.judgement.shapes {
        let title = "pgprism: shape too expensive";
        let message = format!(
            "{}: {}, in {}",
            words::shape(checked, breach.what),
            words::limit(&breach.limit),
            words::unit(&breach.at)
        );
        command(&mut text, None, title, &message);
    }
    for breach in &checked.judgement.budgets {
        let at = words::most_in(breach)
            .map(|at| format!(", {at}"))
            .unwrap_or_default();
        let message = format!(
            "{}: {}{at}",
            words::unit(&breach.what),
            words::limit(&breach.limit)
        );
        command(&mut text, None, "pgprism: budget exceeded", &message);
    }
    match text.is_empty() {
        true => text,
        // The command may have left a line without an end.
        false => format!("\n{text}"),
    }
}

/// File and line of what repeats: `shop/views.py:33`.
fn place(finding: &Finding) -> Option<(&str, u32)> {
    let (file, line) = words::callsite(finding)?.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}

fn command(text: &mut String, place: Option<(&str, u32)>, title: &str, message: &str) {
    let place = place
        .map(|(file, line)| format!("file={},line={line},", property(file)))
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "::error {place}title={}::{}",
        property(title),
        data(message)
    );
}

/// What stands behind the second `::`.
fn data(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    escaped(&lines.join("\n"))
}

fn property(text: &str) -> String {
    escaped(&visible(text))
        .replace(':', "%3A")
        .replace(',', "%2C")
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        let mut text = String::new();
        let hostile = "a%b::c,d\r\n::error::e";
        command(&mut text, Some(("x,y:z.py", 7)), hostile, hostile);
        assert_eq!(
            text,
            "::error file=x%2Cy%3Az.py,line=7,title=a%25b%3A%3Ac%2Cd? %3A%3Aerror%3A%3Ae\
             ::a%25b::c,d%0A::error::e\n"
        );
        assert_eq!(text.lines().count(), 1);
    }
}
