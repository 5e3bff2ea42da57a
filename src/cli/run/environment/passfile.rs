//! `.pgpass`: an entry names the server that its password is for, so that one for the old server has to be given for
//! the proxy too. The copy is private, and gone with the run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A server under the names that an entry may give it, and where it is reached now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    /// Host names, or a socket's folder and `localhost`.
    pub(super) hosts: Vec<String>,
    pub(super) port: u16,
    pub(super) to: (String, u16),
}

/// The file at `path` with entries for where the servers are now, in front of all others, and how many those are.
///
/// `None` where there is nothing to add, or where libpq would not read the file: others may see it.
pub(super) fn with_moved(path: &Path, moved: &[Moved]) -> Option<(String, usize)> {
    let file = std::fs::metadata(path).ok()?;
    if !file.is_file() || file.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let mut added = String::new();
    let mut count = 0;
    for line in text.lines() {
        for server in moved {
            if let Some(entry) = entry_for(line, server) {
                added.push_str(&entry);
                added.push('\n');
                count += 1;
            }
        }
    }
    (count > 0).then(|| (added + &text, count))
}

/// The entry for where `server` is now, where `line` is one for where it was.
fn entry_for(line: &str, server: &Moved) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let (host, rest) = field(line)?;
    let (port, rest) = field(rest)?;
    let host_fits = host == "*" || server.hosts.contains(&host);
    let port_fits = port == "*" || port == server.port.to_string();
    // What fits any server fits the proxy too.
    let fits_all = host == "*" && port == "*";
    let (to, to_port) = &server.to;
    (host_fits && port_fits && !fits_all)
        .then(|| format!("{}:{to_port}:{rest}", to.replace(':', "\\:")))
}

/// The first field without its escapes, and what follows its colon.
fn field(line: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut escaped = false;
    for (index, c) in line.char_indices() {
        match c {
            _ if escaped => {
                field.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            ':' => return Some((field, &line[index + 1..])),
            _ => field.push(c),
        }
    }
    None
}
