//! `cargo xtask test`: everything that must pass, in one command. CI runs this and nothing else.
//!
//! A step that fails does not stop the others. A test that cannot run on this host says why, is counted as skipped and
//! named again at the end. The report has the time of each step; its last line is `N passed, N failed, N skipped`.
//!
//! Kernels are fetched and the machines' image is built beside the checks and builds. No test runs beside them.

use std::time::Instant;

use anyhow::Result;

use crate::apt::{self, Need};
use crate::vm::Machines;
use crate::{deny, ebpf, exec, tidy, vm};

mod background;
mod cargo_test;
pub(crate) mod tally;

use background::Background;
use tally::Tally;

const PROGRAMS: [Need; 14] = [
    Need { file: "openssl", packages: &["openssl"] },
    Need { file: "promtool", packages: &["prometheus"] },
    Need { file: "prometheus", packages: &["prometheus"] },
    Need { file: "setpriv", packages: &["util-linux"] },
    Need { file: "unshare", packages: &["util-linux"] },
    Need { file: "ip", packages: &["iproute2"] },
    Need { file: "strace", packages: &["strace"] },
    Need { file: "containerd", packages: &["containerd"] },
    Need { file: "runc", packages: &["runc"] },
    Need { file: "podman", packages: &["podman"] },
    Need { file: "dockerd", packages: &["docker.io"] },
    Need { file: "busybox", packages: &["busybox-static"] },
    Need { file: "systemd-analyze", packages: &["systemd"] },
    Need { file: "/usr/lib/python3/dist-packages/yaml", packages: &["python3-yaml"] },
];

/// Runs every step, and the live tests on other kernels in these machines. With all of them it is the long form, which
/// also checks the dependencies.
///
/// # Errors
/// A step or a test failed.
pub(crate) fn run(machines: Machines) -> Result<()> {
    let begun = Instant::now();
    let mut tally = Tally::default();
    tally.timed("packages", |_| packages(machines));
    let preparing = prepare(machines);
    tally.step("format", || exec::run(exec::cargo().args(["fmt", "--all", "--check"])));
    tally.step("lints", lints);
    tally.step("tidy", tidy::run);
    if machines == Machines::All {
        deny(&mut tally);
    }
    bpf(&mut tally);
    fuzz(&mut tally);
    cargo_test::build(&mut tally);
    if let Some(preparing) = preparing {
        preparing.join(&mut tally);
    }
    cargo_test::run(&mut tally);
    vm::test(machines, &mut tally);
    tally.took("in all", begun.elapsed());
    println!("\n{}", tally.report());
    if tally.failed() > 0 {
        // The report is the message, and its last line stays the last line.
        std::process::exit(1);
    }
    Ok(())
}

/// The tests that need what is missing skip and print why; the others still show something.
fn packages(machines: Machines) {
    if let Err(why) = apt::ensure("the tests", &PROGRAMS) {
        eprintln!("{why:#}");
    }
    if machines != Machines::None && vm::ensure_programs().is_err() {
        eprintln!("no virtual machines: see below");
    }
}

fn prepare(machines: Machines) -> Option<Background> {
    let names: Vec<_> = machines.names().collect();
    (!names.is_empty())
        .then(|| Background::start("kernels and image", [vec!["vm", "--prepare"], names].concat()))
}

fn lints() -> Result<()> {
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-Dwarnings"];
    exec::run(exec::cargo().args(clippy))
}

/// What may enter the build, where the tool for it can be had.
fn deny(tally: &mut Tally) {
    match tally.timed("cargo-deny", |_| deny::tool()) {
        Ok(tool) => tally.step("dependencies", || deny::check(&tool)),
        Err(why) => tally.skip("dependencies", &format!("{why:#}")),
    }
}

/// The BPF programs, where their tool chain is.
fn bpf(tally: &mut Tally) {
    let manifest = exec::root().join("ebpf/Cargo.toml");
    tally.step("format of ebpf/", || {
        exec::run(exec::cargo().args(["fmt", "--check", "--manifest-path"]).arg(&manifest))
    });
    match tally.timed("BPF tool chain", |_| ebpf::toolchain::Toolchain::ensure()) {
        Ok(_) => tally.step("BPF object", || ebpf::run(true)),
        Err(why) => tally.skip("BPF object", &format!("{why:#}")),
    }
}

/// The fuzz targets, which are a workspace of their own: their form, and that they fit what the agent offers.
fn fuzz(tally: &mut Tally) {
    let manifest = exec::root().join("fuzz/Cargo.toml");
    tally.step("format of fuzz/", || {
        exec::run(exec::cargo().args(["fmt", "--check", "--manifest-path"]).arg(&manifest))
    });
    tally.step("fuzz targets", || {
        // One folder of results for both workspaces: the crates under them are the same.
        let target = exec::root().join("target");
        let check = ["check", "--quiet", "--locked", "--bins", "--manifest-path"];
        let mut cargo = exec::cargo();
        // Nothing is linked, so no C++ compiler need be asked to build libFuzzer.
        cargo.env("CUSTOM_LIBFUZZER_PATH", "/nowhere/libFuzzer.a");
        exec::run(cargo.args(check).arg(&manifest).arg("--target-dir").arg(target))
    });
}
