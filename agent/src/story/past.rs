//! What the previous agent left.

use crate::kills::Ledger;
use crate::kills::totals::KillTotals;
use crate::model::{Hook, StartReason};
use crate::registry::KnownCgroup;

/// See the module. The default is that of a host without a previous agent.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Why this agent begins, where that is known.
    pub(crate) reason: Option<StartReason>,
    /// The cgroups that the previous agent knew in this boot.
    pub(crate) cgroups: Vec<KnownCgroup>,
    /// Those that it knew in another boot: the same numbers may be other directories now.
    pub(crate) gone: Vec<KnownCgroup>,
    /// False when the previous agent crashed before its first save: `cgroups` then holds only those that its log mentions.
    pub(crate) knows_all: bool,
    /// Something that it must have left is lost: what happened since may never be reported.
    pub(crate) is_incomplete: bool,
    /// Kills on this node, for as long as the state directory lives.
    pub(crate) totals: KillTotals,
    /// Kills of this boot that earlier agents have reported; `None` when no agent watched for them before.
    pub(crate) ledger: Option<Ledger>,
    /// The kernel log is of interest after this record.
    pub(crate) log_sequence: Option<u64>,
    /// Drops of programs that may still be attached, as far as they were reported.
    pub(crate) reported_drops: [u64; Hook::ALL.len()],
}
