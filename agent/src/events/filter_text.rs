//! Reads filters from text: the parameters of `/events`, the keys of a sink.

use std::collections::BTreeSet;

use super::Filter;
use crate::model::{CgroupPath, EventKind};

/// A value that a filter cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct BadFilter {
    /// The given value and the wanted form.
    pub text: String,
    /// The allowed values, where they are a list.
    pub allowed: &'static [&'static str],
}

impl Filter {
    /// Sets the parameter of that name; `false` if a filter has no such parameter.
    ///
    /// # Errors
    /// The value has another form.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<bool, BadFilter> {
        let text = || std::str::from_utf8(value).map_err(|_not| refused(value, "is not UTF-8"));
        match name {
            "types" => self.types = Some(types(text()?)?),
            "cgroup" if value.starts_with(b"/") => self.cgroup = Some(CgroupPath::from_bytes(value)),
            "cgroup" => return Err(refused(value, "is no path from the hierarchy's root, as /a/b")),
            "pod" => self.pod = Some(pod_uid(text()?)?),
            "namespace" => self.namespace = Some(namespace(text()?)?),
            "container" => self.container = Some(container(text()?)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn refused(value: &[u8], wanted: &str) -> BadFilter {
    BadFilter { text: format!("{:?} {wanted}", String::from_utf8_lossy(value)), allowed: &[] }
}

fn types(value: &str) -> Result<BTreeSet<String>, BadFilter> {
    let known = |name: &&str| EventKind::TYPE_NAMES.contains(name);
    match value.split(',').find(|name| !known(name)) {
        Some(unknown) => {
            Err(BadFilter { text: format!("unknown type {unknown:?}"), allowed: &EventKind::TYPE_NAMES })
        }
        None => Ok(value.split(',').map(str::to_owned).collect()),
    }
}

/// The text in lower case, if it is sound.
fn checked(text: &str, is_sound: bool, wanted: &str) -> Result<String, BadFilter> {
    if is_sound { Ok(text.to_ascii_lowercase()) } else { Err(refused(text.as_bytes(), wanted)) }
}

/// The kubelet writes it with dashes; a static pod has 32 hexadecimal digits without.
fn pod_uid(text: &str) -> Result<String, BadFilter> {
    let is_sound = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    checked(text, is_sound, "is no pod's uid: hexadecimal digits and dashes")
}

/// Kubernetes allows a DNS label.
fn namespace(text: &str) -> Result<String, BadFilter> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_sound = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
    checked(text, is_sound, "is no namespace: lower-case letters, digits and dashes, at most 63")
}

fn container(text: &str) -> Result<String, BadFilter> {
    let is_sound = (12..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    checked(text, is_sound, "is no container's id: its first 12 to all 64 hexadecimal digits")
}
