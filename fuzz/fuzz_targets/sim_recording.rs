//! A recording from any bytes: no panic, and what is read can be written, read again, and drawn.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_sim::Recording;

fuzz_target!(|input: &[u8]| {
    let Ok(recording) = Recording::read(input) else { return };
    let mut written = Vec::new();
    recording.write(&mut written).expect("a vector takes all");
    // Numbers of the plan that are not whole may differ in their last digit.
    let again = Recording::read(written.as_slice()).expect("what is written is read");
    assert_eq!((again.nodes, again.events), (recording.nodes.clone(), recording.events.clone()));
    let (html, svg) = (recording.to_html(), recording.to_svg());
    assert!(html.matches("</script").count() == 1 && !svg.contains("<script"));
    assert!(!recording.to_shiviz().is_empty());
});
