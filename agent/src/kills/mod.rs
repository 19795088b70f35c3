//! One OOM kill, from the first report to the event.

pub(crate) mod cross_check;
pub(crate) mod recovery;
pub(crate) mod totals;
