//! Judges of histories: does what clients saw fit a model?
//!
//! [`Linearizable`] looks for one order of all operations that explains every return, keeps to
//! real time, and has each operation happen at once. A [`Model`] says what an operation returns
//! and changes when it happens alone; [`models`] has those of the usual objects.

mod cycles;
mod linear;
mod model;
pub mod models;
mod slips;
pub mod transactions;
mod traps;

pub use self::linear::{Counterexample, Linearizable, Prefix, Row, Verdict};
pub use self::model::{At, Each, Keyed, Model, Whole};
