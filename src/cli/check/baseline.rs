//! The baseline: what is known and put up with. JSON with an entry a line, in the order of their ids, so that what two
//! branches add lies apart, and their lines together are a baseline again.
//!
//! ```text
//! {"pgprism_baseline":1,"entries":[
//! {"finding":"09075faf48139d53","kind":"n_plus_one_forward","title":"Join Publisher in …", …},
//! {"shape":"0a6e68457a4448ed","calls":2,"rows":50,"query":"SELECT shop_review", …},
//! {}]}
//! ```
//!
//! The empty entry at the end closes the list: every other line ends in a comma, whichever is the last.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The version that is written, and the latest that is read.
const VERSION: u64 = 1;

/// What a merge leaves where it could not decide.
const CONFLICT_MARKS: [&str; 4] = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"];

/// All entries, by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Baseline {
    pub(super) findings: BTreeMap<String, FindingEntry>,
    pub(super) shapes: BTreeMap<String, ShapeEntry>,
}

/// A finding that is known. All but its id and the two fingerprints is for people.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FindingEntry {
    pub(super) finding: String,
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) title: String,
    /// `shop_book.publisher_id -> shop_publisher.id`, where rows flow.
    #[serde(default, skip_serializing_if = "String::is_empty", rename = "loop")]
    pub(super) flow: String,
    /// The route, or the test, where it was seen when it was written down.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) seen: String,
    /// The fingerprint of what repeats.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) child: String,
    /// That of whose rows it repeats for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) parent: String,
    /// What somebody wrote beside it: it stays.
    #[serde(flatten)]
    pub(super) other: BTreeMap<String, Value>,
}

/// A query shape that is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ShapeEntry {
    pub(super) shape: String,
    /// Its calls in one unit, at most, rounded up: see [`rounded`].
    #[serde(default)]
    pub(super) calls: u64,
    /// Its rows in one call, likewise.
    #[serde(default)]
    pub(super) rows: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) query: String,
    #[serde(flatten)]
    pub(super) other: BTreeMap<String, Value>,
}

/// Why a baseline cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BaselineError {
    #[error(
        "line {0}: marks of a merge that is not finished; `merge=union` in .gitattributes finishes it by itself"
    )]
    Conflict(usize),
    #[error("line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error(
        "line 1: version {0} is newer than this pgprism reads ({VERSION}); use the pgprism that wrote it"
    )]
    Newer(u64),
    #[error("line 1: not a baseline: \"pgprism_baseline\" is missing")]
    Foreign,
    #[error("{0}")]
    Unreadable(#[from] io::Error),
}

#[derive(Deserialize)]
struct Written<'t> {
    pgprism_baseline: Option<u64>,
    #[serde(borrow, default)]
    entries: Vec<&'t RawValue>,
}

/// As much of a newer version as is certain.
#[derive(Deserialize)]
struct Version {
    pgprism_baseline: Option<u64>,
}

