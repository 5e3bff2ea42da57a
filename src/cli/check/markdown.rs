//! The judgement as Markdown: for a comment under a pull request, or a job's summary.

use std::fmt::{self, Write};

use super::Updated;
use super::verdict::Checked;
use super::words;
use crate::cli::report::markdown::{cell, code, one};
use crate::cli::report::words::command_without_urls;

/// Findings with all their words; GitHub cuts a comment at 65,536 characters.
const FINDINGS_MAX: usize = 20;

/// Rows of a table.
const ROWS_MAX: usize = 50;

pub(super) fn render(checked: &Checked, updated: Option<&Updated>) -> String {
    let mut text = String::new();
    let written = whole(&mut text, checked, updated);
    debug_assert!(written.is_ok(), "a String takes everything");
    text
}

fn whole(text: &mut String, checked: &Checked, updated: Option<&Updated>) -> fmt::Result {
    let outcome = words::outcome(checked, updated);
    writeln!(text, "## pgprism check: {}\n", cell(&outcome))?;
    let command = code(&command_without_urls(&checked.ran.command));
    writeln!(text, "{command}: {}", cell(&words::judged(checked)))?;
    if updated.is_none()
        && let Some(hint) = words::how_to_begin(checked)
    {
        writeln!(text, "\n{}", cell(&hint))?;
    }
    let missing = checked.missing.iter().map(|one| ("missing", one));
    let notes = checked.notes.iter().map(|one| ("note", one));
    let mut remarks = missing.chain(notes).peekable();
    if remarks.peek().is_some() {
        writeln!(text)?;
    }
    for (word, remark) in remarks {
        writeln!(text, "- {word}: {}", cell(remark))?;
    }
    findings(text, checked)?;
    shapes(text, checked)?;
    budgets(text, checked)?;
    gone(text, checked)?;
    if let Some(updated) = updated {
        writeln!(text, "\n{}", cell(&words::update(updated)))?;
    }
    writeln!(text)
}

fn findings(text: &mut String, checked: &Checked) -> fmt::Result {
    let new = checked.new_findings();
    if new.is_empty() {
        return Ok(());
    }
    let count = words::counted(new.len(), "new finding", "new findings");
    writeln!(text, "\n### {count}")?;
    for (index, (sighting, finding)) in new.iter().take(FINDINGS_MAX).enumerate() {
        let test = words::tests(&sighting.tests).map(|tests| ("test", tests));
        let line = words::callsite(finding).map(|line| ("line", line.to_owned()));
        let places: Vec<_> = test.into_iter().chain(line).collect();
        one(text, index + 1, finding, &places)?;
    }
    if new.len() > FINDINGS_MAX {
        writeln!(text, "\n{} more are new.", new.len() - FINDINGS_MAX)?;
    }
    Ok(())
}

fn shapes(text: &mut String, checked: &Checked) -> fmt::Result {
    let rows = checked.judgement.shapes.iter().map(|breach| {
        let what = words::shape(checked, breach.what);
        [what, words::limit(&breach.limit), words::unit(&breach.at)]
    });
    table(
        text,
        "Shapes too expensive",
        ["shape", "what", "where"],
        rows,
    )
}

fn budgets(text: &mut String, checked: &Checked) -> fmt::Result {
    let rows = checked.judgement.budgets.iter().map(|breach| {
        let at = words::most_in(breach).unwrap_or_default();
        [words::unit(&breach.what), words::limit(&breach.limit), at]
    });
    table(text, "Budgets exceeded", ["where", "what", "test"], rows)
}

fn table(
    text: &mut String,
    title: &str,
    heads: [&str; 3],
    rows: impl ExactSizeIterator<Item = [String; 3]>,
) -> fmt::Result {
    let count = rows.len();
    if count == 0 {
        return Ok(());
    }
    let [first, second, third] = heads;
    writeln!(
        text,
        "\n### {title}\n\n| {first} | {second} | {third} |\n|---|---|---|"
    )?;
    for row in rows.take(ROWS_MAX) {
        let [first, second, third] = row.map(|one| cell(&one));
        writeln!(text, "| {first} | {second} | {third} |")?;
    }
    if count > ROWS_MAX {
        writeln!(text, "\nand {} more.", count - ROWS_MAX)?;
    }
    Ok(())
}

fn gone(text: &mut String, checked: &Checked) -> fmt::Result {
    let gone: Vec<_> = words::gone(checked).collect();
    if gone.is_empty() || !checked.is_whole() {
        return Ok(());
    }
    let count = words::counted(gone.len(), "finding", "findings");
    writeln!(text, "\n### {count} of the baseline not seen\n")?;
    for (id, what) in gone.iter().take(ROWS_MAX) {
        writeln!(text, "- {} {}", code(id), cell(what))?;
    }
    if gone.len() > ROWS_MAX {
        writeln!(text, "- and {} more", gone.len() - ROWS_MAX)?;
    }
    Ok(())
}
