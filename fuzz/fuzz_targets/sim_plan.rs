//! A plan of any text: it is refused, or is written and read again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_sim::Plan;

fuzz_target!(|text: &str| {
    if let Ok(plan) = Plan::from_json(text) {
        assert_eq!(Plan::from_json(&plan.to_json()), Ok(plan));
    }
});
