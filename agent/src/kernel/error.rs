//! Why a piece of the kernel cannot be used.

use std::fmt::Display;

use crate::model::with_causes;

/// Why a piece of the kernel cannot be used, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KernelError(pub(super) String);

impl KernelError {
    pub(super) fn io(path: impl Display, source: impl Display) -> Self {
        Self(format!("{path}: {source}"))
    }
}

/// An error of aya as one line of text: its outer messages name the program, the inner ones the answer of the kernel.
pub(super) fn bpf(error: impl std::error::Error) -> KernelError {
    KernelError(shorten(&with_causes(&error)))
}

/// One line of an error that may hold the verifier's log: its head, and the last line that is not statistics.
fn shorten(text: &str) -> String {
    // "insns processed" since 7.x, "processed N insns" before.
    let statistics = ["processed ", "insns processed ", "stack depth ", "verification time ", "mark_precise"];
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let reason = lines.iter().skip(1).rfind(|line| !statistics.iter().any(|start| line.starts_with(start)));
    match (lines.first(), reason) {
        (Some(first), Some(reason)) => format!("{first} [...] {reason}"),
        (Some(first), None) => (*first).to_owned(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifiers_reason_is_kept_and_its_statistics_are_not() {
        let log = "load failed: denied. Verifier output: 0: R1=ctx()\n1: call helper\nR3 unbounded memory access\n\
                   verification time 498 usec\nstack depth 72+0\nprocessed 118 insns (limit 1000000)\n";
        assert_eq!(
            shorten(log),
            "load failed: denied. Verifier output: 0: R1=ctx() [...] R3 unbounded memory access"
        );
        assert_eq!(shorten("load failed: 0: R1\nwhy\ninsns processed 64\n"), "load failed: 0: R1 [...] why");
        assert_eq!(shorten("no such file\n"), "no such file");
        assert_eq!(shorten(""), "");
    }
}
