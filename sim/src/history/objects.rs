//! One JSON object a line, whatever its fields.

use std::io::BufRead;

use serde::de::DeserializeOwned;

use super::ReadError;
use super::ledger::{each_line, malformed};
use super::lines::bad_json;

/// Calls `each` with the number of each line that is not blank, and what it says. What `each`
/// expects instead is put into the error.
pub(crate) fn each<T: DeserializeOwned>(
    input: impl BufRead,
    mut each: impl FnMut(u64, T) -> Result<(), &'static str>,
) -> Result<(), ReadError> {
    each_line(input, |line, text| {
        let object = serde_json::from_str(text).map_err(|error| bad_json(line, &error))?;
        each(line, object).map_err(|expected| malformed(line, expected, text))
    })
}
