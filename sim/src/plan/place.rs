//! Where in a file a value stands that is wrong only together with others.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// The way to a value. `Display` writes it as in `plan.faults[2].kind`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// A field of the plan.
    Field(&'static str),
    /// A node of the fault at this index.
    NodeOfFault(usize, u64),
}

impl Place {
    /// Returns the line of it in a plan, from 1.
    pub(super) fn line(&self, text: &str) -> usize {
        line(text, |file| self.find(file))
    }

    /// Finds it in a file, or what it is in if it is not there.
    fn find<'a>(&self, file: &'a RawValue) -> &'a RawValue {
        let plan = fields(file).remove("plan").unwrap_or(file);
        match self {
            Self::Field(name) => fields(plan).remove(*name).unwrap_or(plan),
            Self::NodeOfFault(index, node) => {
                let faults = fields(plan).remove("faults").unwrap_or(plan);
                let fault = items(faults).get(*index).copied().unwrap_or(faults);
                let kind = fields(fault).remove("kind").unwrap_or(fault);
                let of_kind = fields(kind).into_values();
                let parts = of_kind.flat_map(fields).filter(|(name, _)| NODES.contains(&&**name));
                let mut all = parts.flat_map(|(_, part)| [vec![part], items(part)].concat());
                all.find(|it| it.get() == node.to_string()).unwrap_or(kind)
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "plan.{name}"),
            Self::NodeOfFault(index, _) => write!(f, "plan.faults[{index}].kind"),
        }
    }
}

/// Returns the line of the version of a file.
pub(super) fn line_of_version(text: &str) -> usize {
    line(text, |file| fields(file).remove("version").unwrap_or(file))
}

/// Returns the line on which a part of a file begins.
fn line<'a>(text: &'a str, find: impl FnOnce(&'a RawValue) -> &'a RawValue) -> usize {
    let Ok(file) = serde_json::from_str(text) else { return 1 };
    // A part borrows the text: the distance is that in the file.
    let offset = find(file).get().as_ptr().addr() - text.as_ptr().addr();
    1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
}

/// Returns the fields of an object; none of anything else.
fn fields(value: &RawValue) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// Returns the items of a list; none of anything else.
fn items(value: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// The fields of faults that name nodes.
const NODES: [&str; 5] = ["node", "nodes", "from", "to", "half"];
