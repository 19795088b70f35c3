//! Brings the loopback interface up by one netlink message, since a machine of ours has no `ip`. The kernel then gives
//! it 127.0.0.1 by itself.
//!
//! Kernel text: <https://docs.kernel.org/userspace-api/netlink/intro.html>, `struct nlmsghdr` and `struct ifinfomsg`.

use anyhow::{Context, Result, bail};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, sendto, socket};

const RTM_NEWLINK: u16 = 16;
const REQUEST_WITH_ANSWER: u16 = 1 | 4;
const IFF_UP: u32 = 1;
/// The kernel makes it first in each network namespace.
const LOOPBACK: i32 = 1;
/// Where the answer has its errno, behind the 16 bytes of its header.
const ERRNO_AT: std::ops::Range<usize> = 16..20;

/// Sets its flag `IFF_UP`.
///
/// # Errors
/// The kernel refuses, or answers nothing that is an answer.
pub(crate) fn up() -> Result<()> {
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None).context("netlink socket")?;
    sendto(&socket, &message(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).context("netlink send")?;
    let mut answer = [0u8; 256];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty()).context("netlink answer")?;
    match errno(answer.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(errno) => Err(rustix::io::Errno::from_raw_os_error(-errno)).context("netlink refused"),
        None => bail!("netlink answered {length} bytes, wanted at least {}", ERRNO_AT.end),
    }
}

fn message() -> Vec<u8> {
    let header = [&32u32.to_ne_bytes()[..], &RTM_NEWLINK.to_ne_bytes(), &REQUEST_WITH_ANSWER.to_ne_bytes()];
    let sequence_and_port = [1u32.to_ne_bytes(), 0u32.to_ne_bytes()];
    let family_and_kind = [0u8; 4];
    let interface = [LOOPBACK.to_ne_bytes(), IFF_UP.to_ne_bytes(), IFF_UP.to_ne_bytes()];
    [header.concat(), sequence_and_port.concat(), family_and_kind.to_vec(), interface.concat()].concat()
}

fn errno(answer: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(answer.get(ERRNO_AT)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_its_own_length() {
        let message = message();
        assert_eq!(message.len(), 32);
        assert_eq!(message[..4], 32u32.to_ne_bytes());
        assert_eq!(message[20..24], 1i32.to_ne_bytes(), "the interface");
    }

    #[test]
    fn a_short_answer_has_no_errno() {
        assert_eq!(errno(&[0; 19]), None);
        assert_eq!(errno(&[0xff; 20]), Some(-1));
    }
}
