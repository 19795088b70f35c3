//! The log lines of the programs in debug builds, through aya-log into the agent's own log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Follows the programs' log for as long as the runtime lives.
pub(super) fn follow(programs: &mut Ebpf) {
    let logger = match EbpfLogger::init(programs) {
        // SAFETY: the logger owns its ring's descriptor, never changes it, and lives as long as the registration.
        Ok(logger) => unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) },
        Err(error) => return tracing::debug!(%error, "the programs' own log is not there"),
    };
    match logger {
        Ok(logger) => drop(tokio::spawn(run(logger))),
        Err(error) => tracing::debug!(%error, "the programs' own log cannot be waited for"),
    }
}

async fn run(mut logger: AsyncFd<EbpfLogger<&'static dyn log::Log>>) {
    while let Ok(mut ready) = logger.readable_mut().await {
        ready.get_inner_mut().flush();
        ready.clear_ready();
    }
}
