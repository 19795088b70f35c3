//! A network for pods: a script of ours instead of a CNI plugin. It changes nothing outside of the pod's namespace.
//!
//! The plugin's contract: <https://www.cni.dev/docs/spec/>

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;

/// Both ends of `eth0` are in the pod.
const PLUGIN: &str = r#"#!/bin/sh
case "$CNI_COMMAND" in
ADD)
    {
        nsenter --net="$CNI_NETNS" ip link set lo up
        if [ "$CNI_IFNAME" != lo ]; then
            nsenter --net="$CNI_NETNS" ip link add "$CNI_IFNAME" type veth peer name peer0
            nsenter --net="$CNI_NETNS" ip link set "$CNI_IFNAME" up
            nsenter --net="$CNI_NETNS" ip link set peer0 up
        fi
    } >&2
    address=10.88.0.2/16
    [ "$CNI_IFNAME" = lo ] && address=127.0.0.1/8
    echo "{\"cniVersion\":\"0.3.1\",\"interfaces\":[{\"name\":\"$CNI_IFNAME\",\"sandbox\":\"$CNI_NETNS\"}],\
\"ips\":[{\"version\":\"4\",\"address\":\"$address\",\"interface\":0}]}"
    ;;
VERSION) echo '{"cniVersion":"0.3.1","supportedVersions":["0.3.1"]}' ;;
esac
"#;

const NETWORK: &str = r#"{"cniVersion":"0.3.1","name":"cgtap-test","plugins":[{"type":"own"}]}"#;

/// Puts the plugin and its configuration where containerd looks for them. It asks one called `loopback` for `lo`.
pub(super) fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for name in ["own", "loopback"] {
        let file = folder.join(name);
        fs::write(&file, PLUGIN)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(folder.join("10-own.conflist"), NETWORK)?;
    Ok(())
}
