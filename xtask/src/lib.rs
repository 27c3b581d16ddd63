//! The developer's commands.

pub mod ci;
pub mod fuzz;
pub mod metadata;
pub mod mutants;
pub mod patterns;
pub mod peers;
pub mod shell;
pub mod sim;
pub mod tidy;
pub mod tree;
