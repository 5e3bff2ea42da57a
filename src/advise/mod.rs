//! A finding in the words of the Django ORM: what to write, and why.
//!
//! *Architecture invariant:* it never invents a name. What it cannot know it says.

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advice {
    /// One line: `Fetch customers together with their orders`.
    pub title: String,
    /// The Django line: `Order.objects.select_related("customer")`.
    pub django: String,
    /// Two sentences with the figures.
    pub why: String,
    /// Whether every name in `django` is known; otherwise it says openly what is not.
    pub complete: bool,
}
