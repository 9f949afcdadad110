//! Families of metrics, described once and filled from a snapshot.

use jiff::Timestamp;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// What a family means. One value per family, used for rendering and for the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Full name.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Names of its labels, in the order of the values.
    pub labels: &'static [&'static str],
    /// What its values are.
    pub sort: Sort,
}

/// What the values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Goes up only.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets, and a sum.
    Histogram,
}

impl Sort {
    /// As in the exposition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Description {
    /// A gauge.
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, labels, sort: Sort::Gauge }
    }

    /// A counter.
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, labels, sort: Sort::Counter }
    }

    /// A histogram.
    pub const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, labels, sort: Sort::Histogram }
    }

    /// An empty family to be filled.
    pub fn family(&'static self) -> Family {
        Family { description: self, metrics: Vec::new() }
    }
}

/// A family with its series.
#[derive(Debug)]
pub struct Family {
    description: &'static Description,
    metrics: Vec<Metric>,
}

impl Family {
    /// Adds a series. `values` are the label values in the order of the description.
    pub fn add(&mut self, values: &[&str], value: f64) {
        debug_assert_eq!(values.len(), self.description.labels.len(), "{}", self.description.name);
        let mut metric = self.metric(values);
        if self.description.sort == Sort::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// Adds the series of a histogram. `counts` has one more than `bounds`, each for its bucket alone; the last is for what
    /// is above all bounds.
    pub fn add_histogram(&mut self, values: &[&str], bounds: &[f64], counts: &[u64], sum: f64) {
        debug_assert_eq!(counts.len(), bounds.len() + 1, "{}", self.description.name);
        let mut histogram = Histogram::default();
        let mut below = 0;
        let mut buckets = Vec::with_capacity(bounds.len());
        for (bound, count) in bounds.iter().zip(counts) {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        histogram.set_bucket(buckets);
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum);
        let mut metric = self.metric(values);
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    fn metric(&self, values: &[&str]) -> Metric {
        let labels = self.description.labels.iter().zip(values);
        Metric::from_label(labels.map(|(name, value)| label(name, value)).collect())
    }

    /// The family for the encoder. `None` without series: an empty family is left out.
    pub fn finish(self) -> Option<MetricFamily> {
        if self.metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.description.name.to_owned());
        family.set_help(self.description.help.to_owned());
        family.set_field_type(match self.description.sort {
            Sort::Counter => MetricType::COUNTER,
            Sort::Gauge => MetricType::GAUGE,
            Sort::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(self.metrics);
        Some(family)
    }
}

/// A time as Unix time.
pub(super) fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
