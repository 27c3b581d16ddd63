//! What targets share.

/// Runs `check`, and asserts that it holds no more memory at once than `factor` times the input,
/// and a constant.
///
/// # Panics
///
/// If it does, or if `check` panics.
pub fn bounded(input_bytes: usize, factor: usize, check: impl FnOnce()) {
    let used = allocation_counter::measure(check);
    let limit = CONSTANT_BYTES + factor * input_bytes;
    assert!(
        used.bytes_max <= limit as u64,
        "{} bytes for an input of {input_bytes}, expected at most {limit}",
        used.bytes_max
    );
}

/// What is taken whatever the input is: names, a log without records.
const CONSTANT_BYTES: usize = 16 << 10;
