//! EDN, one map a line: what Jepsen, Knossos and Elle read.
//!
//! ```text
//! {:index 0, :process 3, :type :invoke, :f :cas, :value [1 2], :time 123}
//! {:index 1, :process 3, :type :ok, :f :cas, :value [1 2], :time 456}
//! ```
//!
//! An operation on a key has the value `[key value]`, as `jepsen.independent` writes it. What
//! returned nothing repeats what it was called with, as clients of Jepsen do. A `cas` that found
//! something else is a `:fail`.

use std::fmt;
use std::io::{self, Write};

use super::lines::kind_and_value;
use super::{History, Value, Vocabulary, Words};

/// Writes a history.
///
/// # Errors
///
/// Those of `output`.
pub fn write<V: Vocabulary>(
    vocabulary: &V,
    history: &History<V::Operation, V::Return>,
    mut output: impl Write,
) -> io::Result<()> {
    for (index, event) in history.events().iter().enumerate() {
        let (kind, value) = kind_and_value(vocabulary, event);
        let Words { f, key, value: called } = vocabulary.words(&event.span.operation);
        let (kind, value) = match value {
            Value::Bool(false) if f == "cas" => ("fail", called),
            Value::Null => (kind, called),
            value => (kind, value),
        };
        let (process, at) = (event.span.process, event.at.as_nanos());
        write!(output, "{{:index {index}, :process {process}, :type :{kind}, :f :{f}, ")?;
        match key {
            Some(key) => write!(output, ":value [{} {}]", Edn(&key), Edn(&value))?,
            None => write!(output, ":value {}", Edn(&value))?,
        }
        writeln!(output, ", :time {at}}}")?;
    }
    output.flush()
}

struct Edn<'a>(&'a Value);

impl fmt::Display for Edn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("nil"),
            Value::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{}", Self(value))?;
                }
                f.write_str("]")
            }
            value => write!(f, "{value}"),
        }
    }
}
