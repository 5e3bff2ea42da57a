//! Messages, written by hand so that the product's decoder is not tested against itself.

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a message's length");
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn strings(parts: &[&str]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .collect()
}

/// The whole messages at the beginning of a stream that grows: tag and body.
pub(crate) fn take_message(stream: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (&tag, rest) = stream.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
    let body = rest.get(4..length)?.to_vec();
    stream.drain(..length + 1);
    Some((tag, body))
}

/// The zero-ended strings of a body, and what stands behind so many of them.
pub(crate) fn read_strings<const N: usize>(body: &[u8]) -> ([String; N], &[u8]) {
    let mut rest = body;
    let read = std::array::from_fn(|_| {
        let end = rest.iter().position(|byte| *byte == 0).expect("a string");
        let text = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        text
    });
    (read, rest)
}

// ---- the client's ----

pub(crate) fn query(text: &str) -> Vec<u8> {
    message(b'Q', &strings(&[text]))
}

pub(crate) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', &[strings(&[name, text]), vec![0, 0]].concat())
}

/// With one text parameter, or none.
pub(crate) fn bind(portal: &str, statement: &str, parameter: Option<&[u8]>) -> Vec<u8> {
    let mut body = strings(&[portal, statement]);
    body.extend([0, 0]);
    match parameter {
        Some(value) => {
            body.extend([0, 1]);
            body.extend(u32::try_from(value.len()).expect("a length").to_be_bytes());
            body.extend(value);
        }
        None => body.extend([0, 0]),
    }
    body.extend([0, 0]);
    message(b'B', &body)
}

pub(crate) fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind], strings(&[name])].concat())
}

pub(crate) fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    message(
        b'E',
        &[strings(&[portal]), rows_max.to_be_bytes().to_vec()].concat(),
    )
}

pub(crate) fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind], strings(&[name])].concat())
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub(crate) fn flush() -> Vec<u8> {
    message(b'H', b"")
}

pub(crate) fn copy_data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

pub(crate) fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

pub(crate) fn copy_fail() -> Vec<u8> {
    message(b'f', b"no more\0")
}

pub(crate) fn function_call() -> Vec<u8> {
    message(b'F', &[0, 0, 4, 0xd2, 0, 0, 0, 0, 0, 0])
}

pub(crate) fn terminate() -> Vec<u8> {
    message(b'X', b"")
}

// ---- the server's ----

pub(crate) fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub(crate) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &strings(&[tag]))
}

pub(crate) fn error(severity: &str, sqlstate: &str) -> Vec<u8> {
    let fields = format!("S{severity}\0V{severity}\0C{sqlstate}\0Mit failed\0\0");
    message(b'E', fields.as_bytes())
}

pub(crate) fn row_description(columns: usize) -> Vec<u8> {
    let mut body = u16::try_from(columns)
        .expect("columns")
        .to_be_bytes()
        .to_vec();
    for number in 0..columns {
        body.extend(strings(&[&format!("c{number}")]));
        body.extend(0x4000_u32.to_be_bytes());
        body.extend((number as u16 + 1).to_be_bytes());
        body.extend(23_u32.to_be_bytes());
        body.extend([0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    message(b'T', &body)
}

pub(crate) fn data_row(columns: usize, value_bytes: usize, number: usize) -> Vec<u8> {
    let mut body = u16::try_from(columns)
        .expect("columns")
        .to_be_bytes()
        .to_vec();
    for column in 0..columns {
        let mut value = (number * 7 + column).to_string().into_bytes();
        value.resize(value.len().max(value_bytes), b'0' + (number % 10) as u8);
        body.extend(u32::try_from(value.len()).expect("a length").to_be_bytes());
        body.extend(value);
    }
    message(b'D', &body)
}

pub(crate) fn parameter_status(name: &str, value: &str) -> Vec<u8> {
    message(b'S', &strings(&[name, value]))
}

pub(crate) fn notice() -> Vec<u8> {
    message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mhm\0\0")
}

pub(crate) fn notification() -> Vec<u8> {
    message(b'A', b"\0\0\x12\x34news\0payload\0")
}
