//! What a setting allows beyond its type.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::RuntimeSocket;

/// A rule for the values of a setting.
pub(super) struct Rule<T> {
    /// What it allows, in words.
    pub(super) wanted: String,
    /// The smallest and the greatest number, of numbers.
    pub(super) bounds: Option<(u64, u64)>,
    /// The value that is used for a given one; `None` refuses it.
    pub(super) accept: Box<dyn Fn(T) -> Option<T>>,
}

impl<T: 'static> Rule<T> {
    fn new(wanted: impl Into<String>, allows: impl Fn(&T) -> bool + 'static) -> Self {
        let accept = Box::new(move |value| allows(&value).then_some(value));
        Self { wanted: wanted.into(), bounds: None, accept }
    }
}

/// Whatever the type allows.
pub(super) fn any<T: 'static>() -> Rule<T> {
    Rule::new("", |_| true)
}

/// The rule for a value, where one is given.
pub(super) fn if_given<T: 'static>(rule: Rule<T>) -> Rule<Option<T>> {
    let Rule { wanted, bounds, accept } = rule;
    let accept = Box::new(move |given: Option<T>| match given {
        Some(value) => accept(value).map(Some),
        None => Some(None),
    });
    Rule { wanted, bounds, accept }
}

/// A number within bounds.
pub(super) fn number<T>(allowed: RangeInclusive<T>) -> Rule<T>
where
    T: PartialOrd + Display + Copy + TryInto<u64> + 'static,
{
    let wanted = format!("{} to {}", allowed.start(), allowed.end());
    let bounds = (*allowed.start()).try_into().ok().zip((*allowed.end()).try_into().ok());
    Rule { bounds, ..Rule::new(wanted, move |value| allowed.contains(value)) }
}

/// A length of time within bounds.
pub(super) fn duration(allowed: RangeInclusive<Duration>) -> Rule<Duration> {
    let text = humantime::format_duration;
    let wanted = format!("{} to {}", text(*allowed.start()), text(*allowed.end()));
    Rule::new(wanted, move |value| allowed.contains(value))
}

/// The size of a BPF ring: the kernel takes a power of two of whole pages and nothing else.
pub(super) fn ring() -> Rule<u32> {
    const GREATEST: u32 = 1 << 30;
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(u32::MAX);
    let wanted = format!("a power of two, {page} (one page) to {GREATEST}");
    let allows = move |bytes: &u32| bytes.is_power_of_two() && (page..=GREATEST).contains(bytes);
    Rule { bounds: Some((page.into(), GREATEST.into())), ..Rule::new(wanted, allows) }
}

/// An absolute path.
pub(super) fn absolute() -> Rule<PathBuf> {
    Rule::new("an absolute path", |path: &PathBuf| path.is_absolute())
}

/// A list with at least one of `what`, and none twice.
pub(super) fn each_once<T: Eq + Hash + 'static>(what: &str) -> Rule<Vec<T>> {
    Rule::new(format!("at least one {what}, each once"), |list: &Vec<T>| {
        !list.is_empty() && list.iter().collect::<HashSet<_>>().len() == list.len()
    })
}

/// Sockets, or `none` alone, which is no socket at all.
pub(super) fn sockets() -> Rule<Vec<RuntimeSocket>> {
    let accept = |sockets: Vec<RuntimeSocket>| match sockets.as_slice() {
        [RuntimeSocket::None] => Some(Vec::new()),
        [] => None,
        given => (!given.contains(&RuntimeSocket::None)).then_some(sockets),
    };
    Rule { accept: Box::new(accept), ..Rule::new("sockets, or none alone", |_| true) }
}
