//! Counters of the kernel's flat keyed files: each field with the key by which the kernel prints it.

/// A struct of counters that a file in the flat keyed format fills.
pub trait Keyed: Default {
    /// The field of a key; `None` for a key without one.
    fn field(&mut self, key: &[u8]) -> Option<&mut Option<u64>>;
}

/// Declares such a struct: `field = b"key"`. A field is `None` where this kernel does not print its key. Each key is compared with
/// the whole of one known length, which the compiler makes into a few instructions.
macro_rules! keyed {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $($(#[$about:meta])* $field:ident = $key:literal,)+ }
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$about])* pub $field: Option<u64>,)+
        }

        impl $crate::model::Keyed for $name {
            fn field(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
                $(if key == $key {
                    return Some(&mut self.$field);
                })+
                None
            }
        }
    };
}

pub(super) use keyed;
