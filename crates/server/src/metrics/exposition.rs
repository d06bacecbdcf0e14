//! The text format of Prometheus, version 0.0.4.

use std::fmt::{self, Write};

use super::snapshot::Buckets;

/// Writes families of numbers.
pub(super) struct Exposition<'a, 'f>(pub(super) &'a mut fmt::Formatter<'f>);

impl Exposition<'_, '_> {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        write!(self.0, "# HELP onionskin_{name} {help}\n# TYPE onionskin_{name} {kind}\n")
    }

    pub(super) fn line(
        &mut self,
        name: &str,
        labels: fmt::Arguments<'_>,
        value: &dyn fmt::Display,
    ) -> fmt::Result {
        writeln!(self.0, "onionskin_{name}{labels} {value}")
    }

    /// A line with one label; its value may be any text.
    pub(super) fn labelled(&mut self, name: &str, label: &str, text: &str, value: u64) -> fmt::Result {
        self.line(name, format_args!("{{{label}=\"{}\"}}", Escaped(text)), &value)
    }

    /// A line with several labels; their values may be any text.
    pub(super) fn labels(&mut self, name: &str, labels: &[(&str, &str)], value: u64) -> fmt::Result {
        write!(self.0, "onionskin_{name}{{")?;
        for (place, (label, text)) in labels.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(self.0, "{comma}{label}=\"{}\"", Escaped(text))?;
        }
        writeln!(self.0, "}} {value}")
    }

    pub(super) fn number(&mut self, name: &str, kind: &str, help: &str, value: u64) -> fmt::Result {
        self.family(name, kind, help)?;
        self.line(name, format_args!(""), &value)
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, buckets: &Buckets, unit: f64) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "what is shown has fifteen digits")]
        let shown = |value: u64| value as f64 / unit;
        self.family(name, "histogram", help)?;
        let mut total = 0;
        for (place, count) in buckets.counts.iter().enumerate() {
            total += count;
            let mut bound = String::from("+Inf");
            if let Some(value) = buckets.bounds.get(place) {
                bound.clear();
                write!(bound, "{}", shown(*value))?;
            }
            writeln!(self.0, "onionskin_{name}_bucket{{le=\"{bound}\"}} {total}")?;
        }
        writeln!(self.0, "onionskin_{name}_sum {}", shown(buckets.sum))?;
        writeln!(self.0, "onionskin_{name}_count {total}")
    }
}

/// Text as it may stand between a label's quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '\\' => formatter.write_str("\\\\"),
            '"' => formatter.write_str("\\\""),
            '\n' => formatter.write_str("\\n"),
            other => formatter.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_holds_any_text() {
        assert_eq!(Escaped("a \"b\"\n\\c").to_string(), r#"a \"b\"\n\\c"#);
    }
}
