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

/// With the types of its parameters.
pub(super) fn parse_typed(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = strings(&[name, sql]);
    body.extend_from_slice(&(types.len() as u16).to_be_bytes());
    types
        .iter()
        .for_each(|oid| body.extend_from_slice(&oid.to_be_bytes()));
    message(b'P', &body)
}

fn fields(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| value.len() as i32);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value.unwrap_or_default());
    }
    out
}

fn codes(formats: &[u16]) -> Vec<u8> {
    std::iter::once(formats.len() as u16)
        .chain(formats.iter().copied())
        .flat_map(u16::to_be_bytes)
        .collect()
}

/// With format codes of its parameters, their values, and format codes of its result.
pub(super) fn bind_values(
    portal: &str,
    statement: &str,
    formats: &[u16],
    values: &[Option<&[u8]>],
    result: &[u16],
) -> Vec<u8> {
    message(
        b'B',
        &[
            strings(&[portal, statement]),
            codes(formats),
            fields(values),
            codes(result),
        ]
        .concat(),
    )
}

/// Of columns of table 0x4000, by name and type.
pub(super) fn columns(columns: &[(&str, u32)]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for (attribute, (name, type_oid)) in (1u16..).zip(columns) {
        body.extend_from_slice(&strings(&[name]));
        body.extend_from_slice(&0x4000u32.to_be_bytes());
        body.extend_from_slice(&attribute.to_be_bytes());
        body.extend_from_slice(&type_oid.to_be_bytes());
        body.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    message(b'T', &body)
}

pub(super) fn parameter_description(types: &[u32]) -> Vec<u8> {
    let mut body = (types.len() as u16).to_be_bytes().to_vec();
    types
        .iter()
        .for_each(|oid| body.extend_from_slice(&oid.to_be_bytes()));
    message(b't', &body)
}

/// A DataRow of texts.
pub(super) fn texts(values: &[Option<&str>]) -> Vec<u8> {
    let values: Vec<_> = values
        .iter()
        .map(|value| value.map(str::as_bytes))
        .collect();
    message(b'D', &fields(&values))
}

/// A DataRow.
pub(super) fn data_row(values: &[Option<&[u8]>]) -> Vec<u8> {
    message(b'D', &fields(values))
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
