//! Why a source did not tell.

use std::io;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There is no such socket or directory.
    #[error("it is not there")]
    Absent,
    /// It did not answer in time.
    #[error("no answer in time")]
    Late,
    /// It answers more than is read.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
    /// It answers that it does not want to.
    #[error("refused: {0}")]
    Refused(String),
    /// What it answers is not what was asked for.
    #[error("the answer makes no sense: {0}")]
    Garbage(String),
    /// The connection failed.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent,
            _ => Self::Io(error),
        }
    }
}

impl AskError {
    /// Whether the next question may fare better: one container was the trouble, not the runtime.
    pub(super) fn is_of_one(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Refused(_) | Self::Garbage(_))
    }
}
