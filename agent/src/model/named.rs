//! Small enums whose variants stand for a text: in events, metrics, settings, or in the kernel's own files.

/// Declares an enum of plain variants, each with its documentation and its text, and makes of that table all variants
/// (`ALL`), their texts (`NAMES`), their documentation (`HELP`), and the ways from one to the other.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        #[allow(dead_code, reason = "not each enum is listed, parsed and explained")]
        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];
            /// Their texts, in the same order.
            pub const NAMES: [&'static str; Self::ALL.len()] = [$($text),+];
            /// What each of them means, in the same order.
            pub const HELP: [&'static str; Self::ALL.len()] = [$(concat!($($doc),+)),+];

            /// The text that stands for it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The one that a text stands for.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|known| known.as_str() == name)
            }

            /// Its bit in a set.
            pub const fn bit(self) -> u32 {
                1 << (self as u32)
            }

            /// The bits of a comma list of texts, or the first that stands for none. Blanks around texts are fine.
            pub fn bits_of(list: &str) -> Result<u32, String> {
                let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
                let bit = |name: &str| Self::from_name(name).map(Self::bit).ok_or_else(|| name.to_owned());
                names.map(bit).try_fold(0, |bits, bit| Ok(bits | bit?))
            }
        }
    };
}

pub(crate) use named;

#[cfg(test)]
mod tests {
    use crate::model::StartReason;

    #[test]
    fn a_text_and_its_variant_lead_to_each_other() {
        assert_eq!(StartReason::NAMES, ["first_start", "restart", "crash", "reboot"]);
        assert_eq!(StartReason::HELP.len(), StartReason::ALL.len());
        for reason in StartReason::ALL {
            assert_eq!(StartReason::from_name(reason.as_str()), Some(reason));
        }
        assert_eq!(StartReason::from_name("Crash"), None);
    }
}
