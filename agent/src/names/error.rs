//! Why a runtime gave no answer.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The socket or directory does not exist.
    #[error("it is not there")]
    Absent,
    #[error("no answer in time")]
    Late,
    #[error("the answer has more than {limit} bytes")]
    TooLarge { limit: usize },
    /// The runtime reports an error.
    #[error("refused: {0}")]
    Refused(String),
    /// The answer cannot be decoded.
    #[error("the answer makes no sense: {0}")]
    Garbage(String),
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent,
            _ => Self::Io(error),
        }
    }
}

impl From<tokio::time::error::Elapsed> for AskError {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Late
    }
}

macro_rules! garbage {
    ($($error:ty),+) => {$(
        impl From<$error> for AskError {
            fn from(error: $error) -> Self {
                Self::Garbage(error.to_string())
            }
        }
    )+};
}

garbage!(serde_json::Error, tonic::transport::Error, hyper::http::Error);

impl AskError {
    /// Whether the failure concerns one container, not the runtime: the next question may succeed.
    pub(super) fn is_of_one(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Refused(_) | Self::Garbage(_))
    }
}
