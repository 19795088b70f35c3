//! Gaps in the programs' own numbering are losses.

use std::collections::HashMap;

use super::decode::RecordNumber;

/// The last number seen of each program on each CPU.
#[derive(Debug, Default)]
pub struct Sequences {
    last: HashMap<(u32, u32), u64>,
}

impl Sequences {
    /// Notes a record; the number of records of its program and CPU that are missing before it.
    pub(crate) fn missing_before(&mut self, number: RecordNumber) -> u64 {
        let last = self.last.entry((number.program as u32, number.cpu)).or_default();
        let missing = number.seq.saturating_sub(*last).saturating_sub(1);
        *last = number.seq.max(*last);
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgtap_abi::Program;

    fn number(program: Program, cpu: u32, seq: u64) -> RecordNumber {
        RecordNumber { program, cpu, seq }
    }

    #[test]
    fn each_program_and_cpu_counts_by_itself() {
        let mut sequences = Sequences::default();
        for (program, cpu, seq, missing) in [
            (Program::CgroupMkdir, 0, 1, 0),
            (Program::CgroupMkdir, 1, 1, 0),
            (Program::CgroupRmdir, 0, 1, 0),
            (Program::CgroupMkdir, 0, 2, 0),
            (Program::CgroupMkdir, 0, 5, 2),
            (Program::CgroupRmdir, 0, 3, 1),
            (Program::CgroupMkdir, 0, 6, 0),
        ] {
            assert_eq!(
                sequences.missing_before(number(program, cpu, seq)),
                missing,
                "{program:?} {cpu} {seq}"
            );
        }
    }

    #[test]
    fn the_first_record_counts_earlier_losses_too() {
        assert_eq!(Sequences::default().missing_before(number(Program::MarkVictim, 0, 4)), 3);
    }
}
