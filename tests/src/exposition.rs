//! A strict reader of the Prometheus text format: a line that it does not know is an error.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// One line of an exposition.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Metric name.
    pub name: String,
    /// Labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
    /// The timestamp after the value, in milliseconds since 1970.
    pub at_msec: Option<i64>,
}

impl Sample {
    /// The value of a label. An absent label is empty, as in Prometheus.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// A whole exposition.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    /// All samples, in order.
    pub samples: Vec<Sample>,
    /// The types of the lines `# TYPE name type`, by name.
    pub types: BTreeMap<String, String>,
}

impl Exposition {
    /// Parses the text.
    ///
    /// # Errors
    /// Names the first line that is neither a sample nor a comment.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
        let samples = lines.map(|(i, l)| sample(l).with_context(|| format!("line {}: {l}", i + 1)));
        let typed = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '));
        let types = typed.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        Ok(Self { samples: samples.collect::<Result<_>>()?, types })
    }

    /// The only sample of that name with all these labels.
    ///
    /// # Errors
    /// Two samples match, so the caller does not know which one it compares.
    pub fn one(&self, name: &str, labels: &[(&str, &str)]) -> Result<Option<f64>> {
        let mut fitting = self
            .samples
            .iter()
            .filter(|s| s.name == name && labels.iter().all(|(key, value)| s.label(key) == *value));
        let first = fitting.next();
        if let (Some(a), Some(b)) = (first, fitting.next()) {
            bail!("{name}{labels:?} stands for two samples: {a:?} and {b:?}");
        }
        Ok(first.map(|s| s.value))
    }

    /// All values of one label.
    #[must_use]
    pub fn label_values(&self, label: &str) -> std::collections::BTreeSet<&str> {
        self.samples.iter().map(|s| s.label(label)).filter(|v| !v.is_empty()).collect()
    }
}

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':') {
        bail!("{name:?} is no metric name");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let mut words = rest.split_whitespace();
    let text = words.next().context("no value")?;
    let value = match text {
        "+Inf" => f64::INFINITY,
        other => other.parse().with_context(|| format!("value {other:?}"))?,
    };
    let at_msec = words.next().map(|t| t.parse().with_context(|| format!("time {t:?}"))).transpose()?;
    Ok(Sample { name: name.to_owned(), labels, value, at_msec })
}

/// `a="x",b="y"} 1`: the labels, and the text after the brace.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str)> {
    let mut found = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((found, after));
        }
        let (key, after) = rest.split_once("=\"").context("a label without =\"")?;
        let (value, after) = quoted(after)?;
        if found.insert(key.to_owned(), value).is_some() {
            bail!("label {key:?} twice");
        }
        rest = after;
    }
}

/// A label's value up to its closing quote, and the text after it.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next().context("a backslash at the end")?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => bail!("unknown escape \\{other}"),
            },
            other => value.push(other),
        }
    }
    bail!("a label without its closing quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_escapes() {
        let text = "# HELP a b\n# TYPE a gauge\na{id=\"/x \\\"y\\\"\\\\z\",cpu=\"total\"} 1.5\nb 2 1700000000000\nc{} +Inf\n";
        let read = Exposition::parse(text).unwrap();
        assert_eq!(read.samples.len(), 3);
        assert_eq!((read.samples[0].at_msec, read.samples[1].at_msec), (None, Some(1_700_000_000_000)));
        assert_eq!(read.types.get("a").map(String::as_str), Some("gauge"));
        assert_eq!(read.samples[0].label("id"), "/x \"y\"\\z");
        assert_eq!(read.one("a", &[("cpu", "total")]).unwrap(), Some(1.5));
        assert_eq!(read.one("b", &[]).unwrap(), Some(2.0));
        assert_eq!(read.one("d", &[]).unwrap(), None);
        assert_eq!(read.label_values("cpu").into_iter().collect::<Vec<_>>(), ["total"]);
    }

    #[test]
    fn two_samples_for_one_question_are_an_error() {
        let read = Exposition::parse("a{x=\"1\"} 1\na{x=\"2\"} 2\n").unwrap();
        assert!(read.one("a", &[]).is_err());
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in
            ["a", "a{x=\"1\" 1", "a{x=\"1} 1", "a{x=\"\\q\"} 1", "a b", "a-b 1", "a{x=\"1\",x=\"2\"} 1"]
        {
            let error = Exposition::parse(line);
            assert!(error.is_err(), "{line} was read as {error:?}");
        }
    }
}
