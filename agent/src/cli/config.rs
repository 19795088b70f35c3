//! `cgtap config`: the settings in force, a check of a file, the schema of the file.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::print;
use crate::config::{Flags, Given, USUAL_FILE, schema, show};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the settings in force as TOML, each with where it comes from
    Show(Flags),
    /// Check a settings file
    Check(CheckArgs),
    /// Print a JSON Schema of the file
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The file instead of /etc/cgtap/cgtap.toml
    #[arg(env = "CGTAP_CONFIG", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ConfigCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let text = match self {
            Self::Show(flags) => show(&Given::load(flags)?)?,
            Self::Check(args) => check(args.file.as_deref())?,
            Self::Schema => format!("{:#}\n", schema()),
        };
        print(text.as_bytes())
    }
}

fn check(file: Option<&Path>) -> anyhow::Result<String> {
    Given::read(file)?.check()?;
    Ok(format!("{}: OK\n", file.unwrap_or(Path::new(USUAL_FILE)).display()))
}
