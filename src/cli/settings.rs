//! The flags that set something, made from the table of settings.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::keys::{KEYS, Key};
use crate::config::{Config, Sources};

/// `--config` and the flag of every setting that has one.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The file, from `--config` or `PGPRISM_CONFIG`.
    pub file: Option<PathBuf>,
    /// Flags that were typed (not their variables), without dashes, and their words.
    pub flags: Vec<(String, String)>,
}

impl Settings {
    /// With the process's environment.
    pub fn sources(&self) -> Sources {
        Sources::new(self.file.clone(), &self.flags, |name| {
            std::env::var(name).ok()
        })
    }
}

/// `"127.0.0.1:6433"` as help shows it: without quotes, nothing for what is empty.
fn default_of(key: &crate::config::keys::Key) -> Option<String> {
    let shown = key.show(&Config::default(), 0)?;
    let bare = shown.trim_matches('"').to_owned();
    (!bare.is_empty()).then_some(bare)
}

/// Adds the flags of those keys that are `wanted`.
pub(super) fn add_flags(mut command: Command, wanted: impl Fn(&Key) -> bool) -> Command {
    for key in KEYS.iter().filter(|key| wanted(key)) {
        let Some(flag) = key.flag else { continue };
        let help = match default_of(key) {
            Some(default) => format!("{} [default: {default}]", key.summary),
            None => key.summary.to_owned(),
        };
        let mut arg = Arg::new(flag.name)
            .long(flag.name)
            .help(help)
            .hide_env_values(true);
        if let Some(variable) = key.environment {
            arg = arg.env(variable);
        }
        command = command.arg(match flag.value {
            "" => arg
                .value_name("BOOL")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
            // `--listen` twice is a mistake rather than a wish for the last one: clap refuses it.
            value => arg
                .value_name(value)
                .allow_hyphen_values(value.ends_with('-')),
        });
    }
    command
}

impl Args for Settings {
    fn augment_args(mut command: Command) -> Command {
        command = command.arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .env("PGPRISM_CONFIG")
                .hide_env_values(true)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Configuration file; without one the defaults stand"),
        );
        add_flags(command, |key| !key.is_of_check())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Settings::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Settings, clap::Error> {
        // Not every command has the flags of all keys.
        let typed = |name: &str| {
            matches.try_contains_id(name).is_ok()
                && matches.value_source(name) == Some(ValueSource::CommandLine)
        };
        Ok(Settings {
            file: matches
                .get_one::<PathBuf>("config")
                .filter(|file| !file.as_os_str().is_empty())
                .cloned(),
            flags: KEYS
                .iter()
                .filter_map(|key| key.flag)
                .filter(|flag| typed(flag.name))
                .filter_map(|flag| {
                    Some((
                        flag.name.to_owned(),
                        matches.get_one::<String>(flag.name)?.clone(),
                    ))
                })
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Settings::from_arg_matches(matches)?;
        Ok(())
    }
}
