//! What an exposition costs.

use std::ops::ControlFlow;
use std::time::Instant;

use super::busy_node;
use crate::export::prometheus::{ExpositionOptions, Format, exposition, exposition_in_chunks};
use crate::model::LabelSet;

/// A measurement and no proof, so it runs only when asked for:
/// `cargo test --release -p cgtap --lib measure_encoding -- --ignored --nocapture`
#[test]
#[ignore = "prints how long an exposition takes; asserts no time"]
fn measure_encoding() {
    let node = busy_node();
    let id_only = LabelSet::parse("").unwrap();
    for (labels, whole) in [(LabelSet::default(), true), (LabelSet::default(), false), (id_only, false)] {
        let options = ExpositionOptions { labels, ..ExpositionOptions::default() };
        let (mut times, mut bytes, mut series) = (Vec::new(), 0, 0);
        for _ in 0..50 {
            (bytes, series) = (0, 0);
            let mut count = |chunk: &[u8]| {
                bytes += chunk.len();
                series += chunk.iter().filter(|&&b| b == b'\n').count();
                ControlFlow::Continue(())
            };
            let start = Instant::now();
            if whole {
                let text = std::hint::black_box(exposition(&node, &[], &options, Format::Text));
                times.push(start.elapsed());
                let _ = count(&text);
            } else {
                let mut taken = 0;
                exposition_in_chunks(&node, &[], &options, Format::Text, &mut |chunk| {
                    taken += chunk.len();
                    ControlFlow::Continue(())
                });
                times.push(start.elapsed());
                exposition_in_chunks(&node, &[], &options, Format::Text, &mut count);
                assert_eq!(taken, bytes);
            }
        }
        times.sort();
        assert!(series > 40_000, "the node prints {series} lines");
        let way = if whole { "whole" } else { "chunks" };
        println!("{way}: {series} lines, {bytes} bytes: best {:?}, median {:?}", times[0], times[25]);
    }
}