impl Baseline {
    /// The one in the file; `None` where there is no file.
    pub(super) fn read(path: &Path) -> Result<Option<Baseline>, BaselineError> {
        match std::fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Baseline::parse(&text).map(Some),
                Err(error) => {
                    let valid = error.utf8_error().valid_up_to();
                    let line = line_at(error.as_bytes(), valid);
                    let message = "no text in UTF-8".to_owned();
                    Err(BaselineError::Syntax { line, message })
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Entries may stand in any order, and more than once.
    pub(super) fn parse(text: &str) -> Result<Baseline, BaselineError> {
        let marked = |line: &str| CONFLICT_MARKS.iter().any(|mark| line.starts_with(mark));
        if let Some(index) = text.lines().position(marked) {
            return Err(BaselineError::Conflict(index + 1));
        }
        let syntax = |error: &serde_json::Error| BaselineError::Syntax {
            line: error.line().max(1),
            message: without_place(error),
        };
        let version: Version = serde_json::from_str(text).map_err(|error| syntax(&error))?;
        match version.pgprism_baseline {
            None => return Err(BaselineError::Foreign),
            Some(version) if version > VERSION => return Err(BaselineError::Newer(version)),
            Some(_) => {}
        }
        let written: Written<'_> = serde_json::from_str(text).map_err(|error| syntax(&error))?;
        debug_assert_eq!(written.pgprism_baseline, version.pgprism_baseline);
        let mut baseline = Baseline::default();
        for entry in written.entries {
            let entry = entry.get();
            baseline.take(entry).map_err(|message| {
                let offset = (entry.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
                let line = line_at(text.as_bytes(), offset);
                BaselineError::Syntax { line, message }
            })?;
        }
        Ok(baseline)
    }

    fn take(&mut self, entry: &str) -> Result<(), String> {
        let read = |error: serde_json::Error| without_place(&error);
        let value: Value = serde_json::from_str(entry).map_err(read)?;
        let object = value.as_object().ok_or("an entry is an object")?;
        if object.contains_key("finding") {
            let finding: FindingEntry = serde_json::from_str(entry).map_err(read)?;
            let id = id(&finding.finding)?;
            // Of two that branches wrote, one is as good as the other.
            self.findings.entry(id).or_insert(finding);
        } else if object.contains_key("shape") {
            let shape: ShapeEntry = serde_json::from_str(entry).map_err(read)?;
            let known = self.shapes.entry(id(&shape.shape)?);
            let known = known.or_insert_with(|| shape.clone());
            known.calls = known.calls.max(shape.calls);
            known.rows = known.rows.max(shape.rows);
        } else if !object.is_empty() {
            return Err("an entry has \"finding\" or \"shape\", with an id".to_owned());
        }
        Ok(())
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{{\"pgprism_baseline\":{VERSION},\"entries\":[\n");
        let findings = self.findings.values().map(serde_json::to_string);
        let shapes = self.shapes.values().map(serde_json::to_string);
        // Strings and numbers: there is nothing that could not be written.
        for line in findings.chain(shapes).flatten() {
            text.push_str(&line);
            text.push_str(",\n");
        }
        text.push_str("{}]}\n");
        text
    }

    /// Writes it so that a reader finds the old file or the new one, whole; a file that says the same is left alone.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        // What is a link stays one.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = self.to_text();
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        let folder = folder_of(&path);
        let permissions = match std::fs::metadata(&path) {
            Ok(old) => old.permissions(),
            Err(_) => std::fs::Permissions::from_mode(0o666),
        };
        let mut file = tempfile::Builder::new()
            .prefix(".pgprism-baseline-")
            .permissions(permissions)
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Where a file of that name is.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The next of 1, 2, 5, 10, 20, 50, …: a figure that a row more or less does not change.
pub(super) fn rounded(figure: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for times in [1, 2, 5] {
            let bound = step.saturating_mul(times);
            if bound >= figure {
                return bound;
            }
        }
        match step.checked_mul(10) {
            Some(next) => step = next,
            None => return u64::MAX,
        }
    }
}

fn id(written: &str) -> Result<String, String> {
    let is_id = written.len() == 16 && written.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_id {
        true => Ok(written.to_ascii_lowercase()),
        false => Err(format!(
            "`{}` is no id: 16 hexadecimal digits are",
            written.escape_default()
        )),
    }
}

/// What serde_json says, without the place, which is told once and in our own words.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    }
}

fn line_at(text: &[u8], offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str) -> FindingEntry {
        FindingEntry {
            finding: id.to_owned(),
            kind: "n_plus_one_forward".to_owned(),
            title: "Join \"Publisher\"".to_owned(),
            flow: "a.b_id -> b.id".to_owned(),
            seen: "bad/books/".to_owned(),
            child: "00000000000000c1".to_owned(),
            parent: "00000000000000c2".to_owned(),
            other: BTreeMap::new(),
        }
    }

    fn baseline(ids: &[&str]) -> Baseline {
        let findings = ids.iter().map(|id| ((*id).to_owned(), finding(id)));
        let shape = ShapeEntry {
            shape: "00000000000000a1".to_owned(),
            calls: 5,
            rows: 50,
            query: "SELECT shop_book".to_owned(),
            other: BTreeMap::new(),
        };
        Baseline {
            findings: findings.collect(),
            shapes: [(shape.shape.clone(), shape)].into(),
        }
    }

    #[test]
    fn it_is_json_with_an_entry_a_line_in_the_order_of_ids() {
        let all = baseline(&["00000000000000f2", "00000000000000f1"]);
        let text = all.to_text();
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(whole["entries"].as_array().unwrap().len(), 4);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(
            lines[1].starts_with(
                r#"{"finding":"00000000000000f1","kind":"n_plus_one_forward","title":"#
            )
        );
        assert!(lines[3].starts_with(r#"{"shape":"00000000000000a1","calls":5,"rows":50"#));
        assert!(lines[1..4].iter().all(|line| line.ends_with("},")));
        assert_eq!(Baseline::parse(&text).unwrap(), all);
        assert_eq!(
            Baseline::parse(&Baseline::default().to_text()).unwrap(),
            Baseline::default()
        );
    }

    #[test]
    fn lines_may_stand_in_any_order_and_twice() {
        let one = baseline(&["00000000000000f1"]).to_text();
        let other = baseline(&["00000000000000f2", "00000000000000f1"]).to_text();
        let mut lines: Vec<&str> = one.lines().skip(1).chain(other.lines().skip(1)).collect();
        lines.retain(|line| *line != "{}]}");
        lines.reverse();
        let head = one.lines().next().unwrap();
        let text = format!("{head}\n{}\n{{}}]}}\n", lines.join("\n"));
        let both = Baseline::parse(&text).unwrap();
        assert_eq!(both, baseline(&["00000000000000f1", "00000000000000f2"]));
    }

    #[test]
    fn what_somebody_wrote_beside_an_entry_stays() {
        let text = r#"{"pgprism_baseline":1,"entries":[{"finding":"00000000000000F1","note":"see #12"},{}]}"#;
        let read = Baseline::parse(text).unwrap();
        assert_eq!(read.findings["00000000000000f1"].other["note"], "see #12");
        assert!(read.to_text().contains(r#""note":"see #12""#));
    }

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let error = Baseline::parse(text).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn what_cannot_be_read_names_its_line() {
        let text = baseline(&["00000000000000f1", "00000000000000f2"]).to_text();
        refused(&text.replace("{\"shape\"", "{shape"), "line 4: ");
        refused(
            &text.replace("00000000000000f2", "f2"),
            "line 3: `f2` is no id",
        );
        refused(&text.replace("\"calls\":5", "\"calls\":-5"), "line 4: ");
        refused(&text.replace("{}]}", "{\"a\":1}]}"), "line 5: an entry has");
        refused(
            &text.replace("{}]}", "<<<<<<< ours\n{}]}"),
            "line 5: marks of a merge",
        );
        refused(
            &text.replace("baseline\":1", "baseline\":2"),
            "version 2 is newer",
        );
        refused("{}", "not a baseline");
        refused("", "line 1: ");
        refused("[]", "line 1: ");
    }

    #[test]
    fn figures_are_rounded_up_in_three_steps_a_decade() {
        for (figure, bound) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 5),
            (6, 10),
            (11, 20),
            (501, 1_000),
        ] {
            assert_eq!(rounded(figure), bound, "{figure}");
        }
        assert!(rounded(u64::MAX) >= u64::MAX / 2);
    }

    #[test]
    fn it_is_written_whole_with_the_permissions_it_had() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        baseline(&["00000000000000f1"]).write(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let all = baseline(&["00000000000000f1", "00000000000000f2"]);
        all.write(&link).unwrap();
        assert_eq!(Baseline::read(&path).unwrap(), Some(all));
        assert!(link.is_symlink());
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            2,
            "nothing is left beside it"
        );
        assert_eq!(
            Baseline::read(&folder.path().join("none.json")).unwrap(),
            None
        );
    }
}
