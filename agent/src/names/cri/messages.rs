//! The messages of the container runtime interface that are needed, version 1 (`runtime.v1`), with the numbers of
//! [its definition](https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto). The decoder
//! skips fields that are not here.

use std::collections::BTreeMap;

type Texts = BTreeMap<String, String>;

/// A row is a message, and each field its name, its type here, and its number and type of the protocol.
macro_rules! messages {
    ($($(#[$about:meta])* $name:ident { $($field:ident: $type:ty = $tag:literal $($form:ident)+ $(($map:tt))?,)+ })+) => {
        $(
            $(#[$about])*
            #[derive(Clone, PartialEq, prost::Message)]
            pub(in crate::names) struct $name {
                $(#[prost($($form),+ $(= $map)?, tag = $tag)] pub(super) $field: $type,)+
            }
        )+
    };
}

messages! {
    VersionRequest { version: String = "1" string, }
    VersionResponse { runtime_name: String = "2" string, }

    /// For containers and for sandboxes.
    ListRequest { filter: Option<Filter> = "1" message optional, }
    Filter { id: String = "1" string, }

    ListContainersResponse { containers: Vec<Container> = "1" message repeated, }
    /// `created_at` is in nanoseconds since 1970.
    Container {
        id: String = "1" string,
        metadata: Option<ContainerMetadata> = "3" message optional,
        image: Option<ImageSpec> = "4" message optional,
        image_ref: String = "5" string,
        created_at: i64 = "7" int64,
        labels: Texts = "8" btree_map ("string, string"),
        annotations: Texts = "9" btree_map ("string, string"),
    }
    ContainerMetadata { name: String = "1" string, attempt: u32 = "2" uint32, }
    /// `user_specified_image` is the image as written in the pod; only newer runtimes send it.
    ImageSpec { image: String = "1" string, user_specified_image: String = "18" string, }

    ListPodSandboxResponse { items: Vec<PodSandbox> = "1" message repeated, }
    /// `created_at` is in nanoseconds since 1970.
    PodSandbox {
        id: String = "1" string,
        metadata: Option<PodSandboxMetadata> = "2" message optional,
        created_at: i64 = "4" int64,
        labels: Texts = "5" btree_map ("string, string"),
    }
    PodSandboxMetadata { name: String = "1" string, uid: String = "2" string, namespace: String = "3" string, }

    /// For a container and for a sandbox.
    StatusRequest { id: String = "1" string, verbose: bool = "2" bool, }
    ContainerStatusResponse {
        status: Option<ContainerStatus> = "1" message optional,
        info: Texts = "2" btree_map ("string, string"),
    }
    /// `started_at` is in nanoseconds since 1970; 0 before the start.
    ContainerStatus { started_at: i64 = "5" int64, image: Option<ImageSpec> = "8" message optional, }
    PodSandboxStatusResponse { info: Texts = "2" btree_map ("string, string"), }
}
