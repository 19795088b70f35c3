//! The node, and whether the scrape could read everything.

use super::metric::{Metric, Value};

metrics! { None;
    gauge "machine_cpu_cores", "Number of logical CPU cores.",
        both "/sys/devices/system/cpu/online", machine |m| m.logical_cpus;
    gauge "machine_cpu_physical_cores", "Number of physical CPU cores.",
        both "/sys/devices/system/cpu/cpu*/topology, distinct (package, core)", machine |m| m.physical_cores;
    gauge "machine_cpu_sockets", "Number of CPU sockets.",
        both "/sys/devices/system/cpu/cpu*/topology, distinct packages", machine |m| m.sockets;
    gauge "machine_cpu_books", "Number of CPU books (s390 alone).",
        both "/sys/devices/system/cpu/cpu*/topology/book_id", machine |m| m.books;
    gauge "machine_cpu_drawers", "Number of CPU drawers (s390 alone).",
        both "/sys/devices/system/cpu/cpu*/topology/drawer_id", machine |m| m.drawers;
    gauge "machine_memory_bytes", "Amount of memory installed on the machine, in bytes.",
        both "/proc/meminfo MemTotal", machine |m| m.memory_bytes;
    gauge "machine_swap_bytes", "Amount of swap on the machine, in bytes.",
        both "/proc/meminfo SwapTotal", machine |m| m.swap_bytes;
    unstamped "container_scrape_error", "1 if a container's file could not be read or understood, 0 otherwise.",
        both "the reading", node |snapshot| Value::Count(u64::from(snapshot.reading.errors > 0));
    unstamped "machine_scrape_error", "1 if the machine's size could not be read, 0 otherwise.",
        both "the reading", node |snapshot| {
            let read = snapshot.machine.logical_cpus.is_some() && snapshot.machine.memory_bytes.is_some();
            Value::Count(u64::from(!read))
        };
}
