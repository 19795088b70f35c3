//! The two ways to read the kernel.

use aya_ebpf::helpers::generated;

/// A field of [`crate::maps::LAYOUT`]. Volatile, because the compiler must not use the value in this file.
macro_rules! layout {
    ($($field:ident).+) => {
        // SAFETY: a read of a static; the agent wrote it before the load, and the kernel has frozen it.
        unsafe { core::ptr::read_volatile(&raw const crate::maps::LAYOUT.$($field).+) }
    };
}
pub(crate) use layout;

/// A typed load: `base` is a pointer whose type the verifier knows, `offset` a constant from the layout.
///
/// The load cannot fault: for such pointers the kernel gives 0 where the memory is gone.
#[inline(always)]
pub fn typed<T: Copy>(base: usize, offset: u32) -> T {
    // SAFETY: the verifier checks base, offset and size against the kernel's BTF before the program may run.
    unsafe { core::ptr::read_volatile((base + offset as usize) as *const T) }
}

/// A way to follow a chain of pointers.
pub trait Read {
    fn read<T: Copy + Default>(base: usize, offset: u32) -> T;
}

/// By typed loads, from a pointer that the verifier knows.
pub struct Typed;

impl Read for Typed {
    #[inline(always)]
    fn read<T: Copy + Default>(base: usize, offset: u32) -> T {
        typed(base, offset)
    }
}

/// By helper, from any address; 0 where it cannot be read. Not available under `lockdown=confidentiality`.
pub struct Probed;

impl Read for Probed {
    #[inline(always)]
    fn read<T: Copy + Default>(base: usize, offset: u32) -> T {
        let mut value = T::default();
        // The result is not checked: on failure the helper leaves zeros, and each branch in a row of reads doubles the work
        // of the verifiers of some kernels (6.1 gave up after a million instructions).
        // SAFETY: writes size_of::<T>() bytes to `value`.
        unsafe {
            generated::bpf_probe_read_kernel(
                (&raw mut value).cast(),
                size_of::<T>() as u32,
                (base + offset as usize) as *const _,
            )
        };
        value
    }
}

/// Reads a NUL-terminated string by helper into `into`; bytes without the NUL, 0 on failure.
///
/// # Safety
/// `into` must be valid for writes of `room` bytes.
#[inline(always)]
pub unsafe fn probe_str(address: usize, into: *mut u8, room: u32) -> u32 {
    // SAFETY: the caller's promise.
    let read = unsafe { generated::bpf_probe_read_kernel_str(into.cast(), room, address as *const _) };
    // The helper returns at most `room`, but the verifier needs the bound here too.
    if read <= 0 || read > i64::from(room) { 0 } else { read as u32 - 1 }
}

/// Where the bytes of a `__data_loc` field are: the low half of its word is their offset in the record.
#[inline(always)]
pub fn data_loc(record: usize, field: u32) -> usize {
    record + (Probed::read::<u32>(record, field) & 0xffff) as usize
}
