//! Whether a failed request may have happened all the same.

/// What an error of a request says about the request: that it was not done, or that nobody knows.
///
/// Repeating a request after a definite error is safe. After an indefinite one it may be done
/// twice, unless the receiver tells repeats apart.
pub trait Certainty {
    /// Returns whether the request was definitely not done. `false` means "unknown".
    fn is_definite(&self) -> bool;
}

/// There is no such error.
impl Certainty for std::convert::Infallible {
    fn is_definite(&self) -> bool {
        match *self {}
    }
}
