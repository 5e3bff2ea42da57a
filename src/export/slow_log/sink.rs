//! Where the slow log's bytes go: an appended file that may be rotated away at any time, or stdout.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::{Destination, Settings};

/// An open file and which file it is.
struct Open {
    file: File,
    device: u64,
    inode: u64,
}

/// Where bytes are appended.
pub(super) struct Sink {
    destination: Destination,
    open: Option<Open>,
    /// The last entry was written in part: the next one begins on a line of its own.
    torn: bool,
    /// Whether the disk is full on purpose.
    disk_full: bool,
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.destination {
            Destination::Off => f.write_str("off"),
            Destination::Stdout => f.write_str("-"),
            Destination::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Sink {
    pub(super) fn new(settings: &Settings) -> Sink {
        Sink {
            destination: settings.destination.clone(),
            open: None,
            torn: false,
            disk_full: settings.disk_full,
        }
    }

    /// Opens it, where it is not open.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let file = match &self.destination {
            Destination::Off => return Ok(()),
            // A descriptor of its own, past the standard library's buffer: one entry is one write here too.
            Destination::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Destination::File(path) => OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)?,
        };
        let metadata = file.metadata()?;
        self.open = Some(Open {
            file,
            device: metadata.dev(),
            inode: metadata.ino(),
        });
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Closes a file that is no longer the one under its name. One system call for each batch.
    pub(super) fn forget_vanished(&mut self) {
        let (Some(open), Destination::File(path)) = (&self.open, &self.destination) else {
            return;
        };
        let there =
            std::fs::metadata(path).is_ok_and(|m| m.dev() == open.device && m.ino() == open.inode);
        if !there {
            self.close();
        }
    }

    /// Appends `entry` with one write, unless the system takes it in pieces.
    pub(super) fn append(&mut self, entry: &[u8]) -> io::Result<()> {
        match &mut self.open {
            Some(_) if self.disk_full => Err(io::ErrorKind::StorageFull.into()),
            Some(open) => append(&mut open.file, &mut self.torn, entry),
            None => Ok(()),
        }
    }
}

/// Writes `entry`; where only a part of it was taken, `torn` is set, and the next entry begins on a line of its own.
pub(super) fn append(file: &mut impl Write, torn: &mut bool, entry: &[u8]) -> io::Result<()> {
    if *torn {
        file.write_all(b"\n")?;
        *torn = false;
    }
    let mut rest = entry;
    while !rest.is_empty() {
        let taken = match file.write(rest) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            taken => taken,
        };
        match taken {
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(error) => {
                *torn = rest.len() < entry.len();
                return Err(error);
            }
        }
    }
    Ok(())
}
