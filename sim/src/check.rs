//! Judges of histories: does what clients saw fit a model?
//!
//! [`Linearizable`] looks for one order of all operations that explains every return, keeps to
//! real time, and has each operation happen at once. A [`Model`] says what an operation returns
//! and changes when it happens alone; [`models`] has those of the usual objects.
//!
//! Where there is no such order, or none is promised, others ask for less: [`transactions`] which
//! isolation they had, [`session`] what one client may rely on, [`log`], [`watch`], [`set`] and
//! [`counter`] what is true of these whatever copy answered, and [`converge`] whether copies agree
//! in the end.

pub mod converge;
pub mod counter;
mod cycles;
mod linear;
pub mod log;
mod model;
pub mod models;
mod report;
pub mod session;
pub mod set;
mod slips;
pub mod transactions;
mod traps;
pub mod watch;

pub use self::linear::{Counterexample, Linearizable, Prefix, Row, Verdict};
pub use self::model::{At, Each, Keyed, Model, Whole};
pub use self::report::{Finding, Report};
