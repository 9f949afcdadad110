//! Families of metrics, described once and filled from a snapshot.

use jiff::Timestamp;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// What a family means. One value per family, used for rendering and for the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Full name.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Names of its labels, in the order of the values.
    pub labels: &'static [&'static str],
    /// Goes up only.
    pub counter: bool,
}

impl Description {
    /// A gauge.
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, labels, counter: false }
    }

    /// A counter.
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, labels, counter: true }
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
        let labels = self.description.labels.iter().zip(values);
        let mut metric = Metric::from_label(labels.map(|(name, value)| label(name, value)).collect());
        if self.description.counter {
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

    /// The family for the encoder. `None` without series: an empty family is left out.
    pub fn finish(self) -> Option<MetricFamily> {
        if self.metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.description.name.to_owned());
        family.set_help(self.description.help.to_owned());
        family.set_field_type(if self.description.counter { MetricType::COUNTER } else { MetricType::GAUGE });
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
