//! Samples in the words of the `prometheus` crate.

use std::collections::HashMap;

use prometheus::core::Desc;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily};

use super::Family;
use crate::aggregate::BOUNDS_SECONDS;

/// The samples of one family.
pub(super) struct Samples {
    family: &'static Family,
    metrics: Vec<Metric>,
}

impl Samples {
    pub(super) fn new(family: &'static Family) -> Samples {
        Samples {
            family,
            metrics: Vec::new(),
        }
    }

    /// Adds a sample with a value for each label of the family; a further pair may follow them.
    pub(super) fn add(&mut self, values: &[&str], metric: Metric) {
        self.add_with(values, None, metric);
    }

    pub(super) fn add_with(
        &mut self,
        values: &[&str],
        more: Option<(&str, &str)>,
        mut metric: Metric,
    ) {
        debug_assert_eq!(
            values.len(),
            self.family.labels.len(),
            "{}",
            self.family.name
        );
        let pairs = self
            .family
            .labels
            .iter()
            .copied()
            .zip(values.iter().copied());
        metric.set_label(
            pairs
                .chain(more)
                .map(|(name, value)| pair(name, value))
                .collect(),
        );
        self.metrics.push(metric);
    }

    pub(super) fn family(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(self.family.kind.into());
        family.set_metric(self.metrics);
        family
    }
}

/// What the collectors' registry compares, so that no two collectors claim one name.
pub(super) fn descriptions(families: &[&Family]) -> Vec<Desc> {
    families
        .iter()
        .map(|family| {
            let labels = family
                .labels
                .iter()
                .map(|label| (*label).to_owned())
                .collect();
            Desc::new(
                family.name.to_owned(),
                family.help.to_owned(),
                labels,
                HashMap::new(),
            )
            .expect("names, labels and help are constants of this program, checked by a test")
        })
        .collect()
}

pub(super) fn counter(value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

pub(super) fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_gauge(gauge);
    metric
}

/// A histogram of durations; `counts` are not cumulative and the last has no bound.
pub(super) fn histogram(counts: &[u64], sum_ns: u64) -> Metric {
    histogram_of(&BOUNDS_SECONDS, counts, seconds(sum_ns))
}

/// A histogram with these upper bounds; `counts` has one more, for what is above them, and is not cumulative.
pub(super) fn histogram_of(bounds: &[f64], counts: &[u64], sum: f64) -> Metric {
    let mut cumulative = 0;
    let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
