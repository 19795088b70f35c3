//! tracefs `events/<group>/<name>/format`: the layout of a tracepoint's record.
//!
//! Kernel text: <https://docs.kernel.org/trace/events.html>
//!
//! ```text
//! name: cgroup_mkdir
//! ID: 544
//! format:
//!         field:unsigned short common_type;       offset:0;       size:2; signed:0;
//!
//!         field:u64 id;   offset:16;      size:8; signed:0;
//!         field:__data_loc char[] path;   offset:24;      size:4; signed:0;
//!
//! print fmt: "root=%d id=%llu level=%d path=%s", REC->root, REC->id, REC->level, __get_str(path)
//! ```
//! Offsets and sizes are bytes. Distributions add common fields (real-time kernels pad by 8 bytes), so nothing is
//! assumed of the order, and fields that are not asked for are skipped.

use super::KernelError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    tracepoint: String,
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    offset: u32,
    size: u32,
}

impl Format {
    /// Parses the text of `tracepoint`'s file.
    pub(crate) fn parse(tracepoint: &str, text: &str) -> Result<Self, KernelError> {
        let fields: Vec<Field> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("field:"))
            .map(|line| field(line).ok_or_else(|| error(tracepoint, format!("cannot read \"{line}\""))))
            .collect::<Result<_, _>>()?;
        if fields.is_empty() {
            return Err(error(tracepoint, "no field lines"));
        }
        Ok(Self { tracepoint: tracepoint.into(), fields })
    }

    /// The offset of a field that must be there with that size.
    pub(crate) fn required(&self, name: &str, size: u32) -> Result<u32, KernelError> {
        self.optional(name, size)
            .ok_or_else(|| error(&self.tracepoint, format!("no field {name} of {size} bytes")))
    }

    /// The offset of a field if it is there with that size; another size is another field.
    pub(crate) fn optional(&self, name: &str, size: u32) -> Option<u32> {
        self.fields.iter().find(|field| field.name == name && field.size == size).map(|field| field.offset)
    }
}

fn error(tracepoint: &str, what: impl std::fmt::Display) -> KernelError {
    KernelError(format!("format of {tracepoint}: {what}"))
}

/// A line without its `field:`, such as `__data_loc char[] path; offset:24; size:4; signed:0;`.
fn field(line: &str) -> Option<Field> {
    let mut parts = line.split(';').map(str::trim);
    let declaration = parts.next()?;
    let name = declaration.rsplit([' ', '\t', '*']).next()?;
    // `char comm[16]` names its length after the name.
    let name = name.split('[').next()?;
    let (mut offset, mut size) = (None, None);
    for part in parts {
        match part.split_once(':') {
            Some(("offset", value)) => offset = value.parse().ok(),
            Some(("size", value)) => size = value.parse().ok(),
            _ => {}
        }
    }
    (!name.is_empty()).then_some(Field { name: name.into(), offset: offset?, size: size? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MKDIR: &str = "name: cgroup_mkdir\nID: 544\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:int root;\toffset:8;\tsize:4;\tsigned:1;\n\
        \tfield:u64 id;\toffset:16;\tsize:8;\tsigned:0;\n\
        \tfield:__data_loc char[] path;\toffset:24;\tsize:4;\tsigned:0;\n\
        \tfield:char comm[16];\toffset:28;\tsize:16;\tsigned:0;\n\n\
        print fmt: \"root=%d\", REC->root\n";

    #[test]
    fn offsets_by_name_and_size() {
        let format = Format::parse("cgroup_mkdir", MKDIR).unwrap();
        assert_eq!(format.required("id", 8).unwrap(), 16);
        assert_eq!(format.optional("path", 4), Some(24));
        assert_eq!(format.optional("comm", 16), Some(28));
        assert_eq!(format.optional("level", 4), None);
    }

    #[test]
    fn another_size_is_another_field() {
        let error = Format::parse("cgroup_mkdir", MKDIR).unwrap().required("id", 4).unwrap_err();
        assert_eq!(error.to_string(), "format of cgroup_mkdir: no field id of 4 bytes");
    }

    #[test]
    fn padding_of_other_kernels_moves_everything() {
        let padded = MKDIR.replace(
            "\tfield:int root;\toffset:8;",
            "\tfield:unsigned char common_preempt_lazy_count;\toffset:8;\tsize:1;\tsigned:0;\n\
             \tfield:int root;\toffset:16;",
        );
        assert_eq!(Format::parse("cgroup_mkdir", &padded).unwrap().required("root", 4).unwrap(), 16);
    }

    #[test]
    fn fields_and_keys_of_later_kernels_are_skipped() {
        let later = MKDIR.replace(
            "\tfield:int root;\toffset:8;\tsize:4;\tsigned:1;",
            "\tfield:struct novel *[3] extra;\toffset:8;\tsize:24;\tsigned:0;\tatomic:1;\n\
             \tfield:int root;\tnovel:x;\toffset:32;\tsize:4;\tsigned:1;\tfilter_type:7;",
        );
        let format = Format::parse("cgroup_mkdir", &format!("novel: 1\n{later}novel fmt: field\n")).unwrap();
        assert_eq!((format.required("root", 4).unwrap(), format.required("id", 8).unwrap()), (32, 16));
    }

    #[test]
    fn a_field_whose_place_cannot_be_is_an_error() {
        for place in ["offset:-1;\tsize:4;", "offset:4294967296;\tsize:4;", "offset:8;", "size:4;", ""] {
            let error = Format::parse("x", &format!("\tfield:int root;\t{place}\n")).unwrap_err().to_string();
            assert!(error.contains("cannot read \"int root"), "{place}: {error}");
        }
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(Format::parse("x", "").is_err());
        let error = Format::parse("x", "\tfield:int root;\toffset:abc;\tsize:4;\n").unwrap_err();
        assert!(error.to_string().contains("int root"), "{error}");
    }
}
