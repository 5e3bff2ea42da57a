//! `pg_service.conf`: named sets of connection parameters, as libpq reads them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::Variables;

/// A service that a file defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) parameters: BTreeMap<String, String>,
}

impl Service {
    /// Finds `name` where libpq looks for it: the user's file, then the system's.
    pub(super) fn find(name: &str, variables: &Variables) -> Option<Service> {
        files(variables).into_iter().find_map(|path| {
            let text = std::fs::read_to_string(path).ok()?;
            let parameters = sections(&text)
                .into_iter()
                .find(|(section, _)| *section == name)?
                .1;
            Some(Service {
                name: name.to_owned(),
                parameters,
            })
        })
    }

    /// The same, leading to `host` and `port` in plaintext.
    pub(super) fn leading_to(mut self, host: &str, port: u16, passfile: Option<&str>) -> Service {
        self.parameters.retain(|name, _| {
            name != "hostaddr"
                && name != "channel_binding"
                && name != "gssencmode"
                && name != "requiressl"
                && !name.starts_with("ssl")
        });
        let mut set = |name: &str, value: &str| {
            self.parameters.insert(name.to_owned(), value.to_owned());
        };
        set("host", host);
        set("port", &port.to_string());
        set("sslmode", "disable");
        if let Some(passfile) = passfile {
            set("passfile", passfile);
        }
        self
    }
}

/// The user's file with `changed` in the place of the services of the same names.
pub(super) fn file_with(changed: &[Service], variables: &Variables) -> String {
    let mut text = String::new();
    let mut write = |name: &str, parameters: &BTreeMap<String, String>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[{name}]");
        for (name, value) in parameters {
            let _ = writeln!(text, "{name}={value}");
        }
    };
    for service in changed {
        write(&service.name, &service.parameters);
    }
    let user = files(variables).into_iter().next();
    let others = user.and_then(|path| std::fs::read_to_string(path).ok());
    for (name, parameters) in sections(&others.unwrap_or_default()) {
        if changed.iter().all(|service| service.name != name) {
            write(&name, &parameters);
        }
    }
    text
}

fn files(variables: &Variables) -> Vec<PathBuf> {
    let user = match variables.get("PGSERVICEFILE") {
        Some(path) => Some(PathBuf::from(path)),
        None => variables.home().map(|home| home.join(".pg_service.conf")),
    };
    let folder = match variables.get("PGSYSCONFDIR") {
        Some(folder) => PathBuf::from(folder),
        // Where Debian's libpq looks; others have it where they were built to.
        None => PathBuf::from("/etc/postgresql-common"),
    };
    user.into_iter()
        .chain([folder.join("pg_service.conf")])
        .collect()
}

/// The sections of a file in their order; of two with one name the first counts.
fn sections(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut sections: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            sections.push((name.to_owned(), BTreeMap::new()));
        } else if !line.starts_with('#')
            && let Some((name, value)) = line.split_once('=')
            && let Some((_, parameters)) = sections.last_mut()
        {
            parameters
                .entry(name.trim_end().to_owned())
                .or_insert_with(|| value.trim_start().to_owned());
        }
    }
    sections
}
