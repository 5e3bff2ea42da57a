//! Figures of units by route.

use std::collections::HashMap;
use std::sync::Arc;

use super::{RouteFigures, UNIT_QUERIES_BOUNDS};
use crate::aggregate::bucket_of;

/// The route of all that found no place of their own.
const OTHER: &str = "other";

#[derive(Debug)]
pub(super) struct Routes {
    figures: Vec<RouteFigures>,
    by_route: HashMap<Arc<str>, usize>,
    routes_max: usize,
}

impl Routes {
    /// Figures for at most so many routes, and one for the others.
    pub(super) fn new(routes_max: usize) -> Routes {
        Routes {
            figures: Vec::new(),
            by_route: HashMap::new(),
            routes_max: routes_max.max(1),
        }
    }

    /// Counts a unit that ended.
    pub(super) fn count(&mut self, route: Option<&Arc<str>>, queries: u64, duration_ns: u64) {
        let named = route.map_or("", |route| route);
        let known = self.by_route.get(named).copied();
        let index = known.unwrap_or_else(|| {
            let full = self.by_route.len() >= self.routes_max;
            self.add(if full { OTHER } else { named })
        });
        let Some(figures) = self.figures.get_mut(index) else {
            return;
        };
        let bucket = UNIT_QUERIES_BOUNDS.partition_point(|bound| *bound < queries);
        figures.queries_buckets[bucket] += 1;
        figures.queries_sum = figures.queries_sum.saturating_add(queries);
        figures.duration_buckets[bucket_of(duration_ns)] += 1;
        figures.duration_sum_ns = figures.duration_sum_ns.saturating_add(duration_ns);
    }

    pub(super) fn list(&self) -> Vec<RouteFigures> {
        self.figures.clone()
    }

    fn add(&mut self, route: &str) -> usize {
        if let Some(index) = self.by_route.get(route) {
            return *index;
        }
        let route: Arc<str> = route.into();
        self.figures.push(RouteFigures {
            route: Arc::clone(&route),
            queries_buckets: Default::default(),
            queries_sum: 0,
            duration_buckets: Default::default(),
            duration_sum_ns: 0,
        });
        self.by_route.insert(route, self.figures.len() - 1);
        self.figures.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_beyond_the_limit_are_other() {
        let mut routes = Routes::new(2);
        let route = |n: u32| -> Arc<str> { format!("orders/{n}").into() };
        routes.count(None, 3, 2_000_000);
        (0..5).for_each(|n| routes.count(Some(&route(n)), 1_001, 1));
        let figures = routes.list();
        let named: Vec<_> = figures
            .iter()
            .map(|figures| (&*figures.route, figures.queries_sum))
            .collect();
        assert_eq!(named, [("", 3), ("orders/0", 1_001), ("other", 4_004)]);
        assert_eq!(figures[0].queries_buckets[2], 1, "three are at most five");
        assert_eq!(figures[0].duration_sum_ns, 2_000_000);
        assert_eq!(figures[2].queries_buckets[10], 4);
    }
}
