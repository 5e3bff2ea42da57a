//! The judgement as JUnit's XML: a test case for each thing that was judged.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::judge::News;
use super::verdict::Checked;
use super::words::{self, visible};
use crate::cli::report::text::{Layout, Page, finding};

/// Columns of a finding inside of the XML.
const COLUMNS: usize = 100;

/// A suite, and what it judged.
struct Suite {
    name: &'static str,
    cases: Vec<Case>,
}

/// Something that was judged.
struct Case {
    name: String,
    /// The route or the test.
    place: String,
    failure: Option<Failure>,
}

struct Failure {
    kind: String,
    message: String,
    text: String,
}

pub(super) fn render(checked: &Checked) -> io::Result<Vec<u8>> {
    let suites = [
        findings(checked),
        shapes(checked),
        budgets(checked),
        observation(checked),
    ];
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(Suite::failures).sum();
    writer
        .create_element("testsuites")
        .with_attribute(("name", "pgprism check"))
        .with_attribute(("tests", &*tests.to_string()))
        .with_attribute(("failures", &*failures.to_string()))
        .with_attribute(("errors", "0"))
        .with_attribute(("time", "0"))
        .write_inner_content(|writer| suites.iter().try_for_each(|suite| suite.write(writer)))?;
    let mut xml = writer.into_inner();
    xml.push(b'\n');
    Ok(xml)
}

impl Suite {
    fn failures(&self) -> usize {
        self.cases
            .iter()
            .filter(|case| case.failure.is_some())
            .count()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        writer
            .create_element("testsuite")
            .with_attribute(("name", self.name))
            .with_attribute(("tests", &*self.cases.len().to_string()))
            .with_attribute(("failures", &*self.failures().to_string()))
            .with_attribute(("errors", "0"))
            .with_attribute(("skipped", "0"))
            .with_attribute(("time", "0"))
            .write_inner_content(|writer| {
                self.cases
                    .iter()
                    .try_for_each(|case| case.write(self.name, writer))
            })?;
        Ok(())
    }
}

impl Case {
    fn write(&self, suite: &str, writer: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let name = match self.place.is_empty() {
            true => self.name.clone(),
            false => format!("{} in {}", self.name, self.place),
        };
        let case = writer
            .create_element("testcase")
            .with_attribute(("classname", &*format!("pgprism.{suite}")))
            .with_attribute(("name", &*visible(&name)))
            .with_attribute(("time", "0"));
        let Some(failure) = &self.failure else {
            return case.write_empty().map(|_| ());
        };
        case.write_inner_content(|writer| {
            writer
                .create_element("failure")
                .with_attribute(("type", &*visible(&failure.kind)))
                .with_attribute(("message", &*visible(&failure.message)))
                .write_text_content(BytesText::new(&failure.text))
                .map(|_| ())
        })
        .map(|_| ())
    }
}

/// All that count: known ones pass.
fn findings(checked: &Checked) -> Suite {
    let judged = checked.judgement.findings.iter();
    let cases = judged.filter_map(|(id, sighting)| {
        let told = checked.finding(*id)?;
        if matches!(sighting.news, News::SameLoop(_)) {
            return None;
        }
        let place = sighting.seen().map(ToString::to_string).unwrap_or_default();
        let failure = sighting.is_new().then(|| {
            let mut page = Page::new(Layout {
                columns: COLUMNS,
                colours: false,
            });
            let tests = words::tests(&sighting.tests).map(|tests| ("test", visible(&tests)));
            let line = words::callsite(told).map(|line| ("line", visible(line)));
            let places: Vec<_> = tests.into_iter().chain(line).collect();
            finding(&mut page, 1, told, &places);
            Failure {
                kind: told.kind.clone(),
                message: told.advice.title.clone(),
                text: page.text,
            }
        });
        Some(Case {
            name: format!("{} ({})", told.advice.title, told.id),
            place,
            failure,
        })
    });
    Suite {
        name: "findings",
        cases: cases.collect(),
    }
}

fn shapes(checked: &Checked) -> Suite {
    let cases = checked.judgement.shapes.iter().map(|breach| {
        let message = words::limit(&breach.limit);
        Case {
            name: words::shape(checked, breach.what),
            place: words::unit(&breach.at),
            failure: Some(Failure {
                kind: "shape".to_owned(),
                text: message.clone(),
                message,
            }),
        }
    });
    Suite {
        name: "shapes",
        cases: cases.collect(),
    }
}

fn budgets(checked: &Checked) -> Suite {
    let cases = checked.judgement.budgets.iter().map(|breach| {
        let message = words::limit(&breach.limit);
        let text = words::most_in(breach).unwrap_or_else(|| message.clone());
        Case {
            name: format!("{}: {message}", words::unit(&breach.what)),
            place: String::new(),
            failure: Some(Failure {
                kind: "budget".to_owned(),
                message,
                text: visible(&text),
            }),
        }
    });
    Suite {
        name: "budgets",
        cases: cases.collect(),
    }
}

/// Whether all was seen; it is there in any case, so that a judgement of nothing is no empty file.
fn observation(checked: &Checked) -> Suite {
    let failure = (!checked.missing.is_empty()).then(|| Failure {
        kind: "missing".to_owned(),
        message: "not everything was seen".to_owned(),
        text: visible(&checked.missing.join("; ")),
    });
    let case = Case {
        name: "everything was seen".to_owned(),
        place: String::new(),
        failure,
    };
    Suite {
        name: "observation",
        cases: vec![case],
    }
}
