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
            "cgroup" => self.cgroup = Some(cgroup(value)?),
            "pod" => self.pod = Some(uid(text()?)?),
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

fn cgroup(value: &[u8]) -> Result<CgroupPath, BadFilter> {
    if value.starts_with(b"/") {
        return Ok(CgroupPath::from_bytes(value));
    }
    Err(refused(value, "is no path from the hierarchy's root, as /a/b"))
}

/// The kubelet writes it with dashes; a static pod has 32 hexadecimal digits without.
fn uid(value: &str) -> Result<String, BadFilter> {
    let well_formed = !value.is_empty() && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if well_formed {
        return Ok(value.to_ascii_lowercase());
    }
    Err(refused(value.as_bytes(), "is no pod's uid: hexadecimal digits and dashes"))
}

/// Kubernetes allows a DNS label.
fn namespace(value: &str) -> Result<String, BadFilter> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&value.len()) && value.bytes().all(allowed) {
        return Ok(value.to_owned());
    }
    Err(refused(value.as_bytes(), "is no namespace: lower-case letters, digits and dashes, at most 63"))
}

fn container(value: &str) -> Result<String, BadFilter> {
    let well_formed = (12..=64).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_hexdigit());
    if well_formed {
        return Ok(value.to_ascii_lowercase());
    }
    Err(refused(value.as_bytes(), "is no container's id: its first 12 to all 64 hexadecimal digits"))
}
