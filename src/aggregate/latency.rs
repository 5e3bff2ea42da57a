//! Durations of one shape: exact while they are few, then a histogram of two significant digits.

use hdrhistogram::{Counter, Histogram};

/// Values kept as they are. Most shapes of an application with thousands of them are rare, and their values take a
/// tenth of a histogram's memory.
const FEW_MAX: usize = 64;

/// Durations in microseconds, in the smallest form that counts them.
#[derive(Debug)]
pub(super) enum Latency {
    /// Each value, unsorted.
    Few(Vec<u32>),
    /// Sixteen-bit counts: no count can overflow below 65,535 values.
    Narrow(Histogram<u16>),
    /// Thirty-two-bit counts.
    Wide(Histogram<u32>),
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::Few(Vec::new())
    }
}

impl Latency {
    pub(super) fn record(&mut self, duration_us: u32) {
        match self {
            Latency::Few(values) if values.len() < FEW_MAX => values.push(duration_us),
            Latency::Few(values) => {
                let mut histogram = empty::<u16>();
                for value in values.iter().chain([&duration_us]) {
                    record(&mut histogram, *value, 1);
                }
                *self = Latency::Narrow(histogram);
            }
            Latency::Narrow(histogram) if histogram.len() < u64::from(u16::MAX) => {
                record(histogram, duration_us, 1);
            }
            Latency::Narrow(histogram) => {
                let mut wide = empty::<u32>();
                for step in histogram.iter_recorded() {
                    let value = u32::try_from(step.value_iterated_to()).unwrap_or(u32::MAX);
                    record(&mut wide, value, u32::from(step.count_at_value()));
                }
                record(&mut wide, duration_us, 1);
                *self = Latency::Wide(wide);
            }
            Latency::Wide(histogram) => record(histogram, duration_us, 1),
        }
    }

    /// The value below or at which `quantile` of the durations lie, in microseconds; 0 when there are none.
    pub(super) fn quantile_us(&self, quantile: f64) -> u64 {
        match self {
            Latency::Few(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable();
                let rank = (quantile * sorted.len() as f64).ceil() as usize;
                sorted
                    .get(rank.saturating_sub(1))
                    .map_or(0, |value| u64::from(*value))
            }
            Latency::Narrow(histogram) => histogram.value_at_quantile(quantile),
            Latency::Wide(histogram) => histogram.value_at_quantile(quantile),
        }
    }
}

fn empty<T: Counter>() -> Histogram<T> {
    reaching(2)
}

/// A histogram for values up to `highest`, at least.
fn reaching<T: Counter>(highest: u64) -> Histogram<T> {
    Histogram::new_with_max(highest, 2)
        .expect("two digits and a highest value of 2 or more are what hdrhistogram takes")
}

/// Records, growing the histogram where the value needs it.
///
/// Not left to hdrhistogram's own resizing, which doubles its memory: with thousands of histograms that is half of all
/// memory. Growth is rare, since each makes room for twice the value.
fn record<T: Counter>(histogram: &mut Histogram<T>, value_us: u32, count: T) {
    let value = u64::from(value_us);
    if value > histogram.high() {
        let mut grown = reaching(value.next_power_of_two());
        // Cannot fail: the new one reaches further than all that the old one holds.
        if grown.add(&*histogram).is_ok() {
            *histogram = grown;
        }
    }
    histogram.saturating_record_n(value, count);
}
