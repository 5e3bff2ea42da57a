//! Messages, written by hand so that the decoder is not tested against itself.

pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn strings(parts: &[&str]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .collect()
}

pub(super) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &strings(&[sql]))
}

pub(super) fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[strings(&[name, sql]), vec![0, 0]].concat())
}

pub(super) fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(
        b'B',
        &[
            strings(&[portal, statement]),
            vec![0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 0],
        ]
        .concat(),
    )
}

pub(super) fn describe(kind: char, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind as u8], strings(&[name])].concat())
}

pub(super) fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    message(
        b'E',
        &[strings(&[portal]), rows_max.to_be_bytes().to_vec()].concat(),
    )
}

pub(super) fn close(kind: char, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind as u8], strings(&[name])].concat())
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub(super) fn flush() -> Vec<u8> {
    message(b'H', b"")
}

pub(super) fn copy_data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

pub(super) fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

pub(super) fn copy_fail() -> Vec<u8> {
    message(b'f', b"no\0")
}

/// Parse, Bind, Describe, Execute of the unnamed statement, without Sync.
pub(super) fn extended(sql: &str) -> Vec<u8> {
    [
        parse("", sql),
        bind("", ""),
        describe('P', ""),
        execute("", 0),
    ]
    .concat()
}

pub(super) fn authentication_ok() -> Vec<u8> {
    message(b'R', &[0, 0, 0, 0])
}

pub(super) fn backend_key_data(pid: i32) -> Vec<u8> {
    message(b'K', &[pid.to_be_bytes(), [1, 2, 3, 4]].concat())
}

pub(super) fn parameter_status(name: &str, value: &str) -> Vec<u8> {
    message(b'S', &strings(&[name, value]))
}

pub(super) fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub(super) fn row_description() -> Vec<u8> {
    message(b'T', &[0, 0])
}

pub(super) fn row() -> Vec<u8> {
    message(b'D', &[0, 1, 0, 0, 0, 1, b'8'])
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &strings(&[tag]))
}

pub(super) fn error(severity: &str, sqlstate: &str) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{sqlstate}\0Mboom\0\0");
    message(b'E', fields.as_bytes())
}

pub(super) fn notice() -> Vec<u8> {
    message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mhm\0\0")
}

pub(super) fn parse_complete() -> Vec<u8> {
    message(b'1', b"")
}

pub(super) fn bind_complete() -> Vec<u8> {
    message(b'2', b"")
}

pub(super) fn close_complete() -> Vec<u8> {
    message(b'3', b"")
}

pub(super) fn no_data() -> Vec<u8> {
    message(b'n', b"")
}

pub(super) fn suspended() -> Vec<u8> {
    message(b's', b"")
}

/// The answer to [`extended`]: `rows` rows and the tag.
pub(super) fn extended_answer(rows: usize, tag: &str) -> Vec<u8> {
    let head = [parse_complete(), bind_complete(), row_description()].concat();
    [head, row().repeat(rows), complete(tag)].concat()
}

/// The answer to a simple SELECT.
pub(super) fn select_answer(rows: usize, status: u8) -> Vec<u8> {
    [
        row_description(),
        row().repeat(rows),
        complete(&format!("SELECT {rows}")),
        ready(status),
    ]
    .concat()
}
