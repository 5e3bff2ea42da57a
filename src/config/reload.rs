//! What SIGHUP changes, and what it refuses to change.

use super::keys::{Field, KEYS, Reload};
use super::{Config, ConfigError};

/// The keys that a reload changes; all of them can change while connections run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Names of the changed keys; a listener's as `listeners.default.upstream`.
    pub keys: Vec<String>,
}

/// Why a reload was refused; the running configuration stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new configuration is wrong.
    #[error(transparent)]
    Refused(#[from] ConfigError),
    /// It is right, but changes what only a start can change.
    #[error("{} cannot change while pgprism runs; restart it, or take the change back", .0.join(", "))]
    NeedsRestart(Vec<String>),
}

impl Config {
    /// Says what changes from here to `new`, or that a restart is needed for it.
    ///
    /// All or nothing: with one key that needs a restart, no other change is taken either.
    pub fn reload(&self, new: &Config) -> Result<Changes, ReloadError> {
        let mut at_once = Vec::new();
        let mut at_start = Vec::new();
        let names = |config: &Config| -> Vec<String> {
            config.listeners.iter().map(|l| l.name.clone()).collect()
        };
        if names(self) != names(new) {
            return Err(ReloadError::NeedsRestart(vec!["listeners".to_owned()]));
        }
        for key in KEYS {
            let rows = match key.field {
                Field::Once(_) => 1,
                Field::EachListener(_) => self.listeners.len(),
            };
            for index in 0..rows {
                if key.show(self, index) == key.show(new, index) {
                    continue;
                }
                let name = match (&key.field, key.name.split_once('.')) {
                    (Field::EachListener(_), Some((section, name))) => {
                        format!("{section}.{}.{name}", self.listeners[index].name)
                    }
                    _ => key.name.to_owned(),
                };
                match key.reload {
                    Reload::AtOnce => at_once.push(name),
                    Reload::AtStart => at_start.push(name),
                }
            }
        }
        if !at_start.is_empty() {
            return Err(ReloadError::NeedsRestart(at_start));
        }
        // The file may be the same while what it holds is not.
        let token_file = "admin.token_file".to_owned();
        if self.admin.token != new.admin.token && !at_once.contains(&token_file) {
            at_once.push(token_file);
        }
        Ok(Changes { keys: at_once })
    }
}
