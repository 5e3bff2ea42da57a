//! `fingerprint`: statements in, the ids out under which the proxy counts them.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;

use super::Failure;
use crate::sql::statements::{FingerprintInputError, fingerprint_lines};

/// `pgprism fingerprint`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The input is SQL, split on `;`, or JSON lines: a string, or an object with `sql`.\n\n\
    Examples:\n  echo 'SELECT * FROM shop_book WHERE id = 7' | pgprism fingerprint\n  \
    pgprism fingerprint statements.sql --json"
)]
pub(super) struct FingerprintArgs {
    /// File with statements; - or none is stdin
    #[arg(value_name = "FILE|-", default_value = "-", hide_default_value = true)]
    file: PathBuf,
    /// Print {"fingerprint", "normalized", "summary", "tables"}, one object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn fingerprint(
    arguments: &FingerprintArgs,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let stdin = arguments.file.as_os_str() == "-";
    let name = match stdin {
        true => "stdin".to_owned(),
        false => arguments.file.display().to_string(),
    };
    let input: Box<dyn Read> = match stdin {
        true => Box::new(io::stdin().lock()),
        false => Box::new(
            File::open(&arguments.file)
                .map_err(|error| Failure::Usage(format!("cannot open {name}: {error}")))?,
        ),
    };
    match fingerprint_lines(BufReader::new(input), out, arguments.json) {
        Ok(_) => Ok(()),
        Err(FingerprintInputError::Write(error)) => Err(Failure::Output(error)),
        Err(error @ (FingerprintInputError::Read(_) | FingerprintInputError::NotJson { .. })) => {
            Err(Failure::Usage(format!("{name}: {}", chain(&error))))
        }
        Err(error @ FingerprintInputError::Thread(_)) => Err(Failure::Internal(chain(&error))),
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
