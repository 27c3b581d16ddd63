//! `cargo xtask <command>`.

use std::path::Path;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, value_parser};
use xtask::{ci, fuzz, mutants, patterns, peers, sim, tidy};

/// The commands of a developer of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs what CI runs: format, lints, tests, documentation, examples, benches.
    Ci,
    /// Prints what breaks a rule of the house. It is one of the tests, too.
    Tidy,
    /// Runs the simulations with seeds that nobody ran before.
    Sim {
        /// All that there are, if not given.
        #[arg(value_parser = PossibleValuesParser::new(sim::names()))]
        family: Option<String>,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        #[arg(value_parser = value_parser!(u64).range(1..))]
        seeds: u64,
        /// The first. Drawn from the clock, if not given.
        #[arg(long, value_name = "S")]
        start: Option<u64>,
        /// Goes on with further seeds until so much time has passed.
        #[arg(long, value_name = "M")]
        minutes: Option<u64>,
        /// Goes on after a failure, and tells one of each kind.
        #[arg(long)]
        collect: bool,
    },
    /// Builds the fuzz targets and runs them from their seeds. Fails on a crash, and says on what.
    Fuzz {
        /// A target, or the first word of several, as in `wal`. All that there are, if not given.
        target: Option<String>,
        /// How long each runs.
        #[arg(long, value_name = "N", default_value_t = 60)]
        #[arg(value_parser = value_parser!(u64).range(1..))]
        seconds: u64,
        /// Tries the same inputs each time, and keeps nothing of what it finds.
        #[arg(long, value_name = "S", value_parser = value_parser!(u32).range(1..))]
        seed: Option<u32>,
    },
    /// Measures us and others, side by side.
    Peers {
        /// All that there are, if not given.
        family: Option<String>,
        /// Less work per row: good for a look, not for a claim.
        #[arg(long)]
        quick: bool,
        /// One line of JSON per row.
        #[arg(long)]
        json: bool,
    },
    /// Plants every named mistake, and prints in how many seeds it is caught.
    Mutants {
        /// All that there are, if not given.
        #[arg(value_parser = PossibleValuesParser::new(mutants::NAMES))]
        family: Option<String>,
    },
    /// Checks docs/patterns.md, cell by cell.
    Patterns,
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
    let result = match Arguments::parse().command {
        Command::Ci => ci::run(root),
        Command::Tidy => tidy::run(root),
        Command::Sim { family, seeds, start, minutes, collect } => {
            let hunt = sim::Hunt { seeds, start, minutes, collects: collect };
            sim::run(root, family.as_deref(), hunt)
        }
        Command::Fuzz { target, seconds, seed } => {
            fuzz::run(root, fuzz::Hunt { target: target.as_deref(), seconds, seed })
        }
        Command::Peers { family, quick, json } => peers::run(root, family.as_deref(), quick, json),
        Command::Mutants { family } => mutants::run(root, family.as_deref()),
        Command::Patterns => patterns::run(root),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (line, kind) in [
            ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("dance", ErrorKind::InvalidSubcommand),
            ("sim chess", ErrorKind::InvalidValue),
            ("sim --seeds 0", ErrorKind::ValueValidation),
            ("sim --seeds many", ErrorKind::ValueValidation),
            ("fuzz --seconds 0", ErrorKind::ValueValidation),
            ("fuzz wal --seed 0", ErrorKind::ValueValidation),
            ("mutants chess", ErrorKind::InvalidValue),
            ("ci now", ErrorKind::UnknownArgument),
        ] {
            let words = ["xtask"].into_iter().chain(line.split_whitespace());
            let error = Arguments::try_parse_from(words).expect_err(line);
            assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
        }
    }

    #[test]
    fn what_is_promised_is_understood() {
        for line in [
            "ci",
            "tidy",
            "sim",
            "sim raft --seeds 20 --start 7",
            "sim --seeds 500 --minutes 10 --collect",
            "fuzz",
            "fuzz wal_open --seconds 600",
            "fuzz wal --seed 20",
            "peers wal --quick --json",
            "peers",
            "mutants",
            "mutants wal",
            "patterns",
        ] {
            let words = ["xtask"].into_iter().chain(line.split_whitespace());
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
