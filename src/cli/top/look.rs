//! How things look: colours where the terminal takes them, characters that its character set has.

use ratatui::style::{Color, Modifier, Style};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether it may be in colours.
    pub(super) colours: Colours,
    /// What bars and marks are made of.
    pub(super) glyphs: Glyphs,
}

/// Whether colours are wanted and there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// The sixteen that every terminal has its own idea of.
    Sixteen,
    /// Bold, dim and reverse video only.
    None,
}

/// Characters of bars and marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyphs {
    /// Blocks and arrows.
    Unicode,
    /// For a locale without UTF-8.
    Ascii,
}

/// What a piece of text is, and so how it is painted; no meaning is in the colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    /// The selected row, the view that is open.
    Selected,
    Good,
    Warning,
    Bad,
    /// A line nobody may overlook.
    Alarm,
    Database,
    Transfer,
    Client,
    Application,
}

impl Look {
    /// What the environment says of the terminal: `NO_COLOR`, `TERM`, and the locale's character set.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Look {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let charset = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let charset = charset.unwrap_or_default().to_ascii_lowercase();
        Look {
            colours: match dumb || set("NO_COLOR").is_some() {
                true => Colours::None,
                false => Colours::Sixteen,
            },
            glyphs: match charset.contains("utf-8") || charset.contains("utf8") {
                true => Glyphs::Unicode,
                false => Glyphs::Ascii,
            },
        }
    }

    pub(super) fn style(self, paint: Paint) -> Style {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        let coloured = |style: Style, colour: Color| match self.colours {
            Colours::Sixteen => style.fg(colour),
            Colours::None => style,
        };
        match paint {
            Paint::Plain => plain,
            Paint::Bold => bold,
            Paint::Dim => plain.add_modifier(Modifier::DIM),
            Paint::Selected => reversed,
            Paint::Good => coloured(plain, Color::Green),
            Paint::Warning => coloured(bold, Color::Yellow),
            Paint::Bad => coloured(bold, Color::Red),
            Paint::Alarm => coloured(reversed.add_modifier(Modifier::BOLD), Color::Red),
            Paint::Database => coloured(plain, Color::Blue),
            Paint::Transfer => coloured(plain, Color::Cyan),
            Paint::Client => coloured(plain, Color::Yellow),
            Paint::Application => coloured(plain, Color::Magenta),
        }
    }

    /// One cell of a bar; application is hatched lightest, it is what happened between queries.
    pub(super) fn cell(self, paint: Paint) -> &'static str {
        let (block, letter) = match paint {
            Paint::Database => ("█", "#"),
            Paint::Transfer => ("▓", "="),
            Paint::Client => ("▒", "+"),
            Paint::Application => ("░", "."),
            _ => ("█", "#"),
        };
        self.of_both(block, letter)
    }

    /// Beside the heading that sorts.
    pub(super) fn arrow(self, descending: bool) -> &'static str {
        match descending {
            true => self.of_both("▼", "v"),
            false => self.of_both("▲", "^"),
        }
    }

    pub(super) fn of_both(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Ascii => ascii,
        }
    }
}

/// The phases in the order in which bars have them.
pub(super) const PHASES: [Paint; 4] = [
    Paint::Database,
    Paint::Transfer,
    Paint::Client,
    Paint::Application,
];

/// How many of `cells` each part gets: together all of them, unless all parts are nothing.
pub(super) fn divided(parts: [f64; 4], cells: usize) -> [usize; 4] {
    let whole: f64 = parts.iter().sum();
    if whole <= 0.0 || !whole.is_finite() {
        return [0; 4];
    }
    let exact = parts.map(|part| part.max(0.0) / whole * cells as f64);
    let mut given = exact.map(|share| share as usize);
    // What rounding down left goes to those that lost most of it.
    for _ in given.iter().sum::<usize>()..cells {
        let lost = |index: usize| exact[index] - given[index] as f64;
        if let Some(most) = (0..4).rev().max_by(|a, b| lost(*a).total_cmp(&lost(*b))) {
            given[most] += 1;
        }
    }
    given
}
