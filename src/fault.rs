//! Faults put in on purpose, each where the real one would be: `serve --fault` shows what traffic and figures make of it.
//!
//! *Architecture invariant:* none is there unless it was asked for by name, and then the log says so at the start. Off,
//! a fault is a flag that nobody set.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The observer panics at the first query that ends on each connection, while it holds its worker's figures.
    ObserverPanic,
    /// The analysis stands still for so long, once, when it has its first events.
    AnalysisHang(Duration),
    /// The analysis takes so many times as long for each event and each tick.
    AnalysisSlow(u32),
    /// The analysis' thread ends with a panic, each time after it has had events.
    AnalysisDead,
    /// The slow log's disk is full.
    LogDiskFull,
}

/// The longest hang and the most slowness that can be asked for: beyond, nobody waits for what comes of it.
const HANG_MAX: Duration = Duration::from_secs(3600);
const SLOW_MAX: u32 = 1_000_000;

impl FromStr for Fault {
    type Err = String;

    fn from_str(written: &str) -> Result<Fault, String> {
        let (name, value) = match written.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (written, None),
        };
        let known = match (name, value) {
            ("observer-panic", None) => Some(Fault::ObserverPanic),
            ("analysis-hang", Some(value)) => humantime::parse_duration(value)
                .ok()
                .filter(|hang| *hang <= HANG_MAX)
                .map(Fault::AnalysisHang),
            ("analysis-slow", Some(value)) => value
                .strip_suffix('x')
                .and_then(|times| times.parse().ok())
                .filter(|times| (2..=SLOW_MAX).contains(times))
                .map(Fault::AnalysisSlow),
            ("analysis-dead", None) => Some(Fault::AnalysisDead),
            ("log-disk-full", None) => Some(Fault::LogDiskFull),
            _ => None,
        };
        known.ok_or_else(|| {
            "it is observer-panic, analysis-hang=10s, analysis-slow=1000x, analysis-dead or log-disk-full".to_owned()
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ObserverPanic => f.write_str("observer-panic"),
            Fault::AnalysisHang(hang) => {
                write!(f, "analysis-hang={}", humantime::format_duration(*hang))
            }
            Fault::AnalysisSlow(times) => write!(f, "analysis-slow={times}x"),
            Fault::AnalysisDead => f.write_str("analysis-dead"),
            Fault::LogDiskFull => f.write_str("log-disk-full"),
        }
    }
}

/// Everything that goes wrong in this process; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl FromIterator<Fault> for Faults {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Faults {
        Faults(faults.into_iter().collect())
    }
}

impl Faults {
    /// All of them, in the order in which they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = Fault> + '_ {
        self.0.iter().copied()
    }

    /// Whether this one is among them.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// How long the analysis is to stand still.
    pub fn hang(&self) -> Option<Duration> {
        self.iter().find_map(|fault| match fault {
            Fault::AnalysisHang(hang) => Some(hang),
            _ => None,
        })
    }

    /// How many times as long the analysis is to take.
    pub fn slowness(&self) -> Option<u32> {
        self.iter().find_map(|fault| match fault {
            Fault::AnalysisSlow(times) => Some(times),
            _ => None,
        })
    }
}

/// The panic of a fault.
#[cold]
pub fn strike() -> ! {
    panic!("fault injected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_written_as_it_is_read() {
        for written in [
            "observer-panic",
            "analysis-hang=10s",
            "analysis-slow=1000x",
            "analysis-dead",
            "log-disk-full",
        ] {
            let fault: Fault = written.parse().unwrap();
            assert_eq!(fault.to_string(), written);
            let faults: Faults = [fault].into_iter().collect();
            assert!(faults.has(fault));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for written in [
            "",
            "panic",
            "observer-panic=1",
            "analysis-hang",
            "analysis-hang=soon",
            "analysis-hang=2h",
            "analysis-slow=1000",
            "analysis-slow=1x",
            "analysis-slow=-3x",
            "log-disk-full ",
        ] {
            assert!(written.parse::<Fault>().is_err(), "{written:?}");
        }
    }

    #[test]
    fn figures_are_found_among_others() {
        let faults: Faults = [
            Fault::LogDiskFull,
            Fault::AnalysisSlow(7),
            Fault::AnalysisHang(Duration::from_secs(1)),
        ]
        .into_iter()
        .collect();
        assert_eq!(faults.slowness(), Some(7));
        assert_eq!(faults.hang(), Some(Duration::from_secs(1)));
        assert!(!faults.has(Fault::ObserverPanic));
        assert_eq!(Faults::default().slowness(), None);
    }
}
