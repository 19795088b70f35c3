//! A test of the layout: the agent runs this program on its own task before it trusts BTF.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use cgtap_abi::TaskFacts;

use crate::{maps::CHECKED, task};

/// Never attached: the agent runs it by `BPF_PROG_TEST_RUN`, in its own task.
#[raw_tracepoint]
pub fn check_layout(_ctx: RawTracePointContext) -> i32 {
    if let Some(checked) = CHECKED.get_ptr_mut(0) {
        // SAFETY: the map's memory; the agent runs this program once at a time.
        let checked = unsafe { &mut *checked };
        *checked = TaskFacts::UNKNOWN;
        task::load_current(checked);
    }
    0
}
