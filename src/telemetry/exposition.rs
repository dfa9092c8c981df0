//! The text that Prometheus and its like read.

use std::{
    fmt::{Arguments, Write as _},
    time::Duration,
};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Figures in the [text format] of Prometheus, version 0.0.4, which every scraper reads.
///
/// Who adds figures: a value of a label comes from the documents or from a table in the code, never
/// from a request. What callers choose would make a series for each of them.
///
/// [text format]: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
#[derive(Debug, Default)]
pub struct Exposition(String);

/// The figures of one name.
#[derive(Debug)]
pub struct Family<'e> {
    text: &'e mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins the figures of a counter, whose name ends with `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "counter")
    }

    /// Begins the figures of a gauge, which rises and falls.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        // Writing to a text cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.0, name }
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds the figure with these labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.add(labels, format_args!("{value}"));
    }

    /// Adds a time in seconds with these labels.
    pub fn seconds(&mut self, labels: &[(&str, &str)], value: Duration) {
        self.add(labels, format_args!("{}.{:06}", value.as_secs(), value.subsec_micros()));
    }

    fn add(&mut self, labels: &[(&str, &str)], value: Arguments<'_>) {
        self.text.push_str(self.name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"", if n == 0 { '{' } else { ',' });
            for c in value.chars() {
                match c {
                    '\\' | '"' => self.text.extend(['\\', c]),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family() {
        let mut exposition = Exposition::default();
        let mut family = exposition.counter("things_total", "Things.");
        family.sample(&[], 1);
        family.sample(&[("a", "x"), ("b", "\"\\\n\u{e9}")], 2);
        family.seconds(&[], Duration::from_micros(3_000_004));
        assert_eq!(
            exposition.into_text(),
            "# HELP things_total Things.\n# TYPE things_total counter\n\
             things_total 1\nthings_total{a=\"x\",b=\"\\\"\\\\\\n\u{e9}\"} 2\nthings_total 3.000004\n"
        );
    }
}
