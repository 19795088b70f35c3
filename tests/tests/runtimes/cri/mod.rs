//! A containerd of the test's own, and pods in it as a kubelet makes them.

mod messages;
mod network;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cgtap_tests::host::find_program;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::image::{IMAGE, stop, write_image};
pub use messages::*;

/// A busy machine takes some seconds to start it.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// It is stopped by its id, and its pods are removed before.
pub struct Containerd {
    folder: TempDir,
    child: Option<Child>,
    pods: Vec<String>,
}

impl Containerd {
    /// Starts it with an image of busybox.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("cgtap-test-").tempdir()?;
        fs::write(folder.path().join("config.toml"), config(folder.path()))?;
        network::write(&folder.path().join("cni"))?;
        let mut made = Self { folder, child: None, pods: Vec::new() };
        made.serve()?;
        let archive = made.folder.path().join("image.tar");
        write_image(&archive)?;
        let mut ctr = Command::new(find_program("ctr").context("no ctr")?);
        ctr.arg("-a").arg(made.socket()).args(["-n", "k8s.io", "images", "import"]).arg(&archive);
        let output = ctr.output()?;
        if !output.status.success() {
            bail!("ctr: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(made)
    }

    /// Starts it again after [`Containerd::stop`].
    pub fn serve(&mut self) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut command = Command::new(find_program("containerd").context("no containerd")?);
        command.arg("--config").arg(self.folder.path().join("config.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        let begun = Instant::now();
        loop {
            let version: Result<Empty> = self.call("Version", Empty {});
            match version {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > READY_WITHIN => {
                    let log = fs::read_to_string(self.folder.path().join("log"))?;
                    return Err(error.context(log));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Stops it. Its containers go on.
    pub fn stop(&mut self) {
        self.child.take().into_iter().for_each(stop);
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }

    /// Calls this method of its runtime service.
    pub fn call<Q, A>(&self, method: &str, request: Q) -> Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let socket = self.socket();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let path = format!("/runtime.v1.RuntimeService/{method}");
        runtime.block_on(async {
            let connector = tower::service_fn(move |_| {
                let socket = socket.clone();
                async move { tokio::net::UnixStream::connect(socket).await.map(TokioIo::new) }
            });
            let endpoint = Endpoint::from_static("http://localhost").timeout(Duration::from_secs(30));
            let channel: Channel = endpoint.connect_with_connector(connector).await?;
            let mut grpc = tonic::client::Grpc::new(channel);
            grpc.ready().await?;
            let codec = ProstCodec::<Q, A>::default();
            Ok(grpc.unary(tonic::Request::new(request), path.parse()?, codec).await?.into_inner())
        })
    }

    /// A pod, started.
    pub fn run_pod(&mut self, config: &PodSandboxConfig) -> Result<String> {
        let request = RunPodSandboxRequest { config: Some(config.clone()) };
        let Id { id } = self.call("RunPodSandbox", request)?;
        self.pods.push(id.clone());
        Ok(id)
    }

    /// A container that does nothing, made and started.
    pub fn run(&self, pod: &str, pod_config: &PodSandboxConfig, config: ContainerConfig) -> Result<String> {
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.to_owned(),
            config: Some(config),
            sandbox_config: Some(pod_config.clone()),
        };
        let made: Id = self.call("CreateContainer", request)?;
        let _: Empty = self.call("StartContainer", made.clone())?;
        Ok(made.id)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for id in std::mem::take(&mut self.pods) {
            for method in ["StopPodSandbox", "RemovePodSandbox"] {
                // The next test notices a pod that stays. A panic here would hide the first one.
                let _: Result<Empty> = self.call(method, Id { id: id.clone() });
            }
        }
        self.stop();
    }
}

fn config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  sandbox_image = "{IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/cni"
    conf_dir = "{folder}/cni"
"#
    )
}
