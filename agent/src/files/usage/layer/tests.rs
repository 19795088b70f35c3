//! Roots of containers as runtimes mount them.

use super::*;
use crate::files::filesystems::Filesystems;
use crate::files::fixture::Fixture;
use crate::model::MetricSets;

const HOST: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 254:1 /sub /data rw - xfs /dev/vdb rw\n";

fn layer_of(fixture: &Fixture, mountinfo: &str) -> Option<PathBuf> {
    fixture.file("proc/7/mountinfo", mountinfo);
    let table = Filesystems::new(fixture.host(), MetricSets::none()).mounts().unwrap();
    layer(&fixture.host(), &table, 7).map(|layer| {
        assert!(["/dev/vda", "/dev/vdb"].contains(&layer.label.as_str()), "{layer:?}");
        layer.path
    })
}

fn host() -> Fixture {
    let fixture = Fixture::new();
    fixture.file("proc/1/mountinfo", HOST);
    fixture
}

#[test]
fn the_upper_directory_of_an_overlay() {
    let fixture = host();
    for dir in ["/var/lib/x/1/fs", "/a,b c/fs", "/a:b/fs", "/var/lib/docker/overlay2/id/diff"] {
        fixture.dir(&dir.as_bytes()[1..]);
    }
    for (option, wanted) in [
        ("/var/lib/x/1/fs", "/var/lib/x/1/fs"),
        ("/a\\054b\\040c/fs", "/a,b c/fs"),
        ("/a:b/fs", "/a:b/fs"),
        ("/a\\134:b/fs", "/a:b/fs"),
        ("id/diff", "/var/lib/docker/overlay2/id/diff"),
    ] {
        let text = format!(
            "99 98 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir={option},workdir=/w\n\
             100 99 0:51 / /proc rw - proc proc rw\n"
        );
        assert_eq!(layer_of(&fixture, &text).unwrap(), Path::new(wanted), "{option}");
    }
    for none in ["/not/there", "/var/../var/lib/x/1/fs", "id/none"] {
        let text = format!("99 98 0:50 / / rw - overlay overlay rw,upperdir={none}\n");
        assert_eq!(layer_of(&fixture, &text), None, "{none}");
    }
    assert_eq!(layer_of(&fixture, "99 98 0:50 / / ro - overlay overlay ro,lowerdir=/l\n"), None, "read only");
}

#[test]
fn a_directory_of_the_host_as_root() {
    let fixture = host();
    fixture.dir(b"var/lib/docker/vfs/dir/1");
    fixture.dir(b"data/x/2");
    let at = |device: &str, root: &str| format!("99 98 {device} {root} / rw - ext4 /dev/x rw\n");
    let found = layer_of(&fixture, &at("254:0", "/var/lib/docker/vfs/dir/1")).unwrap();
    assert_eq!(found, Path::new("/var/lib/docker/vfs/dir/1"));
    assert_eq!(layer_of(&fixture, &at("254:1", "/sub/x/2")).unwrap(), Path::new("/data/x/2"));
    let network = "99 98 254:0 /var/lib/docker/vfs/dir/1 / rw - nfs4 server:/x rw\n";
    assert_eq!(layer_of(&fixture, network), None);
    assert_eq!(layer_of(&fixture, &at("254:1", "/elsewhere")), None, "not mounted on the host");
    assert_eq!(layer_of(&fixture, &at("254:0", "/var/lib/docker/vfs/dir/1//deleted")), None);
}

#[test]
fn the_hosts_own_root_is_no_layer() {
    let fixture = host();
    assert_eq!(layer_of(&fixture, HOST), None);
    assert_eq!(layer_of(&fixture, "99 98 254:1 / / rw - xfs /dev/vdb rw\n"), None, "a whole file system");
    assert_eq!(layer_of(&fixture, "garbage\n"), None);
    assert_eq!(layer_of(&fixture, "99 98 254:1 / /x rw - xfs /dev/vdb rw\n"), None, "changed root");
    // A host whose own root is an overlay.
    let overlay = "27 1 0:50 / / rw - overlay overlay rw,upperdir=/var\n";
    fixture.file("proc/1/mountinfo", overlay);
    fixture.dir(b"var");
    assert_eq!(layer_of(&fixture, overlay), None);
}
