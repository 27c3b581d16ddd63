//! A register as clients of the zoo see it: what they ask for, and how it is judged.

use std::collections::BTreeSet;

use quorate_sim::check::models::{Register, RegisterOp, RegisterReturn};
use quorate_sim::check::{Linearizable, Verdict};
use quorate_sim::history::{Outcome, Span, Value};
use quorate_sim::{Draw, History};

type RegisterHistory = History<RegisterOp, RegisterReturn>;

/// Draws a read, or a write of what nobody else writes: the number of the operation.
pub(crate) fn draw(draw: &mut Draw) -> RegisterOp {
    match draw.kind(2) {
        0 => RegisterOp::Write(value(draw.id().unique())),
        _ => RegisterOp::Read,
    }
}

/// Returns what a read found.
pub(crate) fn found(number: Option<u64>) -> RegisterReturn {
    RegisterReturn::Found(number.map_or(Value::Null, value))
}

fn value(number: u64) -> Value {
    Value::from(number.cast_signed())
}

/// Judges whether there is one order of all operations that explains every read.
///
/// # Errors
///
/// What fits nowhere.
pub(crate) fn linearizable(history: &RegisterHistory) -> Result<(), String> {
    match Linearizable::whole(Register).check(&without_unread(history)) {
        Verdict::Linearizable => Ok(()),
        Verdict::Violation(why) => Err(why.to_string()),
        Verdict::Unknown { spent } => Err(format!("undecided after {spent} steps")),
    }
}

/// Leaves out the writes that may have happened and that nobody read: each value is written once,
/// so that they explain nothing, and they are many where nodes crash.
fn without_unread(history: &RegisterHistory) -> RegisterHistory {
    let mut read = BTreeSet::new();
    for span in history.spans() {
        if let Some(RegisterReturn::Found(value)) = span.outcome.returned() {
            read.insert(value.clone());
        }
    }
    let is_needed = |span: &&Span<RegisterOp, RegisterReturn>| match &span.operation {
        RegisterOp::Write(value) => span.outcome.returned().is_some() || read.contains(value),
        _ => true,
    };
    let mut judged = History::new();
    for Span { called, operation, outcome, .. } in history.spans().iter().filter(is_needed) {
        // What came before is in the stamps: a process of its own for each is as good.
        let process = judged.start();
        let call = judged.invoke(process, *called, operation.clone());
        match outcome {
            Outcome::Ok { at, returned } => _ = judged.ok(call, *at, returned.clone()),
            Outcome::Fail { at } => _ = judged.fail(call, *at),
            Outcome::Info { at } => _ = at.map(|at| judged.info(call, at)),
        }
    }
    judged
}
