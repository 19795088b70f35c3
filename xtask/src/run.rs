//! `cargo xtask run`: builds the agent and becomes it, so that signals reach it as if it had been started by hand.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use cgtap_tests::host;

use crate::exec;

const ADDRESS: &str = "127.0.0.1:8080";
/// The profile that builds in the shortest time.
const QUICK: &str = "quick";
/// What is installed and measured.
pub(crate) const RELEASE: &str = "release";

/// Builds and starts the agent; returns only when that fails.
///
/// # Errors
/// The agent does not build or does not start.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let binary = build(QUICK)?;
    let listen = listen_of(args);
    let mut agent = Command::new(&binary);
    agent.arg("serve");
    if listen.is_none() {
        agent.args(["--listen", ADDRESS]);
    }
    if host::root().is_err() && !args.iter().any(|a| a.starts_with("--state-dir")) {
        // The default is root's.
        agent.arg("--state-dir").arg(exec::cache()?.join("state"));
        println!(
            "not root, so no BPF: cgroups are found by watching directories, OOM kills by the kernel's counts where every \
             user may read them. /status names the rungs"
        );
    }
    agent.args(args);
    println!("{}", look_at(listen.unwrap_or(ADDRESS)));
    println!("{}", exec::typed(&agent));
    Err(agent.exec()).with_context(|| format!("cannot start {}", binary.display()))
}

/// The agent's binary in a profile of the root `Cargo.toml`.
///
/// # Errors
/// It does not build.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    exec::run(exec::cargo().args(["build", "--profile", profile, "--package", "cgtap"]))?;
    Ok(exec::target().join(profile).join("cgtap"))
}

/// The address that the arguments ask for, in either form of a flag.
fn listen_of(args: &[String]) -> Option<&str> {
    args.iter().enumerate().find_map(|(i, arg)| match arg.strip_prefix("--listen=") {
        Some(value) => Some(value),
        None if arg == "--listen" => args.get(i + 1).map(String::as_str),
        None => None,
    })
}

fn look_at(listen: &str) -> String {
    let (curl, base, url) = match listen.strip_prefix("unix:") {
        Some(path) => (format!("curl --unix-socket {path} "), "http://cgtap".to_owned(), listen.to_owned()),
        None => ("curl ".to_owned(), format!("http://{listen}"), format!("http://{listen}")),
    };
    format!(
        "metrics   {curl}{base}/metrics\n\
         events    {curl}-N '{base}/events?follow=1'\n\
         the same  target/quick/cgtap events --follow --url {url}\n\
         status    {curl}{base}/status\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_both_forms() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(listen_of(&words("--x --listen 1.2.3.4:5")), Some("1.2.3.4:5"));
        assert_eq!(listen_of(&words("--listen=unix:/a")), Some("unix:/a"));
        assert_eq!(listen_of(&words("--listener 7")), None);
        assert_eq!(listen_of(&words("--listen")), None);
    }

    #[test]
    fn a_unix_socket_is_shown_as_curl_wants_it() {
        let text = look_at("unix:/run/cgtap.sock");
        assert!(text.contains("--unix-socket /run/cgtap.sock"), "{text}");
        assert!(text.contains("--url unix:/run/cgtap.sock"), "{text}");
        assert!(look_at(ADDRESS).contains("curl http://127.0.0.1:8080/metrics"));
    }
}
