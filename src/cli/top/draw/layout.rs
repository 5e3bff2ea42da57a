//! Which line of the terminal holds what.

use crate::cli::top::state::State;

/// Lower terminals do without the bar of phases.
const BAR_LINES_MIN: u16 = 14;

/// Lower terminals do without what is degraded.
const DEGRADED_LINES_MIN: u16 = 12;

/// From that many lines on, up to three reasons are told.
const ROOMY_LINES: u16 = 30;

/// Lines of the terminal, from 0; `None` for what there is no line for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::top) struct Layout {
    pub(super) phases: Option<u16>,
    pub(super) degraded: Option<(u16, usize)>,
    pub(super) tabs: u16,
    pub(super) banner: Option<u16>,
    /// The heading of the table, or of the page; its lines follow.
    pub(super) body: u16,
    pub(super) status: u16,
    pub(super) keys: u16,
    columns: u16,
}

impl Layout {
    /// Rows of a table.
    pub(in crate::cli::top) fn body_lines(&self) -> usize {
        usize::from(self.status.saturating_sub(self.body + 1))
    }

    /// Lines of a page.
    pub(in crate::cli::top) fn page_lines(&self) -> usize {
        self.body_lines()
    }

    /// Columns of a table: before it stands the mark of the selection.
    pub(in crate::cli::top) fn table_columns(&self) -> u16 {
        self.columns.saturating_sub(2)
    }
}

impl State {
    pub(in crate::cli::top) fn layout(&self) -> Layout {
        let (columns, lines) = self.size;
        let mut y = 2;
        let mut take = |count: u16| {
            let taken = y;
            y += count;
            taken
        };
        let phases = (lines >= BAR_LINES_MIN).then(|| take(1));
        let reasons = self
            .header
            .pulse
            .as_ref()
            .map_or(0, |(pulse, _)| pulse.summary.degraded.len());
        let shown = match lines {
            0..DEGRADED_LINES_MIN => 0,
            DEGRADED_LINES_MIN..ROOMY_LINES => reasons.min(1),
            _ => reasons.min(3),
        };
        let degraded = (shown > 0).then(|| (take(shown as u16), shown));
        let tabs = take(1);
        let banner = self.silence().is_some().then(|| take(1));
        let body = take(0);
        Layout {
            phases,
            degraded,
            tabs,
            banner,
            body,
            status: lines.saturating_sub(2),
            keys: lines.saturating_sub(1),
            columns,
        }
    }
}
