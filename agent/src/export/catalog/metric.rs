//! The declaration of a metric, and the samples that come of it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::{Machine, MetricSet, MetricSets};
use crate::snapshot::{CgroupSample, NodeSnapshot};

#[derive(Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "a test makes docs/metrics.md of sources and labels"))]
pub struct Metric {
    /// The name of its samples.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// The set that turns it on; `None` for one that is always there.
    pub set: Option<MetricSet>,
    /// The kernel's source on cgroup v1, if it has one.
    pub source_v1: Option<&'static str>,
    /// The kernel's source on cgroup v2, if it has one.
    pub source_v2: Option<&'static str>,
    /// Labels besides those of the cgroup or the machine.
    pub labels: &'static [&'static str],
    /// Whether samples get the snapshot's time if timestamps are on. Limits and start times do not.
    pub stamped: bool,
    /// Whether a removed cgroup still has it: a total or a peak of its life.
    pub outlives: bool,
    pub values: Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never falls while its cgroup lives.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// The function that makes the samples of a metric.
#[derive(Clone, Copy)]
pub enum Values {
    /// At most one count or number of bytes per cgroup.
    Count(fn(&CgroupSample) -> Option<u64>),
    /// At most one sample per cgroup.
    One(fn(&CgroupSample, &Scope<'_>) -> Option<Value>),
    /// Any number of samples per cgroup, each with labels of its own.
    Many(fn(&CgroupSample, &Scope<'_>, &mut Emit<'_>)),
    /// At most one count or number of bytes, with the machine's labels.
    Machine(fn(&Machine) -> Option<u64>),
    /// Any number of samples with the machine's labels, each with labels of its own.
    MachineMany(fn(&Machine, &mut Emit<'_>)),
    /// One sample without labels.
    Node(fn(&NodeSnapshot) -> Value),
}

/// Takes one sample: its own labels and its value.
pub type Emit<'a> = dyn FnMut(&[Label<'_>], Value) + 'a;

/// A label's name and value. A label with an empty value is not printed.
pub type Label<'a> = (&'static str, LabelValue<'a>);

/// A label's value. It becomes text only when it is written, so that a sample costs no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelValue<'a> {
    /// Not escaped yet.
    Text(&'a str),
    Number(u32),
    /// A block device without a known name: `major:minor`.
    Device(u32, u32),
    /// A processor by its number: `cpu00`.
    Cpu(usize),
}

/// A sample's value, in the kernel's unit. Times are printed in seconds, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count or a number of bytes.
    Count(u64),
    Microseconds(u64),
    Nanoseconds(u64),
    /// A ratio.
    Float(f64),
    /// -1: cAdvisor's value for "none" and for "no limit".
    MinusOne,
}

impl Value {
    /// A time as Unix time; `None` before 1970 and after 2554.
    pub fn unix_time(moment: SystemTime) -> Option<Self> {
        let since = moment.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_nanos()).ok().map(Self::Nanoseconds)
    }
}

/// What a sample may depend on besides its cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The metric sets that are on.
    pub sets: MetricSets,
    pub machine: &'a Machine,
}

impl Metric {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { outlives: true, ..Self::new(name, help, Kind::Counter) }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Gauge)
    }

    /// A gauge that a removed cgroup keeps.
    pub(super) const fn peak(name: &'static str, help: &'static str) -> Self {
        Self { outlives: true, ..Self::gauge(name, help) }
    }

    /// A gauge without a timestamp: a limit, a time of start, a fact.
    pub(super) const fn unstamped(name: &'static str, help: &'static str) -> Self {
        Self { stamped: false, ..Self::gauge(name, help) }
    }

    const fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        Self {
            name,
            help,
            kind,
            set: None,
            source_v1: None,
            source_v2: None,
            labels: &[],
            stamped: true,
            outlives: false,
            values: Values::Many(|_, _, _| {}),
        }
    }

    /// Sets the same source for both versions.
    pub(super) const fn both(self, source: &'static str) -> Self {
        self.v1(source).v2(source)
    }
}

/// The other columns of a row: each is a method that sets one field.
macro_rules! columns {
    ($($column:ident($value:ident: $type:ty) => $field:ident: $new:expr;)+) => {
        impl Metric {
            $(pub(super) const fn $column(self, $value: $type) -> Self {
                Self { $field: $new, ..self }
            })+
        }
    };
}

columns! {
    set(set: Option<MetricSet>) => set: set;
    v1(source: &'static str) => source_v1: Some(source);
    v2(source: &'static str) => source_v2: Some(source);
    labels(labels: &'static [&'static str]) => labels: labels;
    count(value: fn(&CgroupSample) -> Option<u64>) => values: Values::Count(value);
    one(value: fn(&CgroupSample, &Scope<'_>) -> Option<Value>) => values: Values::One(value);
    many(values: fn(&CgroupSample, &Scope<'_>, &mut Emit<'_>)) => values: Values::Many(values);
    machine(value: fn(&Machine) -> Option<u64>) => values: Values::Machine(value);
    machine_many(values: fn(&Machine, &mut Emit<'_>)) => values: Values::MachineMany(values);
    node(value: fn(&NodeSnapshot) -> Value) => values: Values::Node(value);
}

/// Emits those counts that are known, each with the text of its one label.
pub(super) fn emit_counts<'a, C: Into<Option<u64>>>(
    emit: &mut Emit<'_>,
    label: &'static str,
    counts: impl IntoIterator<Item = (&'a str, C)>,
) {
    for (text, count) in counts {
        if let Some(count) = count.into() {
            emit(&[(label, LabelValue::Text(text))], Value::Count(count));
        }
    }
}

/// The metrics of an area: the set that turns them on and their labels, if any, then a row for each. A row is
/// `kind name, help, column value, ..;` Its kind and its columns are the methods of [`Metric`]; columns `set` and `labels` count
/// more than what is above the rows.
macro_rules! metrics {
    ($set:expr; $($rows:tt)+) => {
        metrics! { $set, labels &[]; $($rows)+ }
    };
    ($set:expr, labels $labels:expr; $($kind:ident $name:literal, $help:literal, $($column:ident $value:expr),+;)+) => {
        pub(super) const METRICS: &[Metric] =
            &[$(Metric::$kind($name, $help).set($set).labels($labels)$(.$column($value))+),+];
    };
}
