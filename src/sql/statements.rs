//! Statements in, fingerprints and normalised texts out: what `pgprism fingerprint` does with a file.

use std::io::{BufRead, Write};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};

use super::facts::{Facts, FactsWorker, summary_of};
use super::scan::OwnedScanned;
use super::{FINGERPRINT_BYTES_MAX, Scanner, Verb, normalize, scan_all};

/// How much was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Statements read, one line written for each.
    pub statements: u64,
}

/// Why the input could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintInputError {
    /// The input failed.
    #[error("read statements")]
    Read(#[source] std::io::Error),
    /// The output failed.
    #[error("write fingerprints")]
    Write(#[source] std::io::Error),
    /// A line of a file that began as JSON lines is neither a string nor an object with `sql`.
    #[error("line {line} is neither a JSON string nor an object with `sql`")]
    NotJson {
        /// Its number, from 1.
        line: u64,
        /// What the JSON parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The thread that reads facts could not be started.
    #[error("start the parser's thread")]
    Thread(#[source] std::io::Error),
}

/// A line of JSON input.
#[derive(Deserialize)]
#[serde(untagged)]
enum JsonLine {
    Text(String),
    Object { sql: String },
}

/// A line of JSON output.
#[derive(Serialize)]
struct JsonFingerprint<'a> {
    fingerprint: String,
    normalized: &'a str,
    summary: &'a str,
    tables: &'a [String],
}

/// Writes one line for each statement of `input`: `<16 hex digits> <normalised text>`, or with `json` an object with
/// `fingerprint`, `normalized`, `summary` and `tables`.
///
/// The input is SQL, split on `;` as PostgreSQL would, or JSON lines (its first byte tells). A DECLARE or PREPARE
/// gives the line of its inner statement, which is what the proxy counts; empty statements give none.
///
/// ```
/// let mut output = Vec::new();
/// let counts = pgprism::sql::statements::fingerprint_lines(&b"SELECT 1; COMMIT"[..], &mut output, false).unwrap();
/// assert_eq!(counts.statements, 2);
/// assert_eq!(&output[16..27], b" SELECT $1\n");
/// ```
pub fn fingerprint_lines(
    mut input: impl BufRead,
    output: impl Write,
    json: bool,
) -> Result<Counts, FingerprintInputError> {
    let mut lines = Lines {
        output,
        parser: match json {
            true => Some(FactsWorker::start(1).map_err(FingerprintInputError::Thread)?),
            false => None,
        },
        counts: Counts::default(),
    };
    let first = loop {
        let buffer = input.fill_buf().map_err(FingerprintInputError::Read)?;
        match buffer.iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(position) => break buffer.get(position).copied(),
            None if buffer.is_empty() => break None,
            None => {
                let length = buffer.len();
                input.consume(length);
            }
        }
    };
    match first {
        Some(b'{' | b'"') => lines.json_lines(input)?,
        _ => lines.sql(input)?,
    }
    lines.output.flush().map_err(FingerprintInputError::Write)?;
    Ok(lines.counts)
}

struct Lines<W> {
    output: W,
    parser: Option<FactsWorker>,
    counts: Counts,
}

impl<W: Write> Lines<W> {
    fn json_lines(&mut self, input: impl BufRead) -> Result<(), FingerprintInputError> {
        for (index, line) in input.lines().enumerate() {
            let line = line.map_err(FingerprintInputError::Read)?;
            if line.trim().is_empty() {
                continue;
            }
            let parsed =
                serde_json::from_str(&line).map_err(|source| FingerprintInputError::NotJson {
                    line: index as u64 + 1,
                    source,
                })?;
            let (JsonLine::Text(sql) | JsonLine::Object { sql }) = parsed;
            for scanned in scan_all(&sql) {
                self.statement(&scanned, sql.as_bytes(), 0)?;
            }
        }
        Ok(())
    }

    /// Holds the text of one statement at a time.
    fn sql(&mut self, mut input: impl BufRead) -> Result<(), FingerprintInputError> {
        let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
        let mut text = Vec::new();
        let mut text_start = 0;
        let mut found: Vec<OwnedScanned> = Vec::new();
        scanner.begin();
        loop {
            let piece = input.fill_buf().map_err(FingerprintInputError::Read)?;
            let length = piece.len();
            if length == 0 {
                scanner.end(&mut |scanned| found.push(scanned.to_owned()));
            } else {
                scanner.feed(piece, &mut |scanned| found.push(scanned.to_owned()));
                text.extend_from_slice(piece);
                input.consume(length);
            }
            for scanned in found.drain(..) {
                self.statement(&scanned, &text, text_start)?;
                let done = usize::try_from(scanned.end - text_start)
                    .unwrap_or(usize::MAX)
                    .min(text.len());
                text.drain(..done);
                text_start = scanned.end;
            }
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// Writes the line of a statement; `text` begins at `text_start` of the input.
    fn statement(
        &mut self,
        scanned: &OwnedScanned,
        text: &[u8],
        text_start: u64,
    ) -> Result<(), FingerprintInputError> {
        if scanned.verb == Verb::Empty {
            return Ok(());
        }
        let (fingerprint, verb, start) = match scanned.inner {
            Some(inner) => (inner.fingerprint, inner.verb, inner.start),
            None => (scanned.fingerprint, scanned.verb, scanned.start),
        };
        let index = |position: u64| {
            usize::try_from(position.saturating_sub(text_start)).unwrap_or(usize::MAX)
        };
        let sql = text
            .get(index(start)..index(scanned.end))
            .unwrap_or_default();
        let normalized = normalize(&String::from_utf8_lossy(sql));
        let result = match &self.parser {
            None => writeln!(
                self.output,
                "{fingerprint} {}",
                normalized.replace(['\n', '\r'], " ")
            ),
            Some(parser) => {
                let facts = facts_of(parser, &normalized);
                let line = JsonFingerprint {
                    fingerprint: fingerprint.to_string(),
                    normalized: &normalized,
                    summary: facts
                        .as_ref()
                        .map_or(summary_of(verb), |facts| &facts.summary),
                    tables: facts.as_ref().map_or(&[], |facts| &facts.tables),
                };
                serde_json::to_writer(&mut self.output, &line)
                    .map_err(std::io::Error::from)
                    .and_then(|()| writeln!(self.output))
            }
        };
        result.map_err(FingerprintInputError::Write)?;
        self.counts.statements += 1;
        Ok(())
    }
}

fn facts_of(parser: &FactsWorker, normalized: &str) -> Option<Facts> {
    let (send, receive) = mpsc::channel();
    let done = move |facts| {
        // The receiver waits below.
        let _ = send.send(facts);
    };
    parser.submit(normalized, done).ok()?;
    receive.recv().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str, json: bool) -> Vec<String> {
        let mut output = Vec::new();
        // A tiny buffer: statements and names are cut everywhere.
        let input = std::io::BufReader::with_capacity(7, input.as_bytes());
        let counts = fingerprint_lines(input, &mut output, json).expect("good input");
        let text = String::from_utf8(output).expect("UTF-8");
        assert_eq!(counts.statements as usize, text.lines().count());
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn of_sql() {
        let found = lines(
            " \n-- first\nSELECT a FROM t WHERE id IN (1, 2);;\n/* x */ UPDATE \"a\nb\" SET é = 'é;'; DECLARE c CURSOR FOR SELECT 7",
            false,
        );
        let texts: Vec<_> = found.iter().map(|line| &line[17..]).collect();
        assert_eq!(
            texts,
            [
                "SELECT a FROM t WHERE id IN ($1 /*, ... */)",
                "UPDATE \"a b\" SET é = $1",
                "SELECT $1"
            ]
        );
        assert_eq!(
            found[2][..16],
            scan_all("SELECT 7")[0].fingerprint.to_string()
        );
        assert!(lines("", false).is_empty());
        assert!(lines(" ;\n", false).is_empty());
    }

    #[test]
    fn of_json_lines() {
        let input = "\n\"SELECT 1; COMMIT\"\n{\"sql\": \"SELECT b FROM \\\"T\\\" WHERE x = 'y'\", \"at\": 7}\n\n";
        let found = lines(input, false);
        assert_eq!(found.len(), 3);
        assert!(found[1].ends_with(" COMMIT"));
        let found = lines(input, true);
        let object: serde_json::Value = serde_json::from_str(&found[2]).expect("JSON");
        assert_eq!(object["normalized"], "SELECT b FROM \"T\" WHERE x = $1");
        assert_eq!(object["summary"], "SELECT T");
        assert_eq!(object["tables"], serde_json::json!(["T"]));
        assert_eq!(object["fingerprint"].as_str().map(str::len), Some(16));
        assert!(found[1].contains("\"summary\":\"COMMIT\",\"tables\":[]"));
    }

    #[test]
    fn bad_json_names_its_line() {
        let error = fingerprint_lines(&b"\"SELECT 1\"\n{\"text\": 1}\n"[..], Vec::new(), false);
        assert!(matches!(
            error,
            Err(FingerprintInputError::NotJson { line: 2, .. })
        ));
    }
}
