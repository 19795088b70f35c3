//! The agent's own log, on standard error.

use tracing::level_filters::LevelFilter;

use crate::config::{Config, LogFormat};

/// Starts the log, also for the libraries that write to `log`.
pub(super) fn start(config: &Config) {
    // Its levels have the names of ours.
    let level = config.log_level.as_str().parse().unwrap_or(LevelFilter::INFO);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
