//! An error as text.

use std::error::Error;
use std::iter::successors;

/// The error and what caused it, in one line. Many messages already end with their cause.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in successors(error.source(), |&cause| cause.source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_cause_is_printed_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot: {0}")]
        struct Says(#[source] io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("cannot")]
        struct Hides(#[source] io::Error);
        let cause = || io::Error::other("because");
        assert_eq!(with_causes(&Says(cause())), "cannot: because");
        assert_eq!(with_causes(&Hides(cause())), "cannot: because");
    }
}
