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
        let catalog = "advise.catalog".to_owned();
        if self.advise.catalog != new.advise.catalog && !at_start.contains(&catalog) {
            at_start.push(catalog);
        }
        if !at_start.is_empty() {
            return Err(ReloadError::NeedsRestart(at_start));
        }
        if self.ignore != new.ignore {
            at_once.push("ignore".to_owned());
        }
        // The file may be the same while what it holds is not.
        let token_file = "admin.token_file".to_owned();
        if self.admin.token != new.admin.token && !at_once.contains(&token_file) {
            at_once.push(token_file);
        }
        for (old, new) in self.listeners.iter().zip(&new.listeners) {
            for (is_same, key) in [
                (old.acceptor == new.acceptor, "tls_certificate"),
                (old.connector == new.connector, "upstream"),
            ] {
                let prefix = format!("listeners.{}.{key}", old.name);
                let is_told = |name: &String| {
                    name.starts_with(&format!("listeners.{}.tls", old.name)) || *name == prefix
                };
                if !is_same && !at_once.iter().any(is_told) {
                    at_once.push(prefix);
                }
            }
        }
        let models = "advise.models".to_owned();
        if self.advise.map != new.advise.map && !at_once.contains(&models) {
            at_once.push(models);
        }
        Ok(Changes { keys: at_once })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Sources;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("a.toml"), text)
    }

    #[track_caller]
    fn reload(from: &str, to: &str) -> Result<Vec<String>, String> {
        let changes = parse(from).unwrap().reload(&parse(to).unwrap());
        changes
            .map(|changes| changes.keys)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_reload_names_what_changes() {
        assert_eq!(reload("", ""), Ok(vec![]));
        assert_eq!(
            reload(
                "[[listeners]]\nlisten = \"127.0.0.1:1\"\n[[listeners]]\nname = \"b\"\nlisten = \"127.0.0.1:2\"",
                "observe = false\n[[listeners]]\nlisten = \"127.0.0.1:1\"\n\
                 [[listeners]]\nname = \"b\"\nlisten = \"127.0.0.1:2\"\nupstream = \"postgres://db\"\n\
                 [slow_log]\nthreshold = \"1s\"\n[limits]\nconnections_max = 5\n[timeouts]\nlogin = \"1s\"",
            ),
            Ok(vec![
                "observe".to_owned(),
                "listeners.b.upstream".to_owned(),
                "slow_log.threshold".to_owned(),
                "limits.connections_max".to_owned(),
                "timeouts.login".to_owned(),
            ])
        );
    }

    #[test]
    fn a_reload_is_refused_whole_and_names_every_key_that_needs_a_restart() {
        assert_eq!(
            reload("", "observe = false\nworkers = 3\n[[listeners]]\nlisten = \"127.0.0.1:1\""),
            Err("workers, listeners.default.listen cannot change while pgprism runs; restart it, or take the change back".to_owned())
        );
        for text in [
            "[[listeners]]\nname = \"b\"",
            "[[listeners]]\n[[listeners]]\nname = \"b\"\nlisten = \"127.0.0.1:1\"",
        ] {
            let error = reload("", text).unwrap_err();
            assert!(error.starts_with("listeners cannot change"), "{error}");
        }
        for key in KEYS
            .iter()
            .filter(|key| key.name.starts_with("slow_log.") && key.name != "slow_log.queue_max")
        {
            assert_eq!(key.reload, Reload::AtOnce, "{}", key.name);
        }
    }

    #[test]
    fn a_reload_reads_the_same_sources_again_and_sees_a_new_token() {
        let folder = tempfile::tempdir().unwrap();
        let (file, token) = (
            folder.path().join("pgprism.toml"),
            folder.path().join("token"),
        );
        let write = |threshold: &str, secret: &str| {
            let text = format!(
                "[admin]\ntoken_file = \"{}\"\n[slow_log]\nthreshold = \"{threshold}\"",
                token.display()
            );
            std::fs::write(&file, text).unwrap();
            std::fs::write(&token, secret).unwrap();
        };
        write("1s", "old");
        let flags = [("listen".to_owned(), "127.0.0.1:7".to_owned())];
        let config = Config::load(Sources::new(Some(file.clone()), &flags, |_| None)).unwrap();
        write("2s", "new");
        let new = config.reread().unwrap();
        assert_eq!(
            new.listeners[0].listen.to_string(),
            "127.0.0.1:7",
            "the flag still stands"
        );
        assert_eq!(
            config.reload(&new).unwrap().keys,
            ["slow_log.threshold", "admin.token_file"]
        );
        std::fs::write(&file, "[slow_log]\nthreshold = 1").unwrap();
        assert!(config.reread().is_err());
    }

    #[test]
    fn a_reload_reads_the_model_map_again() {
        let folder = tempfile::tempdir().unwrap();
        let map = folder.path().join("models.json");
        let file = folder.path().join("pgprism.toml");
        std::fs::write(&file, "").unwrap();
        std::fs::write(&map, r#"{"version": 1, "models": []}"#).unwrap();
        let flags = [("models".to_owned(), map.display().to_string())];
        let config = Config::load(Sources::new(Some(file), &flags, |_| None)).unwrap();
        assert_eq!(
            config.reload(&config.reread().unwrap()).unwrap().keys,
            Vec::<String>::new()
        );
        let model = r#"{"label": "a.B", "db_schema": null, "db_table": "a_b", "pk_columns": ["id"], "proxy_for": null,
            "parents": [], "managed": true, "auto_created_by": null, "swapped_by": null, "manager": "objects",
            "fields": []}"#;
        std::fs::write(&map, format!(r#"{{"version": 1, "models": [{model}]}}"#)).unwrap();
        let new = config.reread().unwrap();
        assert_eq!(config.reload(&new).unwrap().keys, ["advise.models"]);
        assert!(new.advise.map.of_table("a_b", None).is_some());
        std::fs::write(&map, r#"{"version": 1, "models": [{}]}"#).unwrap();
        let error = config.reread().unwrap_err().to_string();
        assert!(
            error.starts_with("--models: advise.models: cannot be used: "),
            "{error}"
        );
        assert!(
            error.contains("models.json: models[0]: missing field `label`"),
            "{error}"
        );
    }

    #[test]
    fn a_new_password_of_the_catalogue_needs_a_restart_and_is_not_shown() {
        let with = |password: &str| {
            format!("[advise]\ncatalog = \"postgres://reader:{password}@db/shop\"")
        };
        let error = reload(&with("sesame1"), &with("sesame2")).unwrap_err();
        assert!(error.starts_with("advise.catalog cannot change"), "{error}");
        let config = parse(&with("sesame1")).unwrap();
        let key = KEYS
            .iter()
            .find(|key| key.name == "advise.catalog")
            .unwrap();
        assert_eq!(
            key.show(&config, 0).unwrap(),
            "\"postgres://reader@db:5432/shop\""
        );
        assert!(!format!("{config:?}").contains("sesame"));
    }
}
