//! The flags of `run`, and those that say what is judged.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::cli::run::settings::RunSettings;
use crate::cli::settings::{Settings, add_flags};
use crate::config::{Config, Size};

/// Events of a worker that may wait: a judgement wants all of them, and memory is taken only as it fills.
const RING_EVENTS_MAX: usize = 65_536;

/// Findings kept: all that a large suite has.
const FINDINGS_MAX: usize = 10_000;

/// The settings of [`RunSettings`] and the section `[check]`.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckSettings(pub(super) Settings);

impl Args for CheckSettings {
    fn augment_args(command: Command) -> Command {
        let command = RunSettings::augment_args(command);
        add_flags(command, |key| key.is_of_check())
    }

    fn augment_args_for_update(command: Command) -> Command {
        CheckSettings::augment_args(command)
    }
}

impl FromArgMatches for CheckSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<CheckSettings, clap::Error> {
        Settings::from_arg_matches(matches).map(CheckSettings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = CheckSettings::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Query shapes: each statement of each migration is one, for tests make their database anew.
const FINGERPRINTS_MAX: usize = 30_000;
const TEXTS_BYTES_MAX: Size = Size(64 << 20);

/// What stands where nobody says otherwise: as for `run`, with room for everything.
pub(super) fn defaults() -> Config {
    let mut config = crate::cli::run::settings::defaults();
    config.limits.ring_events_max = RING_EVENTS_MAX;
    config.limits.findings_max = FINDINGS_MAX;
    config.limits.fingerprints_max = FINGERPRINTS_MAX;
    config.limits.texts_bytes_max = TEXTS_BYTES_MAX;
    config
}
